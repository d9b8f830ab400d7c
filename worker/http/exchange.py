"""One request to one upstream, and its answer to the caller, both as they come and no faster than they go.

Nothing is held beyond what one read gives, so a body of any size takes the same memory: a side that does not
take what it is sent stops the reading at the other. While a body is on its way up, the answer may come
already; it is passed on, and the rest of the body is nobody's.

Belongs here: the bytes of one exchange. Never here: which upstream, whether to try another, or what to answer
if there is none (`conversation`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from worker.http.bodies import Body, Malformed, SizedBody, body_of
from worker.http.carrying import can_carry, carry, carry_at_once
from worker.http.faults import BadRequest, BadResponse
from worker.http.fields import CHUNKED, Fields, lines
from worker.http.heads import is_chunked, response_head, switching
from worker.http.limits import HttpLimits
from worker.http.patience import Patience, Phase
from worker.http.pool import Upstream
from worker.http.reading import next_response
from worker.http.requests import RequestHead
from worker.http.responses import Ends, ResponseHead
from worker.http.wire import Wire

#: Bodies on fast paths never wait: so many pieces before other tasks have their turn.
_PIECES_AT_ONCE = 8

#: Reads on, from a side that others use as well or from one that they do not.
More = Callable[[], Awaitable[bool]]


class UpstreamLost(Exception):
    """The upstream went before it answered.

    `unanswered`: not one byte of an answer has come. `was_used`: the connection had carried a request before
    this one. `unasked`: nothing was done with the request, so it may be sent again whatever its method is.
    """

    def __init__(self, *, unanswered: bool, was_used: bool = False, unasked: bool = False) -> None:
        super().__init__("the upstream went before it answered")
        self.unanswered = unanswered
        self.was_used = was_used
        self.unasked = unasked


class CutShort(Exception):
    """The upstream went in the middle of its answer."""


@dataclass(slots=True)
class Outcome:
    """How an exchange went: the status, and which of the two connections can be used again."""

    status: int
    keeps_client: bool = False
    keeps_upstream: bool = False
    switched: bool = False


def framed(content: bytes, *, chunked: bool) -> bytes:
    """A piece of a body as it is sent."""
    return b"%x\r\n%b\r\n" % (len(content), content) if chunked and content else content


def last_chunk(trailers: Fields) -> bytes:
    """The end of a body in chunks."""
    return b"0\r\n%b\r\n" % lines(trailers)


def opening(body: Body, client: Wire) -> bytes:
    """What is there of the body already. Raises `BadRequest`."""
    try:
        content, client.unread = body.take(client.unread)
    except Malformed as error:
        raise BadRequest(str(error)) from None
    return content


def opened(request: RequestHead, body: Body, content: bytes) -> bytes:
    """The same as it is sent behind a head."""
    if request.length != CHUNKED:
        return content
    data = framed(content, chunked=True)
    return data + last_chunk(body.trailers) if body.is_over else data


#: Changes the head of an answer before the caller gets it.
Amend = Callable[[ResponseHead], ResponseHead]


def as_it_is(response: ResponseHead) -> ResponseHead:
    """Changes nothing."""
    return response


class Exchange:
    """The exchanges of one caller, one after the other; see `run`."""

    __slots__ = (
        "_amend",
        "_body",
        "_client",
        "_fault",
        "_is_closing",
        "_is_sent",
        "_limits",
        "_patience",
        "_request",
        "_timeout_seconds",
        "_upstream",
    )

    _amend: Amend
    _body: Body
    _is_sent: bool  # the whole request
    _request: RequestHead
    _timeout_seconds: float
    _upstream: Upstream

    def __init__(
        self,
        client: Wire,
        *,
        limits: HttpLimits,
        patience: Patience,
        is_closing: Callable[[], bool],
    ) -> None:
        """`is_closing` says that the caller is to be told to go."""
        self._client = client
        self._limits = limits
        self._patience = patience
        self._is_closing = is_closing
        self._fault: Exception | None = None

    async def run(
        self,
        request: RequestHead,
        body: Body,
        upstream: Upstream,
        head: bytes,
        timeout_seconds: float,
        amend: Amend = as_it_is,
    ) -> Outcome:
        """Send `head`, which may have some of the body behind it, then the rest; pass the answer on.

        `body` is what is still to be read; `timeout_seconds` from the end of the request to the answer's
        head, which `amend` may change. Raises `UpstreamLost` and `BadResponse` while nothing was answered,
        then `CutShort`; `BadRequest` for a body that is malformed; `ConnectionError` for a lost caller.
        """
        self._request, self._body, self._upstream = request, body, upstream
        self._timeout_seconds, self._amend = timeout_seconds, amend
        if upstream.watcher is not None:
            upstream.watcher.let_go(upstream)
        is_whole = self._is_sent = body.is_over
        try:
            if upstream.left is None:
                self._expect(Phase.ANSWER if is_whole else Phase.UPLOAD)
                await upstream.send(head)
            else:
                await self._send_left(upstream.left)
        except ConnectionError:
            if is_whole and not upstream.has_sent:
                raise UpstreamLost(unanswered=True) from None
            # It may have answered before it went.
        rest = b"" if is_whole else self._begin_upload()
        if rest or not body.is_over:
            return await self._both_ways(rest)
        if not is_whole:
            self._sent()
        return await self._answer(upstream.more_alone)

    async def _send_left(self, left: bytes) -> None:
        """The rest of a request that was sent without a task; it is waited for since then."""
        upstream = self._upstream
        upstream.left = None
        if left:
            has_sent = upstream.has_sent
            try:
                await upstream.send(left)
            finally:
                upstream.has_sent |= has_sent

    def _expect(self, phase: Phase) -> None:
        seconds = self._timeout_seconds if phase is Phase.ANSWER else self._limits.stall_seconds
        self._patience.wait(phase, seconds)

    def _begin_upload(self) -> bytes:
        """Mostly all of a body has come by now: then it is nobody's task. What was read and not sent."""
        client, body, upstream = self._client, self._body, self._upstream
        if not isinstance(body, SizedBody) or not can_carry(client):
            return b""
        try:
            _, rest = carry_at_once(client, body, upstream)
        except Malformed as error:
            raise BadRequest(str(error)) from None
        except ConnectionError:
            if client.is_lost:
                raise
            return b""  # as above
        return rest

    def _sent(self) -> None:
        """All of the request."""
        self._is_sent = True
        if self._patience.phase is Phase.UPLOAD:
            self._expect(Phase.ANSWER)

    async def _both_ways(self, rest: bytes) -> Outcome:
        """The rest of the body, of which `rest` was read, and the answer, which may come before its end."""
        outcome: Outcome | None = None
        self._fault = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._upload, rest, nursery.cancel_scope)
            try:
                outcome = await self._answer(self._upstream.more)
            except Exception as error:
                self._fault = self._fault or error
            nursery.cancel_scope.cancel()
        if self._fault is not None:
            raise self._fault
        assert outcome is not None
        return outcome

    async def _upload(self, rest: bytes, exchange: trio.CancelScope) -> None:
        """See `_both_ways`. If the caller is to blame for its end, so for that of the exchange."""
        chunked = self._request.length == CHUNKED
        try:
            await self._pump(self._client, self._body, self._upstream, rest, chunked=chunked)
        except Malformed as error:
            self._fault = BadRequest(str(error))
            exchange.cancel()
        except ConnectionError as error:
            if self._client.is_lost:
                self._fault = error
                exchange.cancel()
        else:
            self._sent()

    async def _answer(self, more: More) -> Outcome:
        response = self._amend(await self._head(more))
        if response.status == 101:
            return await self._switch(response)
        request, upstream = self._request, self._upstream
        minor, is_whole = request.minor, self._is_sent
        chunked = is_chunked(response, minor)
        measured = chunked or not response.has_body or response.length not in (None, CHUNKED)
        keep = request.keep_alive and is_whole and measured and not self._is_closing()
        head = response_head(response, minor=minor, keep_alive=keep)
        self._expect(Phase.DOWNLOAD)
        if response.has_body:
            await self._download(response, head, chunked=chunked)
        else:
            await self._client.send(head)
        reusable = response.keep_alive and is_whole and not upstream.unread
        return Outcome(response.status, keeps_client=keep, keeps_upstream=reusable)

    async def _download(self, response: ResponseHead, head: bytes, *, chunked: bool) -> None:
        ends = response.ends
        body = body_of(None if isinstance(ends, Ends) else ends)
        try:
            await self._pump(self._upstream, body, self._client, head, chunked=chunked)
        except Malformed as error:
            raise CutShort(str(error)) from None
        except ConnectionError:
            if self._client.is_lost:
                raise
            raise CutShort("the upstream was lost") from None

    async def _pump(
        self, source: Wire, body: Body, sink: Wire, data: bytes, *, chunked: bool
    ) -> None:
        """`data`, then the body: first what was read already. Raises `Malformed`, `ConnectionError`."""
        pieces = 0
        while True:
            if source.unread:
                content, source.unread = body.take(source.unread)
                data += framed(content, chunked=chunked)
            if body.is_over:
                data += last_chunk(body.trailers) if chunked else b""
                if data:
                    await sink.send(data)
                return
            self._patience.wait(self._patience.phase, self._limits.stall_seconds)
            if data:
                await sink.send(data)
                data = b""
            pieces += 1
            if pieces % _PIECES_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            if isinstance(body, SizedBody) and can_carry(source):
                is_over = await carry(source, body, sink, self._moved)
                if is_over:
                    return
            if not await source.more():
                body.end()

    def _moved(self) -> None:
        self._patience.wait(self._patience.phase, self._limits.stall_seconds)

    async def _head(self, more: More) -> ResponseHead:
        """The head of the final answer; those before it are passed on, but for our own 100."""
        upstream, request, limits = self._upstream, self._request, self._limits
        while True:
            response, upstream.unread = next_response(
                upstream.unread, request.method, limits.head_bytes, limits.fields
            )
            if response is None:
                await self._more(more)
            elif response.status == 101:
                if not request.upgrade or response.upgrade.lower() != request.upgrade:
                    raise BadResponse("an upgrade that nobody asked for")
                return response
            elif not response.is_interim:
                return response
            else:
                if response.status != 100 and request.minor:
                    await self._client.send(response_head(response, minor=1, keep_alive=True))
                await trio.lowlevel.checkpoint()  # there may be any number of them

    async def _more(self, more: More) -> None:
        upstream = self._upstream
        try:
            if await more():
                return
        except ConnectionError:
            self._patience.wait(self._patience.phase, self._limits.stall_seconds)
        raise UpstreamLost(unanswered=not upstream.unread) from None

    async def _switch(self, response: ResponseHead) -> Outcome:
        """The last of HTTP here: what either side sent too early goes to the other."""
        client, upstream = self._client, self._upstream
        await client.send(switching(response) + upstream.unread)
        if client.unread:
            await upstream.send(client.unread)
        client.unread = upstream.unread = b""
        self._patience.phase = Phase.SWITCHED
        self._patience.stop()
        return Outcome(101, switched=True)
