"""One request on its stream: judged, sent on, answered; both bodies as they come and no faster than they go.

What HTTP/1.1 ends a connection for costs no more than the stream here: an answer that cannot be finished is a
reset, and a caller that hangs up in the middle resets, too.

Belongs here: the order of a request's steps, and what each failure is answered with. Never here: frames and
windows (`stream`, `link`), who may ask for what (`Backend`), or asking (`worker.http.asks`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio
from h2.errors import ErrorCodes

from worker.http import answers
from worker.http.answers import Answer
from worker.http.asking import Ask, may_repeat
from worker.http.asks import ask
from worker.http.backend import Unserved, Way
from worker.http.exchange import CutShort, UpstreamLost
from worker.http.faults import BadRequest, BadResponse
from worker.http.fields import CHUNKED
from worker.http.limits import HttpLimits
from worker.http.patience import Phase
from worker.http.repeats import HELD_BODY_BYTES, PassedOver, answered, failed
from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead
from worker.http2 import grpc, heads
from worker.http2.faults import Malformed
from worker.http2.stream import GONE, Gone
from worker.http2.turn import Turn

_CONTINUE = [(b":status", b"100")]
#: How long a caller may take to read that its time was up.
_LAST_SECONDS = 30.0


@dataclass(slots=True)
class _Fault:
    """What the caller did wrong in its body, while somebody waits for the answer."""

    error: BadRequest | Malformed | None = None


class Serving:
    """One request, from where its turn has left it. `run` returns when the stream is over."""

    def __init__(self, turn: Turn, clock: Callable[[], float], limits: HttpLimits) -> None:
        stream = turn.stream
        self._stream = stream
        self._backend = turn.backend
        self._limits = limits
        self._patience = turn.patience
        self._started = turn.started
        self._begun = turn.begun
        self._is_sent = turn.is_sent
        self._is_broken_off = turn.is_broken_off
        self._clock = clock
        self._is_counted = self._is_continued = False
        self._held: bytes | None = None  # a body that can be sent once more
        self._way: Way | None = None
        self._is_grpc = grpc.is_grpc(stream.asked)

    async def run(self) -> None:
        """To the end of the stream, whoever it is ended by. Raises `Broken`."""
        stream = self._stream
        scope = stream.scope = self._patience.scope = trio.CancelScope()
        if stream.is_cut:
            scope.cancel()
        try:
            with scope:
                await self._serve()
            if scope.cancelled_caught and not stream.is_cut:
                scope = stream.scope = trio.CancelScope(
                    deadline=trio.current_time() + _LAST_SECONDS
                )
                with scope:
                    await self._too_late()
        except Gone:
            pass
        finally:
            self._patience.rest()
            self._over(GONE)
            if scope.cancelled_caught:
                stream.reset(ErrorCodes.CANCEL)
            stream.leave()

    async def _serve(self) -> None:
        stream = self._stream
        try:
            request, judged = self._judged()
            if self._is_broken_off:
                await self._end_at_once(judged)
            elif isinstance(judged, Answer):
                await self._say(judged)
            else:
                await self._forward(judged, request)
        except BadRequest as bad:
            await self._refuse(bad)
        except Malformed:
            self._over(400)
            stream.refuse()

    def _judged(self) -> tuple[RequestHead, Way | Answer]:
        """What is asked for, and what was said about it. Raises `BadRequest`, `Malformed`."""
        if self._begun is not None:
            return self._begun.request, self._begun.judged
        stream, limits = self._stream, self._limits
        request = heads.request_of(
            stream.asked,
            has_body=stream.has_body,
            max_bytes=limits.head_bytes,
            max_fields=limits.fields,
        )
        return request, self._backend.judge(request)

    async def _end_at_once(self, judged: Way | Answer) -> None:
        """It was ended while it had no task."""
        self._way = None if isinstance(judged, Answer) else judged
        self._patience.scope.cancel()
        await trio.lowlevel.checkpoint()

    async def _forward(self, way: Way, request: RequestHead) -> None:
        self._way = way
        try:
            if way.may_repeat:
                await self._repeatedly(way, request)
            else:
                waited = self._clock() - self._started if self._is_sent else 0.0
                await self._attempt(way, request, way.timeout_seconds - waited)
        except Unserved as unserved:
            await self._say(unserved.answer)
        except UpstreamLost:
            await self._say(answers.UPSTREAM_LOST)
        except BadResponse:
            await self._say(answers.UPSTREAM_NOT_HTTP)
        except CutShort:
            self._broken_off(502, ErrorCodes.INTERNAL_ERROR)

    async def _repeatedly(self, way: Way, request: RequestHead) -> None:
        """Attempts, by a route with retries, within the time of one request."""
        await self._hold(request)
        is_held = self._held is not None
        ends = self._clock() + way.timeout_seconds
        if is_held:
            self._patience.wait(Phase.ANSWER, way.timeout_seconds)
        while True:
            pause: float | None = None
            try:
                return await self._attempt(way, request, ends - self._clock(), is_held=is_held)
            except PassedOver as passed:
                pause = passed.pause_seconds
            except (Unserved, UpstreamLost, BadResponse) as error:
                outcome = failed(error) if is_held or isinstance(error, Unserved) else None
                pause = way.again(outcome) if outcome is not None else None
                if pause is None:
                    raise
            await trio.sleep(pause)

    async def _hold(self, request: RequestHead) -> None:
        """Have all of the body, if it is short enough to be sent once more; one without a length only if all
        of it is there already.
        """
        stream, length = self._stream, request.length or 0
        is_there = stream.is_whole and stream.unread_bytes <= HELD_BODY_BYTES
        if length > HELD_BODY_BYTES or (length == CHUNKED and not is_there):
            return
        self._continue(request)
        held = b""
        self._patience.wait(Phase.UPLOAD, self._limits.stall_seconds)
        while content := await stream.piece():
            held += content
            stream.took()
        self._held = held

    def _continue(self, request: RequestHead) -> None:
        """Tell a caller that waits for it, once, that its body is wanted. Raises `Gone`."""
        if request.expects_continue and not self._stream.is_whole and not self._is_continued:
            self._is_continued = True
            self._stream.head(_CONTINUE, is_interim=True)

    async def _attempt(
        self, way: Way, request: RequestHead, seconds: float, *, is_held: bool = False
    ) -> None:
        """Ask an upstream; a second time if the first had hung up before it was asked."""
        if not is_held:
            self._patience.wait(Phase.UPLOAD, self._limits.stall_seconds)
        asked = await ask(way, request)
        try:
            return await self._exchange(way, request, asked, seconds)
        except UpstreamLost as lost:
            if (request.has_body and not is_held) or not may_repeat(lost, request):
                raise
        await self._exchange(way, request, await ask(way, request, afresh=True), seconds)

    async def _exchange(self, way: Way, request: RequestHead, asked: Ask, seconds: float) -> None:
        """One attempt; the way is told of an upstream that has not answered, but for an old connection."""
        try:
            await self._pass(way, request, asked, seconds)
        except BadResponse:
            way.failed()
            raise
        except UpstreamLost as lost:
            if not (lost.was_used and lost.unanswered):
                way.failed()
            raise

    async def _pass(self, way: Way, request: RequestHead, asked: Ask, seconds: float) -> None:
        is_over = False
        try:
            if self._is_sent:
                await trio.lowlevel.checkpoint_if_cancelled()
            self._continue(request)
            if request.has_body and not self._is_sent:
                await self._both_ways(way, request, asked, seconds)
            else:
                self._patience.wait(Phase.ANSWER, seconds)
                await self._answer(way, asked)
            is_over = True
        finally:
            asked.give_back(reusable=is_over)

    async def _both_ways(self, way: Way, request: RequestHead, asked: Ask, seconds: float) -> None:
        fault = _Fault()
        lost: Exception | None = None
        async with trio.open_nursery() as nursery:
            exchange, length = nursery.cancel_scope, request.length
            nursery.start_soon(self._upload, asked, length, seconds, fault, exchange)
            try:
                await self._answer(way, asked)
            except Exception as error:
                lost = error
            nursery.cancel_scope.cancel()
        if fault.error is not None:
            raise fault.error
        if lost is not None:
            raise lost

    async def _upload(
        self,
        asked: Ask,
        length: int | None,
        seconds: float,
        fault: _Fault,
        exchange: trio.CancelScope,
    ) -> None:
        """The body. If the caller is to blame for its end, so for that of the exchange."""
        stream, patience = self._stream, self._patience
        size = len(self._held or b"")
        if self._held:
            await asked.send(self._held)
        while content := await stream.piece():
            patience.wait(patience.phase, self._limits.stall_seconds)
            await asked.send(content)
            stream.took()
            size += len(content)
        try:
            if length not in (None, CHUNKED, size):
                raise Malformed("trailers before the end of the body")
            await asked.end(heads.trailers_of(stream.trailers))
        except Malformed as error:
            fault.error = error
            exchange.cancel()
            return
        if patience.phase is Phase.UPLOAD:
            patience.wait(Phase.ANSWER, seconds)

    async def _answer(self, way: Way, asked: Ask) -> None:
        stream, patience = self._stream, self._patience
        found = await self._head(asked)
        response = way.amend(found)
        if self._held is not None and (pause := way.again(answered(found))) is not None:
            raise PassedOver(pause)
        patience.wait(Phase.DOWNLOAD, self._limits.stall_seconds)
        fields = heads.response_fields(response)
        stream.head(fields, is_last=not response.has_body)
        if response.has_body:
            await self._download(asked, response.length)
        self._over(response.status)

    async def _download(self, asked: Ask, length: int | None) -> None:
        """The answer's body; where its length is known, its end goes with the last piece of it."""
        stream, left = self._stream, length or CHUNKED
        while content := await asked.read():
            self._patience.wait(Phase.DOWNLOAD, self._limits.stall_seconds)
            left -= len(content)
            is_last = left == 0 and not await asked.read() and not asked.trailers
            await stream.send(content, is_last=is_last)
            if is_last:
                return
        stream.end(asked.trailers)

    async def _head(self, asked: Ask) -> ResponseHead:
        """The final answer's head; those before it are passed on, but for the 100, which is ours to say."""
        while True:
            response = await asked.head()
            if not response.is_interim:
                return response
            if response.status == 101:
                raise BadResponse("an upgrade that nobody asked for")
            await trio.lowlevel.checkpoint()  # there may be no end of them
            if response.status != 100:
                await self._stream.room()
                self._stream.head(heads.response_fields(response), is_interim=True)

    def _over(self, status: int) -> None:
        """Account for the request, once."""
        if not self._is_counted:
            self._is_counted = True
            self._backend.answered(status, self._clock() - self._started)

    async def _say(self, answer: Answer) -> None:
        """Answer by ourselves."""
        stream = self._stream
        self._over(answer.status)
        self._patience.wait(Phase.DOWNLOAD, self._limits.stall_seconds)
        if self._is_grpc:
            stream.head(grpc.fields(answer), is_last=True)
            return
        is_head = (b":method", b"HEAD") in stream.asked
        body = b"" if is_head else answer.text.encode()
        stream.head(heads.answer_fields(answer), is_last=not body)
        if body:
            await stream.send(body, is_last=True)

    async def _refuse(self, bad: BadRequest) -> None:
        if self._stream.has_answered:
            self._broken_off(bad.status, ErrorCodes.PROTOCOL_ERROR)
        else:
            await self._say(answers.bad_request(bad.status, bad.why))

    def _broken_off(self, status: int, code: ErrorCodes) -> None:
        """End without an answer, or in the middle of one: a reset says that it is not whole."""
        self._over(status)
        self._stream.reset(code)

    async def _too_late(self) -> None:
        """The time was up: for what, the phase says."""
        match self._patience.phase:
            case Phase.UPLOAD:
                await self._refuse(BadRequest("it took too long to come", 408))
            case Phase.ANSWER:
                if self._way is not None:
                    self._way.failed()
                await self._say(answers.TIMED_OUT)
            case _:
                self._broken_off(502, ErrorCodes.CANCEL)
