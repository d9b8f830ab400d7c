"""The common turn of a conversation, in plain calls: a whole request, a pooled upstream, a whole answer.

The conversation's task sleeps meanwhile. It is woken by whatever is not common, and finds everything as if it
had come so far by itself: bytes that were read and not understood are unread again; a request that was judged
is judged once; one that was sent is on its way, with what is left to send of it, and whatever has come of the
answer is unread. So nothing is decided or counted here that the task would do another way.

Belongs here: the steps, and where the task goes on after each. Never here: anything that may wait, or what
a failure is answered with (`conversation`).
"""

from dataclasses import dataclass

import trio

from worker.http import native
from worker.http.answers import Answer
from worker.http.backend import Backend, Way
from worker.http.bodies import ChunkedBody, Malformed
from worker.http.exchange import framed, last_chunk
from worker.http.express import Express
from worker.http.fields import CHUNKED
from worker.http.heads import is_chunked, response_head
from worker.http.limits import HttpLimits
from worker.http.patience import Patience, Phase
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
from worker.http.responses import Ends, ResponseHead
from worker.http.wire import Wire


@dataclass(slots=True)
class Begun:
    """A request that was begun here. Its body, whole, is unread again.

    With `rest` it was answered with `status`, but for these bytes. Else `judged` has been said about it, and
    a way's next `connect` gives the upstream that it was sent to, if it was.
    """

    request: RequestHead
    started: float
    judged: Way | Answer
    status: int = 0
    rest: bytes = b""


class Turns:
    """Those of one conversation; see `run`."""

    __slots__ = (
        "_backend",
        "_begun",
        "_body",
        "_channel",
        "_client",
        "_error",
        "_express",
        "_handed_over",
        "_has_more",
        "_is_held",
        "_limits",
        "_patience",
        "_task",
        "_upstream",
        "_way",
        "is_first",
    )

    _way: Way
    _body: bytes

    def __init__(
        self,
        express: Express,
        client: Wire,
        backend: Backend,
        patience: Patience,
        limits: HttpLimits,
    ) -> None:
        self._express = express
        self._client = client
        self._channel = native.channel.Channel(client.leg)
        self._backend = backend
        self._patience = patience
        self._limits = limits
        self._task: trio.lowlevel.Task | None = None
        self._begun: Begun | None = None
        self._upstream: Upstream | None = None  # that was sent a request, and has not answered
        self._has_more = False
        self._is_held = False
        #: Whether no request has come here.
        self.is_first = True
        self._handed_over: Begun | None = None
        self._error: Exception | None = None

    async def run(self) -> Begun | None:
        """Serve requests for as long as they are common; nothing may be unread.

        None: go on reading, or end, if we are leaving. If this is cancelled, or raises, what was begun is in
        `broken_off`.
        """
        if self._backend.is_leaving() or self._client.leg.pending():
            return None
        self._task = trio.lowlevel.current_task()
        self._has_more = False
        self._patience.wait(Phase.IDLE, self._limits.idle_seconds)
        self._backend.waits(self._leave)
        self._express.watch(self._channel.descriptor, self._come)
        try:
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        finally:
            self._backend.waits(None)
        error, self._error = self._error, None
        if error is not None:
            raise error
        begun, self._handed_over = self._handed_over, None
        return begun

    def broken_off(self) -> Begun | None:
        """The request that was under way when `run` was cancelled, or raised; its upstream is let go of."""
        begun, upstream = self._begun, self._upstream
        self._begun = self._upstream = None
        if upstream is not None:
            self._express.let_go(upstream)
            self._way.release(upstream, reusable=False)
        return begun

    # How the task goes on

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._stop()
        return trio.lowlevel.Abort.SUCCEEDED

    def _stop(self) -> trio.lowlevel.Task | None:
        task, self._task = self._task, None
        self._express.forget(self._channel.descriptor)
        self._is_held = False
        return task

    def _resume(self, begun: Begun | None = None, error: Exception | None = None) -> None:
        task = self._stop()
        if task is not None:
            self._handed_over, self._error = begun, error
            trio.lowlevel.reschedule(task)

    def _leave(self) -> None:
        """The worker drains: at once, if nothing is under way."""
        if self._begun is None:
            self._resume()

    def _read_on(self, data: bytes) -> None:
        """Have the task look at what has come."""
        self._client.unread = data
        self._resume()

    def _hand_over(self) -> None:
        """Have the task go on with this request, from where it is."""
        begun, upstream = self._begun, self._upstream
        self._begun = self._upstream = None
        if upstream is not None:
            self._express.let_go(upstream)
        self._client.unread = self._body
        self._resume(begun)

    # The steps

    def _come(self) -> None:
        """Something has come from the caller."""
        if self._begun is not None:
            self._has_more = True  # after this one
            return
        try:
            data = self._channel.receive()
            if data:
                self._request(data)
            elif data is not None:
                self._resume()
        except Exception as error:
            self._resume(error=error)

    def _request(self, data: bytes) -> None:
        limits = self._limits
        found = native.heads.request(data, limits.head_bytes, limits.fields)
        if found is None:
            return self._read_on(data)
        request, end = found
        if (
            len(data) - end != (request.length or 0)
            or not request.keep_alive
            or len(data) == native.channel.FULL
        ):
            return self._read_on(data)
        self._body = body = data[end:]
        self.is_first = False
        started = trio.current_time()
        judged = self._backend.judge(request)
        self._begun = Begun(request, started, judged)
        if isinstance(judged, Answer) or judged.may_repeat:
            return self._hand_over()
        upstream = judged.at_once()
        if upstream is None:
            return self._hand_over()
        self._way = judged
        self._upstream = upstream
        self._ask(judged.head(request, upstream.endpoint).http1() + body, upstream)

    def _ask(self, data: bytes, upstream: Upstream) -> None:
        self._patience.wait(Phase.ANSWER, self._way.timeout_seconds)
        try:
            taken = upstream.channel.send(data)
        except ConnectionError:
            taken = 0  # the task meets the same, and knows what to do
        upstream.has_sent = taken > 0
        upstream.moved(taken)
        upstream.left = data[taken:]
        if upstream.left:
            return self._hand_over()
        self._express.await_answer(upstream, self._answer)

    def _answer(self) -> None:
        """Something has come from the upstream."""
        upstream = self._upstream
        assert upstream is not None
        try:
            data = upstream.channel.receive()
        except ConnectionError:
            return self._hand_over()  # the task meets the same
        if data is None:
            return
        upstream.unread = data = upstream.unread + data if upstream.unread else data
        try:
            if not data or not self._passed_on(data, upstream):
                self._hand_over()
        except Exception as error:
            self._resume(error=error)

    def _passed_on(self, data: bytes, upstream: Upstream) -> bool:
        """Whether the answer could be dealt with here; nothing was done if not."""
        begun, limits = self._begun, self._limits
        assert begun is not None
        found = native.heads.response(data, begun.request.method, limits.head_bytes, limits.fields)
        if found is None or len(data) >= native.channel.FULL or self._backend.is_leaving():
            return False
        response, end = found
        ends = response.ends
        if isinstance(ends, Ends):
            if ends is not Ends.AT_ONCE or len(data) > end:
                return False
        elif ends == CHUNKED:
            content = _unchunked(data[end:])
            if content is None:
                return False
            self._finish(begun, response, content, upstream)
            return True
        elif len(data) - end != ends:
            return self._holds(end + ends - len(data))
        self._finish(begun, response, data[end:], upstream)
        return True

    def _holds(self, missing: int) -> bool:
        """Whether the rest of a body may be waited for, a moment."""
        if missing > 0 and not self._is_held:
            self._is_held = True
            self._express.hold(self)
        return missing > 0

    def go_on(self) -> None:
        """What was held has not become whole."""
        if self._is_held:
            self._hand_over()

    def _finish(
        self, begun: Begun, response: ResponseHead, content: bytes, upstream: Upstream
    ) -> None:
        """Pass the answer on; the last that may fail is behind us, but for the caller."""
        amended = self._way.amend(response)
        head = response_head(amended, minor=1, keep_alive=True)
        if is_chunked(amended, 1):
            content = framed(content, chunked=True) + last_chunk(())
        data = head + content
        taken = self._channel.send(data)
        self._client.moved(taken)
        upstream.unread = b""
        upstream.left = None
        self._express.has_answered(upstream)
        self._begun = self._upstream = None
        self._is_held = False
        self._way.release(upstream, reusable=response.keep_alive)
        if taken < len(data):
            begun.status, begun.rest = amended.status, data[taken:]
            return self._resume(begun)
        self._backend.answered(amended.status, trio.current_time() - begun.started)
        self._patience.wait(Phase.IDLE, self._limits.idle_seconds)
        if self._has_more:
            self._has_more = False
            self._come()


def _unchunked(data: bytes) -> bytes | None:
    """The content of a body in chunks, if that is all there is; None also for one with trailers."""
    body = ChunkedBody()
    try:
        content, rest = body.take(data)
    except Malformed:
        return None
    return content if body.is_over and not rest and not body.trailers else None
