"""The exchange of a caller of HTTP/1.1 whose upstream is asked by an `Ask`: the same, in another HTTP.

As in `exchange`, each piece goes on before the next one is read, and an answer may come while the body is
still on its way. What differs is who frames what: pieces of a body are asked for and given bare.

Belongs here: one exchange. Never here: which upstream, or what to answer if there is none (`conversation`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from worker.http.asking import Ask
from worker.http.bodies import Body, Malformed
from worker.http.exchange import Amend, Outcome, framed, last_chunk
from worker.http.faults import BadRequest
from worker.http.fields import CHUNKED
from worker.http.heads import is_chunked, response_head
from worker.http.limits import HttpLimits
from worker.http.patience import Patience, Phase
from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead
from worker.http.wire import Wire

#: So much of an answer is put together at most before it is sent.
_TOGETHER_BYTES = 64 * 1024


@dataclass(slots=True, kw_only=True)
class Passing:
    """One exchange; see `run`. `start` is what is there of the body already, `seconds` are for the answer."""

    client: Wire
    request: RequestHead
    body: Body
    start: bytes
    seconds: float
    amend: Amend
    limits: HttpLimits
    patience: Patience
    is_closing: Callable[[], bool]
    _fault: Exception | None = None

    async def run(self, ask: Ask) -> Outcome:
        """Raises what `Exchange.run` raises."""
        if not self.body.is_over:
            self._expect(Phase.UPLOAD)
            return await self._both_ways(ask)
        self._expect(Phase.ANSWER)
        await self._send(ask, self.start)
        return await self._answer(ask)

    def _expect(self, phase: Phase) -> None:
        seconds = self.seconds if phase is Phase.ANSWER else self.limits.stall_seconds
        self.patience.wait(phase, seconds)

    async def _send(self, ask: Ask, content: bytes) -> None:
        """A piece of the body; with the last one its end."""
        if content:
            await ask.send(content)
        if self.body.is_over and self.request.has_body:
            await ask.end(self.body.trailers)

    async def _both_ways(self, ask: Ask) -> Outcome:
        outcome: Outcome | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._upload, ask, nursery.cancel_scope)
            try:
                outcome = await self._answer(ask)
            except Exception as error:
                self._fault = self._fault or error
            nursery.cancel_scope.cancel()
        if self._fault is not None:
            raise self._fault
        assert outcome is not None
        return outcome

    async def _upload(self, ask: Ask, exchange: trio.CancelScope) -> None:
        """The rest of the body. If the caller is to blame for its end, so for that of the exchange."""
        try:
            await self._pieces(ask)
        except Malformed as error:
            self._fault = BadRequest(str(error))
            exchange.cancel()
        except ConnectionError as error:
            self._fault = error
            exchange.cancel()
        else:
            if self.patience.phase is Phase.UPLOAD:
                self._expect(Phase.ANSWER)

    async def _pieces(self, ask: Ask) -> None:
        """Raises `Malformed`, `ConnectionError`."""
        client, body = self.client, self.body
        await self._send(ask, self.start)
        while not body.is_over:
            self.patience.wait(self.patience.phase, self.limits.stall_seconds)
            if not client.unread and not await client.more():
                body.end()
            content, client.unread = body.take(client.unread)
            await self._send(ask, content)

    async def _answer(self, ask: Ask) -> Outcome:
        request = self.request
        response = self.amend(await self._head(ask))
        minor = request.minor
        chunked = is_chunked(response, minor)
        measured = chunked or not response.has_body or response.length not in (None, CHUNKED)
        keep = request.keep_alive and self.body.is_over and measured and not self.is_closing()
        head = response_head(response, minor=minor, keep_alive=keep)
        self._expect(Phase.DOWNLOAD)
        if response.has_body:
            await self._download(ask, head, chunked=chunked)
        else:
            await self.client.send(head)
        return Outcome(response.status, keeps_client=keep)

    async def _head(self, ask: Ask) -> ResponseHead:
        """The head of the final answer; those before it are passed on, but for our own 100."""
        while (response := await ask.head()).is_interim:
            if response.status != 100 and self.request.minor:
                await self.client.send(response_head(response, minor=1, keep_alive=True))
        return response

    async def _download(self, ask: Ask, head: bytes, *, chunked: bool) -> None:
        """Nothing waits for what has not come; what has goes in one piece with the head."""
        data = head
        while True:
            if data and not (ask.is_ready and len(data) < _TOGETHER_BYTES):
                self._expect(Phase.DOWNLOAD)
                await self.client.send(data)
                data = b""
            self._expect(Phase.DOWNLOAD)
            if not (content := await ask.read()):
                break
            data += framed(content, chunked=chunked)
        await self.client.send(data + last_chunk(ask.trailers) if chunked else data)
