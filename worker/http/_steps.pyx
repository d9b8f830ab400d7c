# cython: language_level=3
"""The steps of a common turn (`turns`), outside Python: they are most of what such a turn costs here.

A request for which there is a plan is served without any object of its own but the bytes that came: heads are
scanned where they lie and written from there. What a task would need of it is made when a task is to have it.

Belongs here: reading, asking and answering where all is common. Never here: how the task goes on where it is
not, which `turns` says, or anything that may wait. The types are in `_steps.pyi`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython cimport array
from libc.stdint cimport uint8_t, uint64_t

from worker.http._bytes cimport Table, fill
from worker.http._channel cimport AT_MOST, Channel
from worker.http._chunks cimport put_chunk
from worker.http._plan cimport Lane, Plan
from worker.http._rounds cimport ANSWERED, Rounds, Waiting, monotonic
from worker.http._scan cimport IN_CHUNKS, NO_LENGTH, Scan, scan_request, scan_response
from worker.http._written cimport (
    ID_BYTES, SEEN_ID, next_chance, put, put_request, put_response, put_uuid, room_for,
)

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

cdef Table TABLE
fill(&TABLE)

cdef enum:
    ROOM = 2 * AT_MOST  # for what is written: a head and a body that came in one read, and what we add
    UP = 0     # of `worker.relay.engine.Flow.counters`
    DOWN = 1

# For all: what was scanned and written is sent before anybody else's is.
cdef Scan FOUND
cdef char WRITTEN[ROOM]


cdef class Steps(Waiting):
    """See `_steps.pyi`."""

    cdef public object client, backend, patience
    cdef public Channel channel
    cdef public object begun, upstream, way
    cdef public bytes body
    cdef public bint has_more, is_held, is_first, is_leaving
    cdef public double looked_at
    cdef Rounds rounds
    cdef readonly object express
    cdef object entry
    cdef array.array counters
    cdef Plan plan
    cdef Lane lane, shown     # of the request that is under way; what the register shows
    cdef bytes asked          # a request under way by a plan, whole
    cdef double started, deadline
    cdef bint is_head, is_sent  # of that request
    cdef object phase
    cdef uint64_t chance
    cdef Py_ssize_t head_bytes, most_fields
    cdef double idle_seconds

    def __init__(self, Rounds express not None, client, Channel channel not None, backend, patience, limits):
        self.express = self.rounds = express
        self.client = client
        self.channel = channel
        self.backend = backend
        self.entry, self.counters = backend.account()
        self.patience = patience
        self.head_bytes = limits.head_bytes
        self.most_fields = limits.fields
        self.idle_seconds = limits.idle_seconds
        self.body = b""
        self.is_first = True
        self.phase = IDLE
        self.chance = backend.chance()

    # How long is waited for what, told to `patience` when it looks.

    cdef int _wait(self, phase, double seconds) except -1:
        cdef double deadline = self.rounds.now + seconds
        self.phase = phase
        self.deadline = deadline
        if deadline < self.looked_at:
            self.patience.wait(phase, seconds)
            self.looked_at = self.patience.looked_at
        return 0

    def begin_waiting(self):
        self.plan = self.shown = None  # whatever a task has done meanwhile
        self.rounds.tell_time()
        self.patience.wait(IDLE, self.idle_seconds)
        self.phase, self.deadline = IDLE, self.patience.deadline
        self.looked_at = self.patience.looked_at
        self.patience.teller = self

    def end_waiting(self):
        self.patience.teller = None
        self.tell()

    def tell(self):
        self.patience.phase = self.phase
        self.patience.deadline = self.deadline

    # What comes.

    cdef int come(self) except -1:
        if self.asked is not None or self.begun is not None:
            self.has_more = True  # after this one
            return 0
        try:
            data = self.channel.receive()
            if data:
                self._request(data)
            elif data is not None:
                self.resume()
        except Exception as error:
            self.resume(error=error)
        return 0

    cdef int answer(self) except -1:
        try:
            if self.upstream is not None:
                self._answer(self.upstream)
        except Exception as error:
            self.resume(error=error)
        return 0

    cdef int _request(self, bytes data) except -1:
        cdef object request, judged, upstream, length
        cdef Py_ssize_t end
        if self.plan is not None and self._go_by_plan(data):
            return 0
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
        judged = self.backend.judge(request)
        self.plan = self.backend.plan()
        self.shown = None
        self.begun = Begun(request, monotonic() + self.rounds.offset, judged)
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
        self._wait(ANSWER, self.way.timeout_seconds)
        try:
            taken = channel.send(data)
        except ConnectionError:
            taken = 0  # the task meets the same, and knows what to do
        self.counters.data.as_ulonglongs[UP] += <unsigned long long>taken
        upstream.has_sent = taken > 0
        if taken < len(data):
            upstream.left = data[taken:]
            self.hand_over()
            return 0
        upstream.left = b""
        self._await_answer(channel, upstream)
        return 0

    cdef int _await_answer(self, Channel channel, upstream) except -1:
        if upstream.watcher is self.express:
            return self.rounds.wait(channel.side.fd, self, ANSWERED)
        upstream.watcher = self.express
        self.rounds.watch(channel.side.fd, self, True)
        return 0

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
        if data and self.asked is not None and self._answer_by_plan(data, channel, upstream):
            return 0
        upstream.unread = data
        self.settle()
        if not data or not self._passed_on(data, upstream):
            self.hand_over()
        return 0

    cdef bint _passed_on(self, bytes data, upstream) except? False:
        """Whether the answer could be dealt with here; nothing was done if not."""
        cdef object response, ends
        cdef bytes content
        cdef Py_ssize_t end, missing
        found = read_response(data, self.begun.request.method, self.head_bytes, self.most_fields)
        if found is None or len(data) >= AT_MOST or self.is_leaving:
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
        self.counters.data.as_ulonglongs[DOWN] += <unsigned long long>taken
        upstream.unread = b""
        upstream.left = None
        self._has_answered(upstream)
        self.begun = None
        self.way.release(upstream, reusable=response.keep_alive)
        if taken < len(data):
            begun.status, begun.rest = amended.status, data[taken:]
            self.resume(begun)
            return 0
        self.backend.answered(amended.status, monotonic() + self.rounds.offset - <double>begun.started)
        return self._over()

    cdef int _has_answered(self, upstream) except -1:
        self.rounds.quit((<Channel>upstream.channel).side.fd)
        self.rounds.answered += 1
        self.upstream = None
        self.is_held = False
        return 0

    cdef int _over(self) except -1:
        """The next request."""
        self._wait(IDLE, self.idle_seconds)
        if self.has_more:
            self.has_more = False
            self.come()
        return 0

    # The same by a plan.

    cdef bint _go_by_plan(self, bytes data) except? False:
        """False if this is none of the plan's; nothing was done then."""
        cdef Plan plan = self.plan
        cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef Lane lane
        cdef object upstream
        if size == AT_MOST:
            return False
        if not scan_request(&TABLE, start, min(size, self.head_bytes), self.most_fields, &FOUND):
            return False
        if FOUND.hop.closes or size - FOUND.size != (0 if FOUND.hop.length == NO_LENGTH else FOUND.hop.length):
            return False
        if not plan.holds(&FOUND, self.rounds.now):
            self.plan = None
            return False
        lane = plan.lane()
        if lane is None:
            return False
        self.started = monotonic()
        self.is_first = False
        self.is_head = FOUND.first_bytes == 4 and FOUND.first[0] == c"H"
        self.is_sent = False
        self.asked = data
        self.lane = lane
        plan.allowed()
        if plan.permit is not None:
            self.entry.permit = plan.permit
        if not lane.enter():
            self.hand_over()  # to be told so
            return True
        upstream = lane.take()
        if upstream is None:
            lane.leave()
            self.hand_over()  # to wait for one, or to dial
        else:
            self._ask_by_plan(upstream)
        return True

    cdef int _ask_by_plan(self, upstream) except -1:
        cdef Channel channel = upstream.channel
        cdef Py_ssize_t taken
        cdef bytes data
        self.upstream = upstream
        if self.shown is not self.lane:
            self.entry.service, self.entry.endpoint = self.plan.service, self.lane.endpoint
            self.shown = self.lane
        data = self._written_request()
        if data is None:
            self.hand_over()
            return 0
        self._wait(ANSWER, self.plan.timeout_seconds)
        try:
            taken = channel.send(data)
        except ConnectionError:
            taken = 0
        self.counters.data.as_ulonglongs[UP] += <unsigned long long>taken
        if taken < PyBytes_GET_SIZE(data):
            upstream.has_sent = taken > 0
            upstream.left = data[taken:]
            self.hand_over()
            return 0
        self.is_sent = True
        return self._await_answer(channel, upstream)

    cdef bytes _written_request(self):
        """The head that was just scanned as it goes on, and the body; None if that is too much."""
        cdef char request_id[ID_BYTES]
        cdef uint64_t bits[2]
        cdef const char *host = <const char *>FOUND.host
        cdef Py_ssize_t host_bytes = FOUND.host_bytes
        cdef Py_ssize_t body_bytes = PyBytes_GET_SIZE(self.asked) - FOUND.size
        cdef char *end
        if self.lane.host is not None:
            host, host_bytes = PyBytes_AS_STRING(self.lane.host), PyBytes_GET_SIZE(self.lane.host)
        if room_for(&FOUND, &self.plan.told, host_bytes) + body_bytes > ROOM:
            return None
        if FOUND.forwarded[SEEN_ID].name == NULL or FOUND.forwarded[SEEN_ID].value_bytes == 0:
            bits[0] = next_chance(&self.chance)
            bits[1] = next_chance(&self.chance)
            put_uuid(request_id, <const uint8_t *>bits)
        end = put_request(WRITTEN, &FOUND, &self.plan.told, host, host_bytes, request_id)
        end = put(end, FOUND.start + FOUND.size, body_bytes)
        return PyBytes_FromStringAndSize(WRITTEN, end - WRITTEN)

    cdef bint _answer_by_plan(self, bytes data, Channel channel, upstream) except? False:
        """Whether the answer could be dealt with here; nothing was done if not."""
        cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t content
        cdef char *end
        if size >= AT_MOST or self.is_leaving:
            return False
        if not scan_response(&TABLE, start, min(size, self.head_bytes), self.most_fields, &FOUND):
            return False
        content = size - FOUND.size
        if self.is_head or FOUND.status == 204 or FOUND.status == 304:
            if content:
                return False
            end = put_response(WRITTEN, &FOUND, False)
        elif FOUND.hop.length == IN_CHUNKS:
            end = put_response(WRITTEN, &FOUND, True)
            end = put_chunk(end, start + FOUND.size, content)
            if end == NULL:
                return False
        elif FOUND.hop.length == NO_LENGTH or FOUND.hop.length < content:
            return False
        elif FOUND.hop.length > content:
            upstream.unread = data
            self._hold()
            return True
        else:
            end = put_response(WRITTEN, &FOUND, True)
            end = put(end, start + FOUND.size, content)
        self._pass_on(end - WRITTEN, channel, upstream)
        return True

    cdef int _pass_on(self, Py_ssize_t size, Channel channel, upstream) except -1:
        """What is written there."""
        cdef bytes data = PyBytes_FromStringAndSize(WRITTEN, size)
        cdef int status = FOUND.status
        cdef bint reusable = not FOUND.hop.closes
        cdef Py_ssize_t taken
        self.plan.judged(self.lane, status)
        taken = self.channel.send(data)
        self.counters.data.as_ulonglongs[DOWN] += <unsigned long long>taken
        if self.is_held:
            upstream.unread = b""
        self._has_answered(upstream)
        self.lane.give(upstream, reusable, self.rounds.now)
        if taken < size:
            self.settle()
            begun, self.begun = self.begun, None
            begun.status, begun.rest = status, data[taken:]
            self.resume(begun)
            return 0
        self.asked = None
        if self.plan.permit is not None:
            self.entry.permit = None
        self.plan.answered(status, monotonic() - self.started)
        return self._over()

    cpdef settle(self):
        """What is under way by a plan, if anything is, made what a task knows."""
        cdef bytes asked = self.asked
        cdef double started = self.started + self.rounds.offset
        if asked is None:
            return
        request, end = read_request(asked, self.head_bytes, self.most_fields)
        self.asked = None
        self.shown = None
        if self.is_sent and self.upstream is not None:
            self.upstream.has_sent, self.upstream.left = True, b""
        way = self.backend.led(self.plan.made_of, request, started, self.lane.endpoint, self.upstream)
        self.way = way
        self.body = asked[<Py_ssize_t>end:]
        self.begun = Begun(request, started, way)

    @property
    def is_idle(self):
        return self.asked is None and self.begun is None

    def carried(self):
        if self.asked is None:
            return None
        request, _ = read_request(self.asked, self.head_bytes, self.most_fields)
        return self.plan.made_of, request, self.started + self.rounds.offset


cdef bytes _unchunked(bytes data):
    """The content of a body in chunks, if that is all there is; None also for one with trailers."""
    body = ChunkedBody()
    try:
        content, rest = body.take(data)
    except Malformed:
        return None
    return content if body.is_over and not rest and not body.trailers else None
