"""One request in plain calls, where all is common: it is whole, as is the answer of a pooled upstream.

Such a stream has no task. Whatever is not common is handed to one (`serving`), which finds everything as if
it had come so far by itself: a request that was judged is judged once, one that was sent is on its way, and
what has come of its answer is unread. So nothing is decided or counted here that the task would do otherwise.

Belongs here: the steps of such a request. Never here: what a failure is answered with (`serving`), or the
bookkeeping of a connection's streams (`conversation`). Only where the native modules were built is this used.
"""

from collections.abc import Callable
from typing import Protocol

from worker.http import native
from worker.http.answers import Answer
from worker.http.backend import Backend, Way
from worker.http.begun import Begun
from worker.http.bodies import ChunkedBody
from worker.http.bodies import Malformed as BadBody
from worker.http.exchange import framed, last_chunk
from worker.http.express import Express
from worker.http.faults import BadRequest
from worker.http.fields import CHUNKED
from worker.http.limits import HttpLimits
from worker.http.patience import Patience, Phase
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
from worker.http.responses import Ends, ResponseHead
from worker.http2 import heads
from worker.http2.faults import Malformed
from worker.http2.stream import GONE, Stream
from worker.net.leg import READ_BYTES

#: A longer body is carried by a task.
_BODY_BYTES = 64 * 1024


class Home(Protocol):
    """Whoever keeps the streams of a connection."""

    def go_on(self, turn: "Turn") -> None:
        """Have a task go on with it; see `begun` and `is_broken_off`."""
        ...

    def over(self, turn: "Turn") -> None:
        """It is answered."""
        ...

    def fail(self, turn: "Turn", error: Exception) -> None:
        """There is a bug, or the connection is broken."""
        ...


class Turn:
    """One request. Its stream's scope, and that of its patience, while it runs."""

    __slots__ = (
        "_clock",
        "_express",
        "_home",
        "_is_held",
        "_is_under_way",
        "_limits",
        "_upstream",
        "_way",
        "backend",
        "begun",
        "end",
        "is_broken_off",
        "is_sent",
        "patience",
        "started",
        "stream",
    )

    def __init__(
        self,
        stream: Stream,
        backend: Backend,
        patience: Patience,
        end: Callable[[], None],
        home: Home,
        express: Express | None,
        clock: Callable[[], float],
        limits: HttpLimits,
    ) -> None:
        """`end` is to be called when the stream is over; without `express` all is left to a task."""
        self.stream = stream
        self.backend = backend
        self.patience = patience
        self.end = end
        #: What was said about the request, once something was.
        self.begun: Begun | None = None
        #: Whether its time was up, or nobody waited for it any more: nothing is under way.
        self.is_broken_off = False
        #: Whether the whole request was given to the upstream that the way's next `connect` gives.
        self.is_sent = False
        self.started = clock()
        self._home = home
        self._express = express
        self._clock = clock
        self._limits = limits
        self._way: Way | None = None
        self._upstream: Upstream | None = None
        self._is_held = False
        self._is_under_way = True

    def begin(self) -> None:
        """Judge the request and send it on."""
        stream = self.stream
        stream.scope = self.patience.scope = self
        try:
            request = self._common()
            if request is None:
                self._hand_over()
                return
            judged = self.backend.judge(request)
            self.begun = Begun(request, self.started, judged)
            upstream = self._at_once(judged)
            if upstream is None:
                self._hand_over()
                return
            self._ask(request, upstream)
        except Exception as error:
            self._fail(error)

    def _common(self) -> RequestHead | None:
        """What is asked for, if that is worth a try."""
        stream, limits = self.stream, self._limits
        if self._express is None or not stream.is_whole or stream.trailers:
            return None
        if stream.unread_bytes > _BODY_BYTES:
            return None
        try:
            request = heads.request_of(
                stream.asked,
                has_body=stream.has_body,
                max_bytes=limits.head_bytes,
                max_fields=limits.fields,
            )
        except (BadRequest, Malformed):
            return None  # the task finds the same
        # Empty trailers end a body that may be shorter than it says: its upstream waits for the rest.
        is_short = request.length not in (None, CHUNKED, stream.content_bytes)
        return None if is_short else request

    def _at_once(self, judged: Way | Answer) -> Upstream | None:
        if isinstance(judged, Answer) or judged.may_repeat:
            return None
        self._way = judged
        return judged.at_once()

    def _ask(self, request: RequestHead, upstream: Upstream) -> None:
        stream, way = self.stream, self._way
        assert way is not None
        assert self._express is not None
        self._upstream = upstream
        data = way.head(request, upstream.endpoint).http1()
        if request.has_body:
            data += self._body(request)
        self.patience.wait(Phase.ANSWER, way.timeout_seconds)
        try:
            taken = upstream.channel.send(data)
        except ConnectionError:
            taken = 0  # the task meets the same, and knows what to do
        upstream.has_sent = taken > 0
        upstream.moved(taken)
        upstream.left = data[taken:]
        self.is_sent = True
        stream.took()
        if taken < len(data):
            self._hand_over()
        else:
            self._express.await_answer(upstream, self._answer)

    def _body(self, request: RequestHead) -> bytes:
        content = self.stream.whole()
        if request.length != CHUNKED:
            return content
        return framed(content, chunked=True) + last_chunk(())

    def _answer(self) -> None:
        """Something has come from the upstream."""
        upstream = self._upstream
        if upstream is None:
            return
        try:
            data = upstream.channel.receive()
        except ConnectionError:
            self._hand_over()  # the task meets the same
            return
        if data is None:
            return
        upstream.unread = upstream.unread + data if upstream.unread else data
        try:
            if not data or not self._passed_on(upstream.unread, upstream):
                self._hand_over()
        except Exception as error:
            self._fail(error)

    def _passed_on(self, data: bytes, upstream: Upstream) -> bool:
        """Whether the answer could be dealt with here; nothing was done if not."""
        assert self.begun is not None
        limits, method = self._limits, self.begun.request.method
        found = native.heads.response(data, method, limits.head_bytes, limits.fields)
        if found is None or len(data) >= READ_BYTES or self.stream.is_over:
            return False
        response, end = found
        content = _content(response, data[end:])
        if content is None:
            return False
        if len(content) < _least(response):
            self._hold()
            return True
        if not self.stream.has_room(len(content)):
            return False
        self._finish(response, content, upstream)
        return True

    def _hold(self) -> None:
        """The rest of a body may be waited for, a moment."""
        assert self._express is not None
        if not self._is_held:
            self._is_held = True
            self._express.hold(self)

    def go_on(self) -> None:
        """What was held has not become whole."""
        if self._is_held and self._is_under_way:
            self._hand_over()

    def _finish(self, response: ResponseHead, content: bytes, upstream: Upstream) -> None:
        """Pass the answer on; there is room for it."""
        way, begun = self._way, self.begun
        assert way is not None
        assert begun is not None
        amended = way.amend(response)
        self._leave(upstream, reusable=response.keep_alive)
        self.stream.answer(heads.response_fields(amended), content, has_body=amended.has_body)
        self.backend.answered(amended.status, self._clock() - self.started)
        self.stream.leave()
        self._home.over(self)

    # Ends of it that are not common.

    def _hand_over(self) -> None:
        """Have a task go on from where this is."""
        upstream = self._upstream
        self._upstream = None
        self._is_under_way = False
        if upstream is not None and self._express is not None:
            self._express.let_go(upstream)
        self._home.go_on(self)

    def cancel(self) -> None:
        """Its time is up, or nobody waits for it any more."""
        if self._is_under_way:
            self._break_off()
            self._home.go_on(self)

    def abandon(self) -> None:
        """The connection is over, and nobody is to be told."""
        if self._is_under_way:
            self._break_off()
            self.backend.answered(GONE, self._clock() - self.started)
            self.stream.is_over = True
            self.stream.leave()
            self._home.over(self)

    def _break_off(self) -> None:
        self.is_broken_off = True
        self._is_under_way = False
        if self._upstream is not None:
            self._leave(self._upstream, reusable=False)

    def _leave(self, upstream: Upstream, *, reusable: bool) -> None:
        assert self._express is not None
        assert self._way is not None
        self._is_under_way = False
        self._upstream = None
        upstream.unread, upstream.left = b"", None
        if reusable:
            self._express.has_answered(upstream)
        else:
            self._express.let_go(upstream)
        self._way.release(upstream, reusable=reusable)

    def _fail(self, error: Exception) -> None:
        if self._is_under_way:
            self._break_off()
        self._home.fail(self, error)


def _content(response: ResponseHead, data: bytes) -> bytes | None:
    """What is there of the body; None if it ends in a way that is not common, or there is more."""
    ends = response.ends
    if ends == CHUNKED:
        return _unchunked(data)
    if ends is Ends.WITH_THE_CONNECTION or len(data) > _least(response):
        return None
    return data


def _least(response: ResponseHead) -> int:
    ends = response.ends
    return ends if isinstance(ends, int) and ends > 0 else 0


def _unchunked(data: bytes) -> bytes | None:
    """The content of a body in chunks, if that is all there is; None also for one with trailers."""
    body = ChunkedBody()
    try:
        content, rest = body.take(data)
    except BadBody:
        return None
    return content if body.is_over and not rest and not body.trailers else None
