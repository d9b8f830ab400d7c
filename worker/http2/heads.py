"""Heads in HTTP/2: from fields to a request as HTTP/1.1 would have it, and from answers to fields.  ●

A request means what the same request in HTTP/1.1 would: the same grammar, the same rules for hosts,
lengths and targets (`worker.http.requests`), as an upstream of HTTP/1.1 may get it. What is wrong with the
message itself resets its stream; what is wrong with the request is answered.

Belongs here: pseudo-header fields, and what may not be in a message of HTTP/2 (RFC 9113 section 8). Never
here: frames, or sending.
"""

import re
from collections.abc import Iterable

from msgspec import structs

from worker.http.answers import Answer
from worker.http.faults import BadRequest
from worker.http.fields import CHUNKED, NOT_IN_TRAILERS, Field, Fields
from worker.http.requests import RequestHead, meaning
from worker.http.responses import ResponseHead
from worker.http2 import native
from worker.http2.faults import Malformed

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]++")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_TARGET = re.compile(rb"[\x21-\x7e]++")
_PSEUDO = frozenset({b":authority", b":method", b":path", b":scheme"})
_SCHEMES = frozenset({b"http", b"https"})
#: Of a connection of HTTP/1.1, so never in a message of HTTP/2 (section 8.2.2).
_OF_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
#: What a field costs beside its octets (section 10.5.1, and RFC 7541 section 4.1).
_FIELD_BYTES = 32


def request_of(
    fields: list[Field], *, has_body: bool, max_bytes: int, max_fields: int
) -> RequestHead:
    """What is asked for. `has_body`: one follows, maybe empty. Raises `Malformed` and `BadRequest`."""
    if native.is_built:
        found = native.fields.request(fields, has_body, max_bytes, max_fields)
        if found is not None:
            return found
    return any_request_of(fields, has_body=has_body, max_bytes=max_bytes, max_fields=max_fields)


def any_request_of(
    fields: Iterable[Field], *, has_body: bool, max_bytes: int, max_fields: int
) -> RequestHead:
    """The same without native modules, and where these say nothing."""
    pseudo, kept = _parted(fields)
    method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    if _METHOD.fullmatch(method) is None:
        raise Malformed("no method, or none that could be one")
    if method == b"CONNECT":
        raise BadRequest("CONNECT is not served", 405)
    if _TARGET.fullmatch(path) is None or not (path.startswith(b"/") or path == b"*"):
        raise Malformed("no path, or none that could be one")
    if pseudo.get(b":scheme") not in _SCHEMES:
        raise Malformed("a scheme other than http and https")
    size = sum(len(name) + len(value) + _FIELD_BYTES for name, value in kept) + len(path)
    if size > max_bytes:
        raise BadRequest(f"the request head is longer than {max_bytes} bytes", 431)
    if len(kept) > max_fields:
        raise BadRequest(f"{len(kept)} header fields, more than {max_fields}", 431)
    kept = _with_host(pseudo.get(b":authority"), kept)
    found = meaning(method, path, 1, kept)
    if not has_body:
        if found.length:
            raise Malformed("a request without the body that it has a length of")
        return found
    return found if found.length is not None else structs.replace(found, length=CHUNKED)


def _parted(fields: Iterable[Field]) -> tuple[dict[bytes, bytes], list[Field]]:
    """Pseudo-header fields, which come first and once, and the others; crumbs of a cookie are one again."""
    pseudo: dict[bytes, bytes] = {}
    kept: list[Field] = []
    crumbs: list[bytes] = []
    for name, value in fields:
        if _VALUE.fullmatch(value) is None:
            raise Malformed("a value that no field may have")
        if name in _PSEUDO:
            if name in pseudo or kept or crumbs:
                raise Malformed("a pseudo-header field twice, or behind others")
            pseudo[name] = value
            continue
        _check_name(name, value)
        if name == b"cookie":
            crumbs.append(value)
        else:
            kept.append((name, value))
    if crumbs:
        kept.append((b"cookie", b"; ".join(crumbs)))
    return pseudo, kept


def _check_name(name: bytes, value: bytes) -> None:
    if _NAME.fullmatch(name) is None:
        raise Malformed("a name that no field may have")
    if name in _OF_CONNECTION or (name == b"te" and value != b"trailers"):
        raise Malformed(f"a field of a connection of HTTP/1.1: {name.decode()}")


def _with_host(authority: bytes | None, fields: list[Field]) -> list[Field]:
    """With the host that is meant, once: a Host field beside it has to say the same (section 8.3.1)."""
    if authority is None:
        return fields
    hosts = [value for name, value in fields if name == b"host"]
    if any(host.lower() != authority.lower() for host in hosts):
        raise BadRequest("the request target and the Host field name different hosts")
    others = [field for field in fields if field[0] != b"host"]
    return [(b"host", authority), *others]


def trailers_of(fields: Iterable[Field]) -> Fields:
    """What comes behind a body, without what may not be there. Raises `Malformed`."""
    found = []
    for name, value in fields:
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise Malformed("a trailer that could be none")
        if name not in NOT_IN_TRAILERS:
            found.append((name, value))
    return tuple(found)


def response_fields(response: ResponseHead) -> list[Field]:
    """An upstream's answer as the caller gets it."""
    fields = [(b":status", b"%d" % response.status)]
    fields += [(name.lower(), value) for name, value in response.fields]
    length = response.length
    if length not in (None, CHUNKED) and not response.is_interim and response.status != 204:
        fields.append((b"content-length", b"%d" % length))
    return fields


def answer_fields(answer: Answer) -> list[Field]:
    """An answer of our own, but for its body."""
    fields = [(b":status", b"%d" % answer.status)]
    if answer.text:
        fields.append((b"content-type", b"text/plain"))
    return [*fields, (b"content-length", b"%d" % len(answer.text.encode())), *answer.fields]
