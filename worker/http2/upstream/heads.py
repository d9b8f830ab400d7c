"""Heads in HTTP/2: a request as fields, and fields as an answer, read as strictly as those of HTTP/1.1.  ●

Source: RFC 9113 sections 8.1 to 8.3; what is malformed there is refused here (8.1.1).

Belongs here: one head or trailers. Never here: streams (`stream`), or bodies.
"""

import re
from collections.abc import Iterable, Sequence

from hpack import NeverIndexedHeaderTuple

from worker.http.answers import REASONS
from worker.http.faults import BadResponse
from worker.http.fields import CHUNKED, HOP_BY_HOP, NOT_IN_TRAILERS, Field, Fields
from worker.http.grammar import LENGTH
from worker.http.heads import Outgoing, forwarded
from worker.http.responses import BODILESS, Ends, ResponseHead

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(rb"[1-9][0-9]{2}")
_GRPC = b"application/grpc"
_TRAILERS = (b"te", b"trailers")
#: Never the same twice: remembering it would push out what is.
_once = NeverIndexedHeaderTuple


def request_fields(head: Outgoing, scheme: bytes) -> list[Field]:
    """The request as the upstream gets it. `scheme` is of the connection, as servers compare the two."""
    request = head.request
    found = [
        (b":method", request.method),
        (b":scheme", scheme),
        (b":authority", head.host),
        (b":path", request.target),
    ]
    found += [(name.lower(), value.strip(b" \t")) for name, value in request.fields]
    for field in forwarded(request.forwarded, head.hop, request.host, head.request_id):
        found.append(_once(*field) if field[0] == b"x-request-id" else field)
    length = request.length
    if length is not None and length != CHUNKED:
        found.append((b"content-length", b"%d" % length))
    if _is_grpc(found):
        found.append(_TRAILERS)  # gRPC asks for it, and it goes no further than one hop
    return found


def _is_grpc(fields: Iterable[Field]) -> bool:
    return any(name == b"content-type" and value.startswith(_GRPC) for name, value in fields)


def response_of(
    fields: Sequence[Field], method: bytes, *, is_end: bool, max_fields: int
) -> ResponseHead:
    """What these fields, which answer `method`, mean; with `is_end` nothing follows. Raises `BadResponse`."""
    if not fields or fields[0][0] != b":status" or _STATUS.fullmatch(fields[0][1]) is None:
        raise BadResponse("the response head has no status")
    status = int(fields[0][1])
    kept = _checked(fields[1:], max_fields)
    lengths = [value for name, value in kept if name == b"content-length"]
    length = _length(lengths)
    if status == 101 or (status < 200 and is_end):
        raise BadResponse(f"an answer of {status} in HTTP/2")
    bodiless = method == b"HEAD" or status < 200 or status in BODILESS
    if is_end and not bodiless:
        if length:
            raise BadResponse(f"{length} bytes of the body are missing")
        length = 0
    return ResponseHead(
        status=status,
        reason=REASONS.get(status, b""),
        fields=tuple(field for field in kept if field[0] not in _SPECIAL) if lengths else kept,
        length=length,
        ends=_ends(length, is_over=is_end or bodiless),
        keep_alive=True,
        upgrade=b"",
    )


_SPECIAL = frozenset({b"content-length"})


def _ends(length: int | None, *, is_over: bool) -> int | Ends:
    if is_over:
        return Ends.AT_ONCE
    return CHUNKED if length is None else length


def _checked(fields: Sequence[Field], max_fields: int) -> Fields:
    if len(fields) > max_fields:
        raise BadResponse(f"{len(fields)} header fields, more than {max_fields}")
    for name, value in fields:
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise BadResponse(f"a bad header field {name[:40]!r}")
        if name in HOP_BY_HOP:
            raise BadResponse(f"a header field that HTTP/2 does not have: {name.decode()}")
    return tuple((bytes(name), value.strip(b" \t")) for name, value in fields)


def _length(values: Sequence[bytes]) -> int | None:
    if not values:
        return None
    if len(values) > 1 or LENGTH.fullmatch(values[0]) is None:
        raise BadResponse("the Content-Length field is no length")
    return int(values[0])


def trailers_of(fields: Sequence[Field], max_fields: int) -> Fields:
    """What came behind a body, without what may not be there. Raises `BadResponse`."""
    return tuple(field for field in _checked(fields, max_fields) if field[0] not in NOT_IN_TRAILERS)


def trailer_fields(trailers: Fields) -> list[Field]:
    """Trailers as the upstream gets them."""
    return [(name.lower(), value.strip(b" \t")) for name, value in trailers]
