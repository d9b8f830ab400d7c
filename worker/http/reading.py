"""From the bytes of a connection to heads: where one ends, and when it is too late for one.  ●

What cannot become a head any more is refused at once and not only when the peer has sent enough of it.

What is common is read outside Python, where that form was built (`_heads`): it says the same, or nothing.

Belongs here: finding and bounding heads in what was read so far. Never here: what a head means, or a socket.
"""

from worker.http import native
from worker.http.faults import BadRequest, BadResponse
from worker.http.grammar import REQUEST_LINE
from worker.http.requests import RequestHead, parse_request
from worker.http.responses import ResponseHead, parse_response

_END = b"\r\n\r\n"
#: The first line of a connection of HTTP/2 (RFC 9113 section 3.4), which is no request.
HTTP2 = b"PRI * HTTP/2.0\r\n"


def next_request(
    unread: bytes, max_bytes: int, max_fields: int
) -> tuple[RequestHead | None, bytes]:
    """The request head at the start of `unread` and what follows it; None if it is not whole.

    One empty line before it is passed over (RFC 9112 section 2.2). Raises `BadRequest`.
    """
    if native.is_built and (found := native.heads.request(unread, max_bytes, max_fields)):
        return found[0], unread[found[1] :]
    return any_request(unread, max_bytes, max_fields)


def any_request(unread: bytes, max_bytes: int, max_fields: int) -> tuple[RequestHead | None, bytes]:
    """The same for any bytes."""
    start = 2 if unread.startswith(b"\r\n") else 0
    end = unread.find(_END, start, start + max_bytes)
    if end < 0:
        _check_begun(unread[start:] if start else unread, max_bytes)
        return None, unread
    end += 4
    return parse_request(unread[start:end], max_fields), unread[end:]


def _check_begun(begun: bytes, max_bytes: int) -> None:
    """Refuse what no further byte can make a request of."""
    if len(begun) >= max_bytes:
        raise BadRequest(f"the request head is longer than {max_bytes} bytes")
    breaks = begun.count(b"\n")
    if breaks != begun.count(b"\r\n") or (breaks and REQUEST_LINE.match(begun) is None):
        raise BadRequest("the request head is not HTTP/1.1")


def next_response(
    unread: bytes, method: bytes, max_bytes: int, max_fields: int
) -> tuple[ResponseHead | None, bytes]:
    """The response head at the start of `unread` and what follows it; None if it is not whole.

    `method` is that of the request it answers. Raises `BadResponse`.
    """
    if native.is_built and (found := native.heads.response(unread, method, max_bytes, max_fields)):
        return found[0], unread[found[1] :]
    return any_response(unread, method, max_bytes, max_fields)


def any_response(
    unread: bytes, method: bytes, max_bytes: int, max_fields: int
) -> tuple[ResponseHead | None, bytes]:
    """The same for any bytes."""
    end = unread.find(_END, 0, max_bytes)
    if end < 0:
        if len(unread) >= max_bytes:
            raise BadResponse(f"the response head is longer than {max_bytes} bytes")
        if unread.count(b"\n") != unread.count(b"\r\n"):
            raise BadResponse("the response head is not HTTP/1.1")
        return None, unread
    end += 4
    return parse_response(unread[:end], method, max_fields), unread[end:]
