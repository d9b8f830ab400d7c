"""How a permitted request is begun at an upstream, and what asking is over HTTP/1.1.

Belongs here: one request on a pooled connection. Never here: HTTP/2 (`worker.http2`), or the quick way
between two sides of HTTP/1.1, where heads and bodies go from wire to wire (`exchange`).
"""

import contextlib
from typing import Protocol

import trio

from worker.http.asking import Ask, Place
from worker.http.backend import Way
from worker.http.bodies import Body, Malformed, body_of
from worker.http.exchange import CutShort, UpstreamLost, framed, last_chunk
from worker.http.faults import BadResponse
from worker.http.fields import CHUNKED, Fields
from worker.http.heads import Outgoing
from worker.http.limits import DEFAULT_LIMITS, HttpLimits
from worker.http.pool import Upstream
from worker.http.reading import next_response
from worker.http.requests import RequestHead
from worker.http.responses import Ends, ResponseHead


async def ask(way: Way, request: RequestHead, *, afresh: bool = False) -> Ask:
    """Begin a permitted request: connect, and send its head; the whole request, if it has no body.

    With `afresh` on no connection that was used before. Raises `Unserved`; a connection that is lost
    meanwhile is told of by `Ask.head`.
    """
    return await ask_on(way, request, await way.connect(afresh=afresh))


async def ask_on(way: Way, request: RequestHead, connected: Upstream | Place) -> Ask:
    """The same on what `way.connect` gave."""
    asked = _asked(way, request, connected)
    try:
        await asked.open(way.head(request, connected.endpoint))
    except BaseException:
        asked.give_back(reusable=False)
        raise
    return asked


def _asked(way: Way, request: RequestHead, connected: Upstream | Place) -> "Http1Ask | Place":
    if isinstance(connected, Upstream):
        return Http1Ask(request, connected, way.release)
    return connected


class Release(Protocol):
    """Gives a connection back, or closes it."""

    def __call__(self, upstream: Upstream, *, reusable: bool) -> None: ...


class Http1Ask:
    """One request on a pooled connection of HTTP/1.1; see `Ask`."""

    __slots__ = (
        "_body",
        "_is_chunked",
        "_is_keeping",
        "_is_sent",
        "_left",
        "_limits",
        "_release",
        "_request",
        "_upstream",
        "trailers",
    )

    def __init__(
        self,
        request: RequestHead,
        upstream: Upstream,
        release: Release,
        limits: HttpLimits = DEFAULT_LIMITS,
    ) -> None:
        self.trailers: Fields = ()
        self._request = request
        self._upstream = upstream
        self._release = release
        self._limits = limits
        self._is_chunked = request.length == CHUNKED
        self._left = request.length or 0  # of a body of known length
        self._is_sent = False
        self._is_keeping = False
        self._body: Body | None = None

    async def open(self, head: Outgoing) -> None:
        """Send the head; or what is left of a whole request that was sent without a task."""
        upstream = self._upstream
        left, upstream.left = upstream.left, None
        if left is None:
            await self._put(head.http1())
            self._is_sent = not self._request.has_body
            return
        has_sent, self._is_sent = upstream.has_sent, True
        if left:
            await self._put(left)
            upstream.has_sent |= has_sent

    async def send(self, content: bytes) -> None:
        if not self._is_chunked:
            self._left -= len(content)
        await self._put(framed(content, chunked=self._is_chunked))

    async def end(self, trailers: Fields = ()) -> None:
        if self._is_chunked:
            await self._put(last_chunk(trailers))
        self._is_sent = self._is_chunked or self._left == 0

    async def _put(self, data: bytes) -> None:
        # It may have answered before it went; who reads finds out.
        with contextlib.suppress(ConnectionError):
            await self._upstream.send(data)

    async def head(self) -> ResponseHead:
        upstream, limits = self._upstream, self._limits
        while True:
            response, upstream.unread = next_response(
                upstream.unread, self._request.method, limits.head_bytes, limits.fields
            )
            if response is not None:
                if response.is_interim:
                    await trio.lowlevel.checkpoint()  # there may be any number of them
                return self._begun(response)
            if not await self._more():
                raise self._lost()

    def _begun(self, response: ResponseHead) -> ResponseHead:
        if response.status == 101:
            raise BadResponse("an upgrade that nobody asked for")
        if not response.is_interim:
            ends = response.ends
            self._body = _body_of(ends)
            self._is_keeping = response.keep_alive
        return response

    async def _more(self) -> bool:
        try:
            return await self._upstream.more()
        except ConnectionError:
            return False

    def _lost(self) -> UpstreamLost:
        upstream = self._upstream
        return UpstreamLost(
            unanswered=not upstream.unread,
            was_used=upstream.is_used,
            unasked=upstream.is_used and not upstream.has_sent and not self._request.has_body,
        )

    async def read(self) -> bytes:
        upstream, body = self._upstream, self._body
        assert body is not None
        while True:
            try:
                if upstream.unread and not body.is_over:
                    content, upstream.unread = body.take(upstream.unread)
                    if content:
                        return content
                if body.is_over:
                    self.trailers = tuple((n.lower(), v) for n, v in body.trailers)
                    return b""
                if not await upstream.more():
                    body.end()
            except Malformed as error:
                raise CutShort(str(error)) from None
            except ConnectionError:
                raise CutShort("the upstream was lost") from None

    @property
    def is_ready(self) -> bool:
        body = self._body
        return body is not None and (body.is_over or bool(self._upstream.unread))

    def give_back(self, *, reusable: bool) -> None:
        is_over = self._is_sent and self._body is not None and self._body.is_over
        quiet = self._is_keeping and not self._upstream.unread
        self._release(self._upstream, reusable=reusable and is_over and quiet)


def _body_of(ends: int | Ends) -> Body:
    if ends is Ends.AT_ONCE:
        return body_of(0)
    return body_of(None if isinstance(ends, Ends) else ends)
