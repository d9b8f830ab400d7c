"""The relay loop's thread: wait, serve what is ready, end what is due, exchange with Python, and again.

Belongs here: the turns of the loop, and the life of a flow in it. Never here: how bytes move (`_flow`), or
a Python object: the thread never takes the interpreter lock, as every connection of the worker would
wait while it waits.

In every epoll round all that happened is written down first, and only then is anybody served: whether a
TLS side has hung up must be known before something is written to it (`_side`).
"""

from libc.errno cimport ETIMEDOUT, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t

from worker.relay.native._accept cimport accept_ready, knock
from worker.relay.native._account cimport SECOND, observe
from worker.relay.native._dial cimport dial_begin, dial_refusal, set_options
from worker.relay.native._flow cimport (
    CLIENT,
    DIAL_FAILED,
    FINISHED,
    IDLE_TIMEOUT,
    MAX_AGE,
    NO_ROOM,
    REACHED,
    RUNNING,
    STOPPED,
    UPSTREAM,
    Flow,
    flow_free_pending,
    flow_move,
)
from worker.relay.native._kernel cimport (
    EPOLLERR,
    EPOLLET,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLPRI,
    EPOLLRDHUP,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    SOL_SOCKET,
    SO_LINGER,
    close,
    count_up,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    linger,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    setsockopt,
)
from worker.relay.native._side cimport NOTHING, READABLE, WRITABLE, Side
from worker.relay.native._state cimport (
    State,
    be_born,
    bury,
    clock_ns,
    exchange,
    loop_signal,
    publish,
)
from worker.relay.native._timers cimport Timer, heap_first, heap_push, heap_remove, heap_reserve

cdef enum:
    EVENTS_AT_ONCE = 256
    TURN_BYTES = 262_144  # what one flow may move before the others have their turn


cdef inline void *loop_run(void *argument) noexcept nogil:
    """The thread: wait, serve what is ready, end what is due, exchange with Python, and again."""
    cdef State *state = <State *>argument
    cdef epoll_event events[EVENTS_AT_ONCE]
    cdef Flow *taken
    cdef int count
    while True:
        count = epoll_wait(state.epoll, events, EVENTS_AT_ONCE, _patience(state))
        state.tools.now = clock_ns()
        _note(state, events, count)
        _serve(state)
        _expire(state)
        _take(state, accept_ready(state))
        taken = exchange(state)
        if state.leaving:
            _let_go(state, taken)
            return NULL
        _take(state, taken)


cdef inline int _patience(State *state) noexcept nogil:
    """For how many milliseconds there is nothing to do; -1 is for ever."""
    cdef Timer *first = heap_first(&state.heap)
    cdef int64_t left
    if state.busy:
        return 0
    if first == NULL:
        return -1
    left = first.due - clock_ns()
    return 0 if left <= 0 else <int>min(left // 1_000_000 + 1, 3_600_000)


cdef inline void _note(State *state, epoll_event *events, int count) noexcept nogil:
    """Write down what all sides of this batch heard before any of them is served."""
    cdef Side *side
    cdef uint32_t heard
    cdef int at
    for at in range(count):
        side = <Side *>events[at].data.ptr
        if side == NULL:
            continue  # the inbox, which is looked at anyway
        if knock(state, side):
            continue
        heard = events[at].events
        if heard & (EPOLLERR | EPOLLHUP):
            side.reset = True
        if heard & EPOLLPRI:
            side.urgent = True
            heard |= EPOLLIN
        if heard & (EPOLLERR | EPOLLHUP | EPOLLRDHUP):
            side.hung_up = True
            heard |= EPOLLIN | EPOLLOUT
        if heard & EPOLLIN:
            _clear(side, READABLE)
        if heard & EPOLLOUT:
            _clear(side, WRITABLE)
        _queue(state, <Flow *>side.flow)


cdef inline void _clear(Side *side, int readiness) noexcept nogil:
    if side.read_waits == readiness:
        side.read_waits = NOTHING
    if side.write_waits == readiness:
        side.write_waits = NOTHING


cdef inline void _queue(State *state, Flow *flow) noexcept nogil:
    if flow.queued or flow.outcome != RUNNING:
        return
    flow.queued = True
    flow.next_ready = NULL
    if state.ready_first == NULL:
        state.ready_first = flow
    else:
        state.ready_last.next_ready = flow
    state.ready_last = flow


cdef inline void _unqueue(State *state, Flow *flow) noexcept nogil:
    """Take a flow that ends out of the list; seldom needed, so the list is walked."""
    cdef Flow *before = NULL
    cdef Flow *at = state.ready_first
    while at != flow:
        before = at
        at = at.next_ready
    if before == NULL:
        state.ready_first = flow.next_ready
    else:
        before.next_ready = flow.next_ready
    if state.ready_last == flow:
        state.ready_last = before
    flow.queued = False


cdef inline void _serve(State *state) noexcept nogil:
    """One turn for each flow that is ready now; who has more to do queues up behind the others."""
    cdef Flow *flow = state.ready_first
    cdef Flow *following
    state.ready_first = NULL
    while flow != NULL:
        following = flow.next_ready
        flow.queued = False
        _serve_one(state, flow)
        flow = following


cdef inline void _serve_one(State *state, Flow *flow) noexcept nogil:
    if flow.dialling and not _dialled(state, flow):
        return
    if flow_move(flow, &state.tools, TURN_BYTES):
        _queue(state, flow)
    elif flow.outcome != RUNNING:
        _finish(state, flow)


cdef inline bint _dialled(State *state, Flow *flow) noexcept nogil:
    """Whether the upstream is connected; a flow whose dial failed is over."""
    cdef Side *upstream = &flow.sides[UPSTREAM]
    cdef double seconds
    if upstream.write_waits != NOTHING:
        return False
    flow.error = dial_refusal(state, flow)
    if flow.error != 0:
        _end(state, flow, DIAL_FAILED)
        return False
    flow.dialling = False
    count_up(&flow.counters[REACHED], 1)
    flow.last_moved = state.tools.now
    if flow.idle_limit and flow.last_moved + flow.idle_limit < flow.timer.due:
        _schedule(state, flow)  # else it is looked at when the dial would have been due
    seconds = <double>(clock_ns() - flow.began) / SECOND
    observe(&state.setup_bounds, &state.dials, seconds, <uint64_t>(seconds * SECOND))
    seconds += flow.elapsed
    observe(&state.setup_bounds, &state.setups, seconds, <uint64_t>(seconds * SECOND))
    return True


cdef inline void _expire(State *state) noexcept nogil:
    cdef Timer *first = heap_first(&state.heap)
    while first != NULL and first.due <= state.tools.now:
        _judge(state, <Flow *>first)
        first = heap_first(&state.heap)


cdef inline void _judge(State *state, Flow *flow) noexcept nogil:
    """A flow is due: a limit is reached, or it has been busy and is put back."""
    cdef int64_t now = state.tools.now
    if flow.dialling and now >= flow.dial_until:
        flow.error = ETIMEDOUT
        _end(state, flow, DIAL_FAILED)
    elif flow.ends_at and now >= flow.ends_at:
        _end(state, flow, MAX_AGE)
    elif flow.idle_limit and not flow.dialling and now - flow.last_moved >= flow.idle_limit:
        _end(state, flow, IDLE_TIMEOUT)
    else:
        if flow.late_at and now >= flow.late_at:
            _be_late(state, flow)
        _schedule(state, flow)


cdef inline void _be_late(State *state, Flow *flow) noexcept nogil:
    flow.late_at = 0
    set_options(flow.sides[CLIENT].fd, &state.late)
    set_options(flow.sides[UPSTREAM].fd, &state.late)


cdef inline int64_t _sooner(int64_t one, int64_t other) noexcept nogil:
    """Of two moments, 0 being never."""
    return other if one == 0 or 0 < other < one else one


cdef inline void _schedule(State *state, Flow *flow) noexcept nogil:
    cdef int64_t due = 0
    if flow.dialling:
        due = flow.dial_until
    elif flow.idle_limit:
        due = flow.last_moved + flow.idle_limit
    due = _sooner(due, flow.ends_at)
    due = _sooner(due, flow.late_at)
    if due == 0:
        heap_remove(&state.heap, &flow.timer)
    else:
        flow.timer.due = due
        heap_push(&state.heap, &flow.timer)


cdef inline void _end(State *state, Flow *flow, uint8_t outcome) noexcept nogil:
    flow.outcome = outcome
    _finish(state, flow)


cdef inline void _finish(State *state, Flow *flow) noexcept nogil:
    """Let go of a flow whose outcome is known; Python is told at the end of this turn."""
    if flow.queued:
        _unqueue(state, flow)
    heap_remove(&state.heap, &flow.timer)
    flow_free_pending(flow, &state.tools)
    _forget(state, flow)
    if flow.owns:
        _close_both(state, flow)
    else:
        epoll_ctl(state.epoll, EPOLL_CTL_DEL, flow.sides[CLIENT].fd, NULL)
        epoll_ctl(state.epoll, EPOLL_CTL_DEL, flow.sides[UPSTREAM].fd, NULL)
    flow.next_done = NULL
    if state.finished_first == NULL:
        state.finished_first = flow
    else:
        state.finished_last.next_done = flow
    state.finished_last = flow


cdef inline void _forget(State *state, Flow *flow) noexcept nogil:
    if flow.previous != NULL:
        flow.previous.next = flow.next
    else:
        state.all = flow.next
    if flow.next != NULL:
        flow.next.previous = flow.previous
    state.carried -= 1


cdef inline void _close_both(State *state, Flow *flow) noexcept nogil:
    """Close in order what finished in order, and reset all else; a client that nobody answered yet stays."""
    cdef int upstream = flow.sides[UPSTREAM].fd
    cdef int client = flow.sides[CLIENT].fd
    cdef bint cut = flow.outcome != FINISHED
    if upstream >= 0:
        _close(upstream, cut)
    if flow.outcome == DIAL_FAILED:
        epoll_ctl(state.epoll, EPOLL_CTL_DEL, client, NULL)
    else:
        _close(client, cut)


cdef inline void _close(int fd, bint cut) noexcept nogil:
    cdef linger at_once
    if cut:
        at_once.l_onoff = 1
        at_once.l_linger = 0
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once))
    close(fd)


cdef inline void _take(State *state, Flow *taken) noexcept nogil:
    cdef Flow *flow = taken
    cdef Flow *following
    while flow != NULL:
        following = flow.next_taken
        if not flow.begun:
            _begin(state, flow)
        elif flow.stopping and flow.outcome == RUNNING:
            _end(state, flow, STOPPED)
        flow = following


cdef inline void _begin(State *state, Flow *flow) noexcept nogil:
    flow.begun = True
    flow.began = flow.last_moved = clock_ns()
    if flow.ends_at:
        flow.ends_at += flow.began
    if flow.owns and state.late_ns > 0:
        flow.late_at = flow.began + state.late_ns
    flow.previous = NULL
    flow.next = state.all
    if state.all != NULL:
        state.all.previous = flow
    state.all = flow
    state.carried += 1
    if flow.route != NULL:
        be_born(state, flow)
    if flow.stopping:
        flow.outcome = STOPPED
    elif flow.address != NULL:
        dial_begin(state, flow)
    if flow.outcome == RUNNING and not _watch(state, flow):
        flow.outcome = NO_ROOM
        flow.error = errno
    if flow.outcome != RUNNING:
        _finish(state, flow)
        return
    _schedule(state, flow)
    if not flow.dialling:
        _queue(state, flow)


cdef inline bint _watch(State *state, Flow *flow) noexcept nogil:
    """Have the kernel tell of all that happens on both sides from now on; False if it has no room."""
    cdef epoll_event event
    cdef int at
    if not heap_reserve(&state.heap, state.carried):
        return False
    event.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET
    for at in range(2):
        event.data.ptr = &flow.sides[at]
        if epoll_ctl(state.epoll, EPOLL_CTL_ADD, flow.sides[at].fd, &event) != 0:
            return False
    return True


cdef inline void _let_go(State *state, Flow *taken) noexcept nogil:
    """The end of the thread: every flow is stopped and handed over."""
    cdef Flow *flow = taken
    cdef Flow *dead
    cdef bint tell
    while flow != NULL:
        flow.stopping = True
        flow = flow.next_taken
    _take(state, taken)
    while state.all != NULL:
        _end(state, state.all, STOPPED)
    pthread_mutex_lock(&state.mutex)
    tell = publish(state, &dead)
    pthread_mutex_unlock(&state.mutex)
    if tell:
        loop_signal(state.told)
    bury(state, dead)
