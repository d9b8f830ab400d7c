"""Reads a TLS ClientHello out of the first bytes of a connection, and nothing else.

Sans-IO and stateless: the caller hands in *all* bytes received so far and gets one of three things,
a `ClientHello`, a `NeedMore`, or the exception `BadHello`. Never anything else, for any input. An
unfinished hello is never mistaken for one without a server name. A handshake message may be cut over
several TLS records (post-quantum key shares and some middlebox-evading clients do it), and the
records over any number of TCP segments.

Linear time: `NeedMore.total` says how many bytes there must be before another look can tell more, so
whoever waits for that many looks at most about twice per record, however slowly the bytes come.

Strict where two parsers might disagree on the name (ours picks the route, OpenSSL's or the
destination's sees the same bytes later): one entry of one kind in the name list, no extension twice,
no trailing dot, no byte left over. Never here: which names are served.
"""

import ipaddress
import re
import struct
from dataclasses import dataclass

from cluster.reasons import HelloReject

_RECORD_HEADER = 5
_MESSAGE_HEADER = 4
_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_MAX_RECORD = 1 << 14  # RFC 8446 section 5.1: TLSPlaintext.length
_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS = 0, 16, 43
_EXTENSION = struct.Struct("!HH")  # type, length
_HOST_NAME = re.compile(rb"[A-Za-z0-9_.-]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a hello is looked at.

    `max_hello_bytes` counts the handshake message. Today's hellos have 250 to 600 bytes, with a
    post-quantum share 1.8 KiB; session tickets that hold a client's chain add some KiB each. 32 KiB
    leaves room for all of them together and for padding.
    `max_records`: three full records hold 32 KiB. Clients that cut the hello on purpose make two to
    ten; a record per byte is an attack on whoever parses it.
    """

    max_hello_bytes: int = 32 * 1024
    max_records: int = 16

    @property
    def max_bytes(self) -> int:
        """The most bytes a hello within these limits can take on the wire."""
        return self.max_hello_bytes + _RECORD_HEADER * self.max_records


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """What a client asked for, before anything was answered (RFC 8446 section 4.1.2).

    `server_name` is lower-cased; empty if there is none, or if it is an IP address, which RFC 6066
    does not allow as a name. `versions` are the code points as sent, GREASE among them, or the
    legacy version alone. `length` is the number of bytes that the hello's records take.
    """

    server_name: str
    alpn: tuple[bytes, ...] = ()
    versions: tuple[int, ...]
    length: int


@dataclass(frozen=True, slots=True)
class NeedMore:
    """The hello is not whole: no use to ask again before there are `total` bytes in all."""

    total: int


class BadHello(Exception):
    """These bytes are no ClientHello that we accept; more bytes will not change that."""

    def __init__(self, reject: HelloReject, detail: str) -> None:
        super().__init__(detail)
        self.reject = reject
        self.detail = detail


def parse(data: bytes, limits: Limits = DEFAULT_LIMITS) -> ClientHello | NeedMore:
    """The hello at the start of `data`, or how many bytes it takes to know more.

    Raises `BadHello` as early as the bytes allow. Bytes after the hello's last record are not looked
    at (early data may follow at once).
    """
    fragments: list[bytes] = []
    have, need, at = 0, _MESSAGE_HEADER, 0
    while have < need:
        if len(fragments) == limits.max_records:
            raise BadHello(
                HelloReject.TOO_MANY_RECORDS, f"more than {limits.max_records} records in one hello"
            )
        length = _record_length(data, at)
        if length is None:
            return NeedMore(_least_total(at, need - have) if at else _first_look(data))
        at += _RECORD_HEADER
        fragments.append(data[at : at + length])
        have += length
        at += length
        if need == _MESSAGE_HEADER:
            need = _message_bytes(b"".join(fragments), limits)
        if len(data) < at:
            return NeedMore(max(at, _least_total(at, need - have)))
    if have > need:
        raise _malformed(f"{have - need} bytes follow the hello in its last record")
    message = fragments[0] if len(fragments) == 1 else b"".join(fragments)
    return _hello(message, at)


def _record_length(data: bytes, at: int) -> int | None:
    """The length in the record header at `at`, or None while the header is not whole."""
    header = data[at : at + _RECORD_HEADER]
    if header and header[0] != _HANDSHAKE_RECORD:
        raise _not_handshake(at, f"a record of type {header[0]}")
    if len(header) > 1 and header[1] != 3:
        raise _not_handshake(at, f"record version {header[1]}.x")
    if len(header) < _RECORD_HEADER:
        return None
    length = int.from_bytes(header[3:5], "big")
    if not 0 < length <= _MAX_RECORD:
        raise _malformed(f"a record of {length} bytes")
    return length


def _not_handshake(at: int, what: str) -> BadHello:
    """In the first record it is another protocol; behind a first good one, broken TLS."""
    reject = HelloReject.MALFORMED if at else HelloReject.NOT_TLS
    return BadHello(reject, f"{what} where a TLS handshake was expected")


def _message_bytes(start: bytes, limits: Limits) -> int:
    """How long the handshake message is with its header, as far as its first bytes tell."""
    if start and start[0] != _CLIENT_HELLO:
        raise _malformed(f"handshake message {start[0]} instead of a ClientHello")
    if len(start) < _MESSAGE_HEADER:
        return _MESSAGE_HEADER
    length = _MESSAGE_HEADER + int.from_bytes(start[1:4], "big")
    if length > limits.max_hello_bytes:
        raise BadHello(
            HelloReject.TOO_LARGE,
            f"a hello of {length} bytes, {limits.max_hello_bytes} are the limit",
        )
    return length


def _first_look(data: bytes) -> int:
    """One byte tells most other protocols apart, some of which send very few and then wait."""
    return _RECORD_HEADER if data else 1


def _least_total(at: int, missing: int) -> int:
    """The fewest bytes in all, if `missing` bytes of the message must follow the record ending `at`."""
    if missing <= 0:
        return at
    return at + missing + _RECORD_HEADER * -(-missing // _MAX_RECORD)


def _hello(message: bytes, length: int) -> ClientHello:
    """The parts we want of one whole ClientHello message, header included."""
    version, at = _integer(message, _MESSAGE_HEADER, 2)
    if version >> 8 != 3:
        raise _malformed(f"legacy version {version:#06x}")
    at = _fixed(message, at, 32)  # random
    session_id, at = _vector(message, at, 1)
    if len(session_id) > 32:
        raise _malformed(f"a session id of {len(session_id)} bytes")
    suites, at = _vector(message, at, 2)
    compression, at = _vector(message, at, 1)
    if len(suites) < 2 or len(suites) % 2 or not compression:
        raise _malformed("no cipher suite or no compression method")
    extensions = _extensions(message, at)
    return ClientHello(
        server_name=_server_name(extensions.get(_SERVER_NAME)),
        alpn=_protocols(extensions.get(_ALPN)),
        versions=_versions(extensions.get(_SUPPORTED_VERSIONS)) or (version,),
        length=length,
    )


def _extensions(message: bytes, at: int) -> dict[int, bytes]:
    """Extension type to its content; none at all is allowed up to TLS 1.2."""
    if at == len(message):
        return {}
    block, end = _vector(message, at, 2)
    if end != len(message):
        raise _malformed(f"{len(message) - end} bytes follow the extensions")
    found: dict[int, bytes] = {}
    at = 0
    while at < len(block):
        start = _fixed(block, at, 4)
        kind, length = _EXTENSION.unpack_from(block, at)
        at = _fixed(block, start, length)
        if kind in found:
            raise _malformed(f"extension {kind} is there twice")
        found[kind] = block[start:at]
    return found


def _server_name(content: bytes | None) -> str:
    """The one host name (RFC 6066 section 3), lower-cased; empty for none or an IP address."""
    if content is None:
        return ""
    entries = _only(content, 2, "server name list")
    kind, at = _integer(entries, 0, 1)
    if kind != 0:
        raise _malformed(f"a server name of type {kind}")
    name, end = _vector(entries, at, 2)
    if end != len(entries):
        raise _malformed("more than one server name")
    return _host(name)


def _host(name: bytes) -> str:
    if _is_address(name):
        return ""
    if not _HOST_NAME.fullmatch(name):
        raise _malformed(f"a server name of {len(name)} bytes with other than letters, digits, -_.")
    if name.endswith(b"."):  # RFC 6066: "without a trailing dot"; Go's TLS refuses it as well
        raise _malformed("a server name with a trailing dot")
    return name.decode("ascii").lower()


def _is_address(name: bytes) -> bool:
    """Whether a client sent an IP address as its server name; cheap for real names."""
    if not (name[-1:].isdigit() or b":" in name):
        return False
    try:
        ipaddress.ip_address(name.decode("ascii"))
    except ValueError:
        return False
    return True


def _protocols(content: bytes | None) -> tuple[bytes, ...]:
    """The ALPN protocols in the client's order (RFC 7301 section 3.1)."""
    if content is None:
        return ()
    names = _only(content, 2, "ALPN list")
    found: list[bytes] = []
    at = 0
    while at < len(names):
        name, at = _vector(names, at, 1)
        if not name:
            raise _malformed("an empty ALPN protocol")
        found.append(name)
    return tuple(found)


def _versions(content: bytes | None) -> tuple[int, ...]:
    """The code points of supported_versions (RFC 8446 section 4.2.1)."""
    if content is None:
        return ()
    block = _only(content, 1, "version list")
    if len(block) % 2:
        raise _malformed("half a version")
    return tuple(int.from_bytes(block[at : at + 2], "big") for at in range(0, len(block), 2))


def _only(content: bytes, width: int, what: str) -> bytes:
    """The one vector that fills an extension; it must not be empty."""
    block, end = _vector(content, 0, width)
    if end != len(content) or not block:
        raise _malformed(f"a {what} that is empty or does not fill its extension")
    return block


def _integer(data: bytes, at: int, width: int) -> tuple[int, int]:
    """A big-endian number at `at`, and where it ends."""
    end = _fixed(data, at, width)
    return int.from_bytes(data[at:end], "big"), end


def _vector(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    """A vector with a length of `width` bytes before it (RFC 8446 section 3.4), and where it ends."""
    length, start = _integer(data, at, width)
    end = _fixed(data, start, length)
    return data[start:end], end


def _fixed(data: bytes, at: int, length: int) -> int:
    """Where `length` bytes from `at` end; they must all be there."""
    end = at + length
    if end > len(data):
        raise _malformed(f"{length} bytes announced, {len(data) - at} left")
    return end


def _malformed(detail: str) -> BadHello:
    return BadHello(HelloReject.MALFORMED, detail)
