# cython: language_level=3
"""The steps of a common turn (`turns`), outside Python: they are most of what such a turn costs here.

Belongs here: reading, asking and answering where all is common. Never here: how the task goes on where it is
not, which `turns` says, or anything that may wait. The types are in `_steps.pyi`.
"""

from trio import current_time

from worker.http._channel cimport AT_MOST, Channel

from worker.http import _heads as heads
from worker.http.answers import Answer
from worker.http.begun import Begun
from worker.http.bodies import ChunkedBody, Malformed
from worker.http.exchange import framed, last_chunk
from worker.http.heads import is_chunked
from worker.http.patience import Phase
from worker.http.responses import Ends

cdef object AT_ONCE = Ends.AT_ONCE
cdef object WITH_THE_CONNECTION = Ends.WITH_THE_CONNECTION
cdef object IDLE = Phase.IDLE
cdef object ANSWER = Phase.ANSWER
cdef object read_request = heads.request
cdef object read_response = heads.response
cdef object write_response = heads.response_head

cdef enum:
    IN_CHUNKS = -1  # `worker.http.fields.CHUNKED`


cdef class Steps:
    """See `_steps.pyi`."""

    cdef public object express, client, backend, patience
    cdef public Channel channel
    cdef public object begun, upstream, way
    cdef public bytes body
    cdef public bint has_more, is_held, is_first
    cdef object come_call, answer_call
    cdef Py_ssize_t head_bytes, most_fields
    cdef double idle_seconds

    def __init__(self, express, client, Channel channel not None, backend, patience, limits):
        self.express = express
        self.client = client
        self.channel = channel
        self.backend = backend
        self.patience = patience
        self.head_bytes = limits.head_bytes
        self.most_fields = limits.fields
        self.idle_seconds = limits.idle_seconds
        self.body = b""
        self.is_first = True

    def come(self):
        """Something has come from the caller."""
        if self.begun is not None:
            self.has_more = True  # after this one
            return
        try:
            data = self.channel.receive()
            if data:
                self._request(data)
            elif data is not None:
                self.resume()
        except Exception as error:
            self.resume(error=error)

    cdef int _request(self, bytes data) except -1:
        cdef object request, judged, upstream, length
        cdef Py_ssize_t end
        cdef double started
        found = None if len(data) == AT_MOST else read_request(data, self.head_bytes, self.most_fields)
        if found is None:
            self.read_on(data)
            return 0
        request, end = <tuple>found
        length = request.length
        if len(data) - end != (0 if length is None else <Py_ssize_t>length) or not request.keep_alive:
            self.read_on(data)
            return 0
        self.body = data[end:]
        self.is_first = False
        started = current_time()
        judged = self.backend.judge(request)
        self.begun = Begun(request, started, judged)
        if isinstance(judged, Answer) or judged.may_repeat:
            self.hand_over()
            return 0
        upstream = judged.at_once()
        if upstream is None:
            self.hand_over()
            return 0
        self.way = judged
        self.upstream = upstream
        data = judged.head(request, upstream.endpoint).http1()
        self._ask(data + self.body if self.body else data, upstream)
        return 0

    cdef int _ask(self, bytes data, upstream) except -1:
        cdef Channel channel = upstream.channel
        cdef Py_ssize_t taken
        self.patience.wait(ANSWER, self.way.timeout_seconds)
        try:
            taken = channel.send(data)
        except ConnectionError:
            taken = 0  # the task meets the same, and knows what to do
        upstream.has_sent = taken > 0
        upstream.moved(taken)
        if taken < len(data):
            upstream.left = data[taken:]
            self.hand_over()
            return 0
        upstream.left = b""
        self.express.await_answer(upstream, self.answer)
        return 0

    def answer(self):
        """Something has come from the upstream."""
        try:
            self._answer(self.upstream)
        except Exception as error:
            self.resume(error=error)

    cdef int _answer(self, upstream) except -1:
        cdef Channel channel = upstream.channel
        try:
            data = channel.receive()
        except ConnectionError:
            self.hand_over()  # the task meets the same
            return 0
        if data is None:
            return 0
        if upstream.unread:
            data = upstream.unread + data
        upstream.unread = data
        if not data or not self._passed_on(data, upstream):
            self.hand_over()
        return 0

    cdef bint _passed_on(self, bytes data, upstream) except? False:
        """Whether the answer could be dealt with here; nothing was done if not."""
        cdef object response, ends
        cdef bytes content
        cdef Py_ssize_t end, missing
        found = read_response(data, self.begun.request.method, self.head_bytes, self.most_fields)
        if found is None or len(data) >= AT_MOST or self.backend.is_leaving():
            return False
        response, end = <tuple>found
        ends = response.ends
        content = data[end:]
        if ends is AT_ONCE:
            if content:
                return False
        elif ends is WITH_THE_CONNECTION:
            return False
        elif ends == IN_CHUNKS:
            content = _unchunked(content)
            if content is None:
                return False
        else:
            missing = <Py_ssize_t>ends - len(content)
            if missing < 0:
                return False
            if missing > 0:
                self._hold()
                return True
        self._finish(response, content, upstream)
        return True

    cdef int _hold(self) except -1:
        """The rest of a body may be waited for, a moment."""
        if not self.is_held:
            self.is_held = True
            self.express.hold(self)
        return 0

    cdef int _finish(self, response, bytes content, upstream) except -1:
        """Pass the answer on; the last that may fail is behind us, but for the caller."""
        cdef object amended = self.way.amend(response)
        cdef object begun = self.begun
        cdef bytes data = write_response(amended, 1, True)
        cdef Py_ssize_t taken
        if is_chunked(amended, 1):
            content = framed(content, chunked=True) + last_chunk(())
        if content:
            data = data + content
        taken = self.channel.send(data)
        self.client.moved(taken)
        upstream.unread = b""
        upstream.left = None
        self.express.has_answered(upstream)
        self.begun = self.upstream = None
        self.is_held = False
        self.way.release(upstream, reusable=response.keep_alive)
        if taken < len(data):
            begun.status, begun.rest = amended.status, data[taken:]
            self.resume(begun)
            return 0
        self.backend.answered(amended.status, <double>current_time() - <double>begun.started)
        self.patience.wait(IDLE, self.idle_seconds)
        if self.has_more:
            self.has_more = False
            self.come()
        return 0


cdef bytes _unchunked(bytes data):
    """The content of a body in chunks, if that is all there is; None also for one with trailers."""
    body = ChunkedBody()
    try:
        content, rest = body.take(data)
    except Malformed:
        return None
    return content if body.is_over and not rest and not body.trailers else None
