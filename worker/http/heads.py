"""Heads as they are sent on: a request to the upstream, an answer to the caller.  ●

Belongs here: which fields are added, changed and left. Never here: reading heads (`requests`, `responses`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from worker.http import native
from worker.http.answers import connection_line
from worker.http.fields import CHUNKED, Fields, lines
from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead

_CERT = b"x-forwarded-client-cert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """What is told of the hop before us.

    `address` is the caller's, `scheme` what it spoke, `client_cert` an element of `X-Forwarded-Client-Cert`
    or empty. With `replaces_cert` that header's elements of earlier hops are dropped.
    """

    address: bytes
    scheme: bytes
    client_cert: bytes = b""
    replaces_cert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request's head as an upstream gets it, in whichever HTTP it speaks; `host` is whom it is told to be.

    `request_id` is used if the caller sent none.
    """

    request: RequestHead
    hop: Hop
    host: bytes
    request_id: bytes

    def http1(self) -> bytes:
        """With the empty line at its end."""
        return request_head(self.request, self.hop, host=self.host, request_id=self.request_id)


def request_head(request: RequestHead, hop: Hop, *, host: bytes, request_id: bytes) -> bytes:
    """The request as the upstream gets it, always in HTTP/1.1; `host` is whom it is told to be.

    `request_id` is used if the caller sent none.
    """
    if native.is_built:
        return native.heads.request_head(request, hop, host, request_id)
    return plain_request_head(request, hop, host, request_id)


def plain_request_head(request: RequestHead, hop: Hop, host: bytes, request_id: bytes) -> bytes:
    """The same without native modules."""
    return b"".join(
        (
            b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (request.method, request.target, host),
            lines(request.fields),
            _forwarded(request.forwarded, hop, request.host, request_id),
            _framing(request.length),
            b"connection: Upgrade\r\nupgrade: websocket\r\n" if request.upgrade else b"",
            b"\r\n",
        )
    )


def _forwarded(
    seen: Mapping[bytes, bytes], hop: Hop, asked_host: bytes, request_id: bytes
) -> bytes:
    """Callers are services of the mesh, so what they say of earlier hops is kept and added to."""
    path = seen.get(b"x-forwarded-for")
    found = b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-request-id: %b\r\n" % (
        b"%b,%b" % (path, hop.address) if path else hop.address,
        seen.get(b"x-forwarded-proto") or hop.scheme,
        seen.get(b"x-request-id") or request_id,
    )
    if shown := seen.get(b"x-forwarded-host") or asked_host:
        found += b"x-forwarded-host: %b\r\n" % shown
    earlier = b"" if hop.replaces_cert else seen.get(_CERT, b"")
    if cert := b",".join(part for part in (earlier, hop.client_cert) if part):
        found += b"%b: %b\r\n" % (_CERT, cert)
    return found


def forwarded(
    seen: Mapping[bytes, bytes], hop: Hop, asked_host: bytes, request_id: bytes
) -> Fields:
    """What is told of the hops before us, as fields."""
    told = _forwarded(seen, hop, asked_host, request_id).split(b"\r\n")[:-1]
    parts = (line.partition(b": ") for line in told)
    return tuple((name, value) for name, _, value in parts)


def response_head(response: ResponseHead, *, minor: int, keep_alive: bool) -> bytes:
    """The answer as the caller gets it. `minor` is the caller's version; HTTP/1.0 gets no chunks."""
    if native.is_built:
        return native.heads.response_head(response, minor, keep_alive)
    return plain_response_head(response, minor, keep_alive=keep_alive)


def plain_response_head(response: ResponseHead, minor: int, *, keep_alive: bool) -> bytes:
    """The same without native modules."""
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (response.status, response.reason),
            lines(response.fields),
            _answer_framing(response, minor),
            connection_line(keep_alive=keep_alive, minor=minor),
            b"\r\n",
        )
    )


def _answer_framing(response: ResponseHead, minor: int) -> bytes:
    if response.is_interim or response.status == 204:
        return b""
    if is_chunked(response, minor):
        return b"transfer-encoding: chunked\r\n"
    length = response.length
    return b"" if length in (None, CHUNKED) else b"content-length: %d\r\n" % length


def is_chunked(response: ResponseHead, minor: int) -> bool:
    """Whether the caller gets the body in chunks: whatever has no length, from HTTP/1.1 on."""
    return minor == 1 and response.has_body and response.length in (None, CHUNKED)


def switching(response: ResponseHead) -> bytes:
    """The answer that ends HTTP on this connection."""
    return b"HTTP/1.1 101 %b\r\n%bconnection: Upgrade\r\nupgrade: %b\r\n\r\n" % (
        response.reason,
        lines(response.fields),
        response.upgrade,
    )


def _framing(length: int | None) -> bytes:
    if length is None:
        return b""
    if length == CHUNKED:
        return b"transfer-encoding: chunked\r\n"
    return b"content-length: %d\r\n" % length
