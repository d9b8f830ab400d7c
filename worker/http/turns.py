"""The common turn of a conversation, in plain calls: a whole request, a pooled upstream, a whole answer.

The conversation's task sleeps meanwhile. It is woken by whatever is not common, and finds everything as if it
had come so far by itself: bytes that were read and not understood are unread again; a request that was judged
is judged once; one that was sent is on its way, with what is left to send of it, and whatever has come of the
answer is unread. So nothing is decided or counted here that the task would do another way.

Belongs here: where the task goes on after each step. Never here: the steps (`_steps`), or what a failure is
answered with (`conversation`). Only where the native modules were built is this imported.
"""

import trio

from worker.http._steps import Steps
from worker.http.backend import Backend
from worker.http.begun import Begun
from worker.http.express import Express
from worker.http.limits import HttpLimits
from worker.http.patience import Patience
from worker.http.wire import Wire


class Turns(Steps):
    """Those of one conversation; see `run`."""

    __slots__ = ("_error", "_handed_over", "_task")

    def __init__(
        self,
        express: Express,
        client: Wire,
        backend: Backend,
        patience: Patience,
        limits: HttpLimits,
    ) -> None:
        super().__init__(express, client, client.channel, backend, patience, limits)
        self._task: trio.lowlevel.Task | None = None
        self._handed_over: Begun | None = None
        self._error: Exception | None = None

    async def run(self) -> Begun | None:
        """Serve requests for as long as they are common; nothing may be unread.

        None: go on reading, or end, if we are leaving. If this is cancelled, or raises, what was begun is in
        `broken_off`.
        """
        if self.backend.is_leaving() or self.client.leg.pending():
            return None
        self._task = trio.lowlevel.current_task()
        self.has_more = self.is_leaving = False
        self.begin_waiting()
        self.backend.waits(self._leave)
        self.backend.follow(self)
        self.express.watch(self.channel.descriptor, self, is_answer=False)
        try:
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        finally:
            self.backend.waits(None)
            self.backend.follow(None)
        error, self._error = self._error, None
        if error is not None:
            raise error
        begun, self._handed_over = self._handed_over, None
        return begun

    def broken_off(self) -> Begun | None:
        """The request that was under way when `run` was cancelled, or raised; its upstream is let go of."""
        self.settle()
        begun, upstream = self.begun, self.upstream
        self.begun = self.upstream = None
        if upstream is not None:
            self.express.let_go(upstream)
            self.way.release(upstream, reusable=False)
        return begun

    def resume(self, begun: Begun | None = None, error: Exception | None = None) -> None:
        """Wake the task."""
        task = self._stop()
        if task is not None:
            self._handed_over, self._error = begun, error
            trio.lowlevel.reschedule(task)

    def read_on(self, data: bytes) -> None:
        """Have the task look at what has come."""
        self.client.unread = data
        self.resume()

    def hand_over(self) -> None:
        """Have the task go on with this request, from where it is."""
        self.settle()
        begun, upstream = self.begun, self.upstream
        self.begun = self.upstream = None
        if upstream is not None:
            self.express.let_go(upstream)
        self.client.unread = self.body
        self.resume(begun)

    def go_on(self) -> None:
        """What was held has not become whole."""
        if self.is_held:
            self.hand_over()

    def _leave(self) -> None:
        """The worker drains: at once, if nothing is under way."""
        self.is_leaving = True
        if self.is_idle:
            self.resume()

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._stop()
        if self.upstream is not None:  # an answer that comes before the task runs is nobody's
            self.express.let_go(self.upstream)
        return trio.lowlevel.Abort.SUCCEEDED

    def _stop(self) -> trio.lowlevel.Task | None:
        task, self._task = self._task, None
        if task is not None:
            self.express.forget(self.channel.descriptor)
            self.end_waiting()
        self.is_held = False
        return task
