"""What a caller and a gateway say to each other on one connection, request after request.

One request is served to its end before the next is read, so pipelined ones are answered in order, and what
waits stays with the caller. After anything that cannot be understood the connection is closed, as nobody
can say where the next request would begin.

Belongs here: the order of a request's steps and what each failure is answered with. Never here: who may ask
for what, or which upstream gets it: a gateway kind says both (`backend`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import trio

from cluster.errors import ClientFault, UpstreamFault
from cluster.reasons import End
from worker.http import answers
from worker.http.answers import Answer
from worker.http.asking import IDEMPOTENT, Place, may_repeat
from worker.http.asks import ask_on
from worker.http.backend import Backend, Unserved, Way
from worker.http.begun import Begun
from worker.http.bodies import Body, body_of
from worker.http.exchange import (
    Amend,
    CutShort,
    Exchange,
    Outcome,
    UpstreamLost,
    opened,
    opening,
)
from worker.http.express import Express
from worker.http.faults import BadRequest, BadResponse, SpeaksHttp2
from worker.http.limits import DEFAULT_LIMITS, UNWANTED_BODY_BYTES, HttpLimits
from worker.http.passing import Passing
from worker.http.patience import Patience, Phase, Timers
from worker.http.pool import Upstream
from worker.http.reading import HTTP2, next_request
from worker.http.repeats import HELD_BODY_BYTES, PassedOver, answered, failed
from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead
from worker.http.wire import Wire

if TYPE_CHECKING:
    from worker.http.turns import Turns


@dataclass(slots=True)
class _Asked:
    """The request that is being served."""

    request: RequestHead
    body: Body
    started: float
    status: int = 0  # of what was answered; 0 is nothing yet
    way: Way | None = None
    waited_seconds: float = 0.0  # for the answer, before a task had it


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What an upstream is asked: `start` is what is there of the body, `seconds` are for the answer."""

    way: Way
    start: bytes
    seconds: float
    amend: Amend


def _passing_over(way: Way) -> Amend:
    """As `way.amend`, but for answers that the caller does not get."""

    def amend(response: ResponseHead) -> ResponseHead:
        amended = way.amend(response)
        pause = way.again(answered(response))
        if pause is not None:
            raise PassedOver(pause)
        return amended

    return amend


def _may_repeat(lost: UpstreamLost, upstream: Upstream | Place, request: RequestHead) -> bool:
    """Whether a request of which all is there may be made once more, on a new connection."""
    if not isinstance(upstream, Upstream):
        return may_repeat(lost, request)
    again = lost.unanswered and upstream.is_used
    return again and (not upstream.has_sent or request.method in IDEMPOTENT)


def _grew_old(error: UpstreamLost | BadResponse, upstream: Upstream | Place) -> bool:
    """Whether a connection was let go of in the very moment that it was used again."""
    if not isinstance(error, UpstreamLost):
        return False
    was_used = upstream.is_used if isinstance(upstream, Upstream) else error.was_used
    return was_used and error.unanswered


class Conversation:
    """One caller's connection."""

    def __init__(
        self,
        client: Wire,
        backend: Backend,
        timers: Timers,
        limits: HttpLimits = DEFAULT_LIMITS,
        express: Express | None = None,
    ) -> None:
        """With `express` common turns are no task's."""
        self._client = client
        self._backend = backend
        self._limits = limits
        self._patience = Patience(timers)
        self._exchange = Exchange(
            client, limits=limits, patience=self._patience, is_closing=backend.is_leaving
        )
        self._asked: _Asked | None = None
        self._is_first = True
        self._turns_at_once = (
            None if express is None else express.turns(client, backend, self._patience, limits)
        )

    async def run(self) -> End:
        """Until either side has had enough. Raises `Ended` when it was not in order, and `SpeaksHttp2`."""
        end: End | None = None
        try:
            while end is None:
                scope = self._patience.scope = trio.CancelScope()
                with scope:
                    end = await self._turns()
                if scope.cancelled_caught:
                    with trio.move_on_after(self._limits.stall_seconds):
                        end = await self._too_late()
        except ConnectionError as error:
            raise ClientFault(End.CLIENT_RESET, str(error)) from None
        finally:
            self._patience.stop()
        return end

    async def _turns(self) -> End:
        """Request after request."""
        while (end := await self._turn()) is None:
            pass
        return end

    async def _turn(self) -> End | None:
        """One request; None if another may follow."""
        self._asked = None
        try:
            if self._turns_at_once is not None and not self._client.unread:
                begun = await self._common(self._turns_at_once)
                self._is_first &= self._turns_at_once.is_first
                if begun is not None:
                    return await self._take_over(begun)
            request = await self._next()
            if request is None:
                await self._client.hang_up()
                return End.FINISHED
            return await self._serve(request)
        except BadRequest as bad:
            if self._is_first and self._client.unread.startswith(HTTP2):
                raise SpeaksHttp2 from None
            return await self._refuse(bad)

    async def _next(self) -> RequestHead | None:
        """The next request's head; None if the caller, or we, have had enough."""
        client, limits = self._client, self._limits
        self._patience.wait(Phase.IDLE, limits.idle_seconds)
        while True:
            if client.unread:
                if self._patience.phase is Phase.IDLE:
                    self._patience.wait(Phase.HEAD, limits.head_seconds)
                request, client.unread = next_request(
                    client.unread, limits.head_bytes, limits.fields
                )
                if request is not None:
                    self._is_first = False
                    return request
            if not await self._more():
                if client.unread.strip(b"\r\n"):
                    raise BadRequest("the connection ended in a request head")
                return None

    async def _more(self) -> bool:
        """Read on; while idle, the gateway may end the waiting."""
        client, backend = self._client, self._backend
        if client.unread:
            return await client.more()
        if backend.is_leaving():
            return False
        backend.waits(client.nudge)
        try:
            return await client.more_alone()
        except trio.ClosedResourceError:
            return False
        finally:
            backend.waits(None)

    async def _common(self, turns: "Turns") -> Begun | None:
        """What is common needs nobody; the first that is not."""
        try:
            return await turns.run()
        except BaseException:
            if begun := turns.broken_off():
                way = None if isinstance(begun.judged, Answer) else begun.judged
                self._asked = _Asked(begun.request, body_of(0), begun.started, way=way)
            raise

    async def _take_over(self, begun: Begun) -> End | None:
        """Go on with what was begun without a task."""
        request = begun.request
        asked = self._asked = _Asked(request, body_of(request.length or 0), begun.started)
        asked.waited_seconds = trio.current_time() - begun.started
        if not begun.rest:
            return await self._decided(asked, begun.judged)
        self._patience.wait(Phase.DOWNLOAD, self._limits.stall_seconds)
        await self._client.send(begun.rest)
        self._over(begun.status)
        return None

    async def _serve(self, request: RequestHead) -> End | None:
        asked = self._asked = _Asked(request, body_of(request.length or 0), trio.current_time())
        return await self._decided(asked, self._backend.judge(request))

    async def _decided(self, asked: _Asked, judged: Way | Answer) -> End | None:
        if isinstance(judged, Answer):
            return await self._say(judged)
        try:
            outcome = await self._forward(judged, asked)
        except Unserved as unserved:
            return await self._say(unserved.answer)
        except UpstreamLost:
            return await self._say(answers.UPSTREAM_LOST)
        except BadResponse:
            return await self._say(answers.UPSTREAM_NOT_HTTP)
        except CutShort as cut:
            self._break_off(End.UPSTREAM_RESET, str(cut))
        if isinstance(outcome, End):
            return outcome
        self._over(outcome.status)
        if outcome.keeps_client:
            return None
        await self._client.hang_up()
        return End.FINISHED

    async def _forward(self, way: Way, asked: _Asked) -> Outcome | End:
        """Ask an upstream, by a route with retries perhaps several, within the time of one request."""
        asked.way = way
        start = opening(asked.body, self._client)
        if not way.may_repeat:
            return await self._attempt(asked, _Attempt(way, start, way.timeout_seconds, way.amend))
        start = await self._held(asked, start)
        is_whole = asked.body.is_over
        ends = trio.current_time() + way.timeout_seconds
        while True:
            try:
                return await self._repeatable(way, asked, start, ends, is_whole=is_whole)
            except PassedOver as passed:
                await trio.sleep(passed.pause_seconds)

    async def _held(self, asked: _Asked, start: bytes) -> bytes:
        """A body that is short enough to be sent once more, all of it. Raises `BadRequest`."""
        request, client = asked.request, self._client
        if not 0 < (request.length or 0) <= HELD_BODY_BYTES:
            return start
        if request.expects_continue and not start:
            await client.send(answers.CONTINUE)
        parts = [start]
        self._patience.wait(Phase.UPLOAD, self._limits.stall_seconds)
        while not asked.body.is_over:
            if not await client.more():
                raise BadRequest("the connection ended in a body")
            parts.append(opening(asked.body, client))
        return b"".join(parts)

    async def _repeatable(
        self, way: Way, asked: _Asked, start: bytes, ends: float, *, is_whole: bool
    ) -> Outcome | End:
        """One attempt of perhaps several. Raises `PassedOver` if there is to be another."""
        amend = _passing_over(way) if is_whole else way.amend
        left = ends - trio.current_time()
        try:
            return await self._attempt(asked, _Attempt(way, start, left, amend))
        except (Unserved, UpstreamLost, BadResponse) as error:
            outcome = failed(error) if is_whole or isinstance(error, Unserved) else None
            pause = way.again(outcome) if outcome is not None else None
            if pause is None:
                raise
            raise PassedOver(pause) from None

    async def _attempt(self, asked: _Asked, attempt: _Attempt) -> Outcome | End:
        """Ask an upstream; a second time if the first had hung up before it was asked."""
        request, way = asked.request, attempt.way
        is_whole = asked.body.is_over
        self._patience.wait(Phase.ANSWER, attempt.seconds - asked.waited_seconds)
        upstream = await way.connect(afresh=False)
        try:
            return await self._ask(asked, attempt, upstream)
        except UpstreamLost as lost:
            if not is_whole or not _may_repeat(lost, upstream, request):
                raise
        return await self._ask(asked, attempt, await way.connect(afresh=True))

    async def _ask(
        self, asked: _Asked, attempt: _Attempt, upstream: Upstream | Place
    ) -> Outcome | End:
        try:
            if isinstance(upstream, Upstream):
                return await self._ask_http1(asked, attempt, upstream)
            return await self._ask_http2(asked, attempt, upstream)
        except (UpstreamLost, BadResponse) as error:
            if not _grew_old(error, upstream):
                attempt.way.failed()
            raise

    async def _ask_http2(self, asked: _Asked, attempt: _Attempt, place: Place) -> Outcome:
        ask = await ask_on(attempt.way, asked.request, place)
        try:
            await self._continue(asked, attempt)
            return await self._passing(asked, attempt).run(ask)
        finally:
            ask.give_back(reusable=True)

    def _passing(self, asked: _Asked, attempt: _Attempt) -> Passing:
        return Passing(
            client=self._client,
            request=asked.request,
            body=asked.body,
            start=attempt.start,
            seconds=attempt.seconds,
            amend=attempt.amend,
            limits=self._limits,
            patience=self._patience,
            is_closing=self._backend.is_leaving,
        )

    async def _ask_http1(
        self, asked: _Asked, attempt: _Attempt, upstream: Upstream
    ) -> Outcome | End:
        request, way = asked.request, attempt.way
        try:
            await self._continue(asked, attempt)
            start = opened(request, asked.body, attempt.start)
            head = way.head(request, upstream.endpoint).http1() + start
            outcome = await self._exchange.run(
                request, asked.body, upstream, head, attempt.seconds, attempt.amend
            )
        except BaseException:
            way.release(upstream, reusable=False)
            raise
        if not outcome.switched:
            way.release(upstream, reusable=outcome.keeps_upstream)
            return outcome
        self._over(outcome.status)
        return await way.relay(self._client, upstream)

    async def _continue(self, asked: _Asked, attempt: _Attempt) -> None:
        """Now that there is somebody to take the body, have it sent."""
        if asked.request.expects_continue and not asked.body.is_over and not attempt.start:
            await self._client.send(answers.CONTINUE)

    def _over(self, status: int) -> None:
        """Account for the request."""
        if self._asked is not None and not self._asked.status:
            self._asked.status = status
            self._backend.answered(status, trio.current_time() - self._asked.started)

    async def _say(self, answer: Answer) -> End | None:
        """Answer by ourselves; the connection goes on if what is left of the body is small and will come."""
        asked = self._asked
        assert asked is not None
        request, body = asked.request, asked.body
        keep = self._may_go_on(answer, request, body)
        self._over(answer.status)
        self._patience.wait(Phase.DOWNLOAD, self._limits.stall_seconds)
        is_head = request.method == b"HEAD"
        await self._client.send(
            answer.render(is_head=is_head, keep_alive=keep, minor=request.minor)
        )
        if not keep:
            await self._client.hang_up()
            return End.FINISHED
        await self._skip(body)
        return None

    def _may_go_on(self, answer: Answer, request: RequestHead, body: Body) -> bool:
        if answer.closes or not request.keep_alive or self._backend.is_leaving():
            return False
        if body.is_over:
            return True
        return not request.expects_continue and 0 < (request.length or 0) <= UNWANTED_BODY_BYTES

    async def _skip(self, body: Body) -> None:
        """Read what nobody wants, up to the next request."""
        client = self._client
        while not body.is_over:
            if not client.unread and not await client.more():
                raise ClientFault(End.CLIENT_RESET, "the caller ended in a body")
            _, client.unread = body.take(client.unread)

    async def _refuse(self, bad: BadRequest) -> End:
        if self._patience.phase is Phase.DOWNLOAD or self._client.is_cut:
            self._break_off(End.BAD_REQUEST, bad.why)
        answer = answers.bad_request(bad.status, bad.why)
        if self._asked is None:
            self._backend.answered(bad.status, 0.0)
        self._over(bad.status)
        await self._client.send(answer.render(is_head=False, keep_alive=False))
        await self._client.hang_up()
        return End.BAD_REQUEST

    def _break_off(self, end: End, why: str) -> NoReturn:
        """End in the middle of an answer: a reset says that it is not whole."""
        self._over(502)
        self._client.abort()
        raise UpstreamFault(end, why)

    async def _too_late(self) -> End | None:
        """The time was up: for what, the phase says."""
        match self._patience.phase:
            case _ if self._client.is_cut:
                pass  # in the midst of an interim answer
            case Phase.IDLE:
                await self._client.hang_up()
                return End.IDLE_TIMEOUT
            case Phase.HEAD | Phase.UPLOAD:
                return await self._refuse(BadRequest("it took too long to come", 408))
            case Phase.ANSWER:
                if self._asked is not None and self._asked.way is not None:
                    self._asked.way.failed()
                return await self._say(answers.TIMED_OUT)
        self._break_off(End.IDLE_TIMEOUT, "no byte of the answer moved for too long")
