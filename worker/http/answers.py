"""Answers of our own, in Envoy's words, as people search for these.  ●

Belongs here: status, words and fields of what the gateway itself says. Never here: when it says so.
Source: Envoy, "Response flags" and the router's local replies.
"""

from dataclasses import dataclass
from http import HTTPStatus

from worker.http.fields import Field

#: The words for a status.
REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_LOST = "upstream connect error or disconnect/reset before headers. reset reason: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the gateway answers instead of an upstream. With `closes` the connection ends with it; with
    `is_failed_connect` no upstream could be connected to.
    """

    status: int
    text: str = ""
    fields: tuple[Field, ...] = ()
    closes: bool = False
    is_failed_connect: bool = False

    def render(self, *, is_head: bool, keep_alive: bool, minor: int = 1) -> bytes:
        """The bytes; without a body for HEAD."""
        body = self.text.encode()
        lines = [
            b"HTTP/1.1 %d %b\r\n" % (self.status, REASONS.get(self.status, b"")),
            b"content-type: text/plain\r\n" if body else b"",
            b"content-length: %d\r\n" % len(body),
            *[b"%b: %b\r\n" % field for field in self.fields],
            connection_line(keep_alive=keep_alive, minor=minor),
            b"\r\n",
            b"" if is_head else body,
        ]
        return b"".join(lines)


def connection_line(*, keep_alive: bool, minor: int) -> bytes:
    """What has to be said of the connection, if anything (RFC 9112 section 9.3)."""
    if not keep_alive:
        return b"connection: close\r\n"
    return b"" if minor else b"connection: keep-alive\r\n"


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOT_FOUND = Answer(status=404)
MISDIRECTED = Answer(status=421)
DENIED = Answer(status=403, text="RBAC: access denied")
NO_HEALTHY_UPSTREAM = Answer(status=503, text="no healthy upstream")
TIMED_OUT = Answer(status=504, text="upstream request timeout")
OVERFLOW = Answer(status=503, text=_LOST + "overflow", fields=((b"x-envoy-overloaded", b"true"),))
CONNECT_TIMEOUT = Answer(status=503, text=_LOST + "connection timeout", is_failed_connect=True)
CONNECT_FAILED = Answer(
    status=503,
    text=_LOST + "remote connection failure, transport failure reason: delayed connect error: 111",
    is_failed_connect=True,
)
TLS_FAILED = Answer(
    status=503,
    text=_LOST + "remote connection failure, transport failure reason: TLS_error",
    is_failed_connect=True,
)
UPSTREAM_LOST = Answer(status=503, text=_LOST + "connection termination")
UPSTREAM_NOT_HTTP = Answer(status=502, text=_LOST + "protocol error")
HEAD_TIMEOUT = Answer(status=408, text="request timeout", closes=True)
GONE = Answer(status=503, text="no healthy upstream", closes=True)


def bad_request(status: int, why: str) -> Answer:
    """For what cannot be understood: nothing behind it can be either."""
    return Answer(status=status, text=f"{REASONS[status].decode()}: {why}", closes=True)
