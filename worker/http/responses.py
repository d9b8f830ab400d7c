"""A response head: bytes in, one meaning out, or a refusal.  ●

As strict as with requests: an upstream that can be misunderstood would let one caller's answer become
another's.

Belongs here: reading one head, and where the body of an answer ends. Never here: sockets or forwarding.
"""

from enum import Enum, unique

import msgspec
from httptools import HttpResponseParser

from worker.http import llhttp
from worker.http.faults import BadResponse
from worker.http.fields import CHUNKED, HOP_BY_HOP, Field, Fields, options
from worker.http.grammar import LENGTH, RESPONSE

_SPECIAL = HOP_BY_HOP | {b"content-length"}
#: Answers that have no body, whoever asked.
BODILESS = frozenset({204, 304})


@unique
class Ends(Enum):
    """Where a body ends that neither a length nor chunks measure."""

    AT_ONCE = "there is no body"
    WITH_THE_CONNECTION = "the upstream closes"


class ResponseHead(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream answers.

    `fields` go from end to end. `length` is what the field says (in the answer to HEAD and in 304 it is
    that of another body), `CHUNKED` or None; `ends` says where the body ends: a number of bytes,
    `CHUNKED`, or one of `Ends`.
    """

    status: int
    reason: bytes
    fields: Fields
    length: int | None
    ends: int | Ends
    keep_alive: bool
    upgrade: bytes

    @property
    def is_interim(self) -> bool:
        return self.status < 200

    @property
    def has_body(self) -> bool:
        return self.ends is not Ends.AT_ONCE


def parse_response(head: bytes, method: bytes, max_fields: int) -> ResponseHead:
    """The meaning of `head`, which answers `method` and ends in its empty line. Raises `BadResponse`."""
    if RESPONSE.fullmatch(head) is None:
        raise BadResponse(llhttp.not_http(BadResponse))
    parser, found, minor = llhttp.read(head, HttpResponseParser, BadResponse, max_fields)
    return _meaning(parser.get_status_code(), found, minor, method)


def _meaning(status: int, found: llhttp.Found, minor: int, method: bytes) -> ResponseHead:
    kept: list[Field] = []
    special: dict[bytes, list[bytes]] = {}
    for field in found.fields:
        name = field[0].lower()
        if name in _SPECIAL:
            special.setdefault(name, []).append(field[1].strip(b" \t"))
        else:
            kept.append(field)
    connection = options(special.get(b"connection", ()))
    if connection:
        kept = [field for field in kept if field[0].lower() not in connection]
    length = _length(special, minor)
    ends = _ends(status, method, length)
    alive = b"close" not in connection and (minor == 1 or b"keep-alive" in connection)
    return ResponseHead(
        status=status,
        reason=found.text,
        fields=tuple(kept),
        length=length,
        ends=ends,
        keep_alive=alive and ends is not Ends.WITH_THE_CONNECTION,
        upgrade=b", ".join(special.get(b"upgrade", ())),
    )


def _length(special: dict[bytes, list[bytes]], minor: int) -> int | None:
    lengths, codings = special.get(b"content-length"), special.get(b"transfer-encoding")
    if codings is not None:
        if lengths is not None:
            raise BadResponse("both Content-Length and Transfer-Encoding")
        if minor == 0 or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadResponse("a Transfer-Encoding other than chunked")
        return CHUNKED
    if lengths is None:
        return None
    if len(lengths) > 1 or LENGTH.fullmatch(lengths[0]) is None:
        raise BadResponse("the Content-Length field is no length")
    return int(lengths[0])


def _ends(status: int, method: bytes, length: int | None) -> int | Ends:
    """RFC 9112 section 6.3."""
    if method == b"HEAD" or status < 200 or status in BODILESS:
        return Ends.AT_ONCE
    return Ends.WITH_THE_CONNECTION if length is None else length
