"""The relay loop's thread: wait, serve what is ready, end what is due, exchange with Python, and again.

Belongs here: the loop's state and all that runs on its thread. Never here: how bytes move (`_flow`), or
a Python object: the thread never takes the interpreter lock, as every connection of the worker would
wait while it waits.

What it shares with Python is guarded by one mutex, taken once per turn:

- the inbox: flows to begin or to stop. Emptied each turn; who posts wakes the loop by an eventfd, but
  only if it had gone to sleep.
- the done list: flows that are over. Python empties it, and is told by an eventfd only if it had been
  empty.

Both are threaded through the flows themselves, a flow being in each at most once: they take no memory,
and are no longer than there are flows. From the posting until it is reaped a flow is the loop's alone;
others read only its counters, which lie in an array of Python's.

In every epoll round all that happened is written down first, and only then is anybody served: whether a
TLS side has hung up must be known before something is written to it (`_side`).
"""

from libc.errno cimport ECONNREFUSED, EINPROGRESS, EINTR, ETIMEDOUT, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

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
    Tools,
    flow_free_pending,
    flow_move,
)
from worker.relay.native._kernel cimport (
    CLOCK_MONOTONIC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLLERR,
    EPOLLET,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLPRI,
    EPOLLRDHUP,
    SO_ERROR,
    SO_LINGER,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    clock_gettime,
    close,
    connect,
    count_up,
    count_up,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    getpeername,
    getsockname,
    getsockopt,
    linger,
    pthread_mutex_lock,
    pthread_mutex_t,
    pthread_mutex_unlock,
    setsockopt,
    sockaddr,
    sockaddr_storage,
    socket,
    socklen_t,
    timespec,
    write,
)
from worker.relay.native._side cimport NOTHING, READABLE, WRITABLE, Side
from worker.relay.native._timers cimport (
    Heap,
    Timer,
    heap_first,
    heap_push,
    heap_remove,
    heap_reserve,
)

cdef enum:
    EVENTS_AT_ONCE = 256
    MOST_OPTIONS = 8
    MOST_BOUNDS = 24
    SECOND = 1_000_000_000
    TURN_BYTES = 262_144  # what one flow may move before the others have their turn



# A histogram of times, as Prometheus counts them: bounds are inclusive. Python reads it at any time.
cdef struct Times:
    uint64_t counts[MOST_BOUNDS + 1]
    uint64_t total  # in nanoseconds


cdef struct Option:
    int level
    int name
    int value


cdef struct Options:
    Option options[MOST_OPTIONS]
    int count


cdef struct State:
    Tools tools
    Heap heap
    int epoll
    int wake             # Python writes it to wake the loop
    int told             # the loop writes it to wake Python
    int bounds_count
    Options at_once      # for each socket that dials
    Options late         # for both sides of a dialled flow that has lived for `late_ns`
    int64_t late_ns
    double bounds[MOST_BOUNDS]
    Times dials          # seconds that connecting took
    Times setups         # seconds from accept to the first byte relayed
    pthread_mutex_t mutex
    # Guarded by the mutex.
    Flow *inbox_first
    Flow *inbox_last
    Flow *done_first
    Flow *done_last
    uint8_t asleep       # it will not look at the inbox until it is woken
    uint8_t stopping
    # The loop's own.
    uint8_t leaving
    uint8_t busy         # there is more to do at once
    Flow *ready_first
    Flow *ready_last
    Flow *finished_first
    Flow *finished_last
    Flow *all
    uint32_t carried


cdef inline int64_t _clock() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * SECOND + now.tv_nsec


cdef inline void *loop_run(void *argument) noexcept nogil:
    """The thread: wait, serve what is ready, end what is due, exchange with Python, and again."""
    cdef State *state = <State *>argument
    cdef epoll_event events[EVENTS_AT_ONCE]
    cdef Flow *taken
    cdef int count
    while True:
        count = epoll_wait(state.epoll, events, EVENTS_AT_ONCE, _patience(state))
        state.tools.now = _clock()
        _note(state, events, count)
        _serve(state)
        _expire(state)
        taken = _exchange(state)
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
    left = first.due - _clock()
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
    if upstream.write_waits != NOTHING:
        return False
    flow.error = _refusal(state, flow)
    if flow.error != 0:
        _end(state, flow, DIAL_FAILED)
        return False
    flow.dialling = False
    count_up(&flow.counters[REACHED], 1)
    flow.last_moved = state.tools.now
    if flow.idle_limit and flow.last_moved + flow.idle_limit < flow.timer.due:
        _schedule(state, flow)  # else it is looked at when the dial would have been due
    _observe(state, &state.dials, <double>(_clock() - flow.began) / SECOND)
    _observe(state, &state.setups, <double>(_clock() - flow.began) / SECOND + flow.elapsed)
    return True


cdef inline int _refusal(State *state, Flow *flow) noexcept nogil:
    """Why a dial that has ended did not succeed; 0 if it did."""
    cdef Side *upstream = &flow.sides[UPSTREAM]
    cdef int error = 0
    cdef socklen_t size = sizeof(error)
    if upstream.hung_up and getsockopt(upstream.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0:
        return errno
    if error == 0 and flow.may_meet_itself and _reached_itself(upstream.fd):
        return ECONNREFUSED
    return error


cdef inline bint _reached_itself(int fd) noexcept nogil:
    """TCP's simultaneous open: nobody listens there, and the kernel chose that very port for us."""
    cdef sockaddr_storage here, there
    cdef socklen_t here_bytes = sizeof(here), there_bytes = sizeof(there)
    if getsockname(fd, <sockaddr *>&here, &here_bytes) != 0:
        return False
    if getpeername(fd, <sockaddr *>&there, &there_bytes) != 0:
        return False
    return here_bytes == there_bytes and memcmp(&here, &there, here_bytes) == 0


cdef inline void _observe(State *state, Times *times, double seconds) noexcept nogil:
    cdef int at = 0
    while at < state.bounds_count and seconds > state.bounds[at]:
        at += 1
    count_up(&times.counts[at], 1)
    count_up(&times.total, <uint64_t>(seconds * SECOND))


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
    _set_options(flow.sides[CLIENT].fd, &state.late)
    _set_options(flow.sides[UPSTREAM].fd, &state.late)


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


cdef inline Flow *_exchange(State *state) noexcept nogil:
    """Hand over what is finished, and take what was posted; go to sleep if there is nothing at all."""
    cdef Flow *taken
    cdef bint tell
    pthread_mutex_lock(&state.mutex)
    taken = _posted(state)
    tell = _publish(state)
    state.leaving = state.stopping
    state.busy = taken != NULL or state.ready_first != NULL
    state.asleep = not state.busy
    pthread_mutex_unlock(&state.mutex)
    if tell:
        loop_signal(state.told)
    return taken


cdef inline Flow *_posted(State *state) noexcept nogil:
    """The inbox without the flows that ended meanwhile: those go to Python in this very turn.

    What is taken has a list of its own, as Python may post the same flow again at once, to stop it.
    """
    cdef Flow *flow = state.inbox_first
    cdef Flow *first = NULL
    cdef Flow **end = &first
    while flow != NULL:
        flow.posted = False
        flow.stopping = flow.stop
        if flow.outcome == RUNNING:
            end[0] = flow
            end = &flow.next_taken
        flow = flow.next_posted
    end[0] = NULL
    state.inbox_first = state.inbox_last = NULL
    return first


cdef inline bint _publish(State *state) noexcept nogil:
    """Append what is finished to the done list; whether Python has to be told."""
    cdef bint was_empty = state.done_first == NULL
    cdef Flow *flow = state.finished_first
    if flow == NULL:
        return False
    if was_empty:
        state.done_first = flow
    else:
        state.done_last.next_done = flow
    state.done_last = state.finished_last
    state.finished_first = NULL
    while flow != NULL:
        flow.handed_over = True
        flow = flow.next_done
    return was_empty


cdef inline void loop_signal(int fd) noexcept nogil:
    cdef uint64_t one = 1
    while write(fd, &one, sizeof(one)) < 0 and errno == EINTR:
        pass


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
    flow.began = flow.last_moved = _clock()
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
    if flow.stopping:
        flow.outcome = STOPPED
    elif flow.address != NULL:
        _dial(state, flow)
    if flow.outcome == RUNNING and not _watch(state, flow):
        flow.outcome = NO_ROOM
        flow.error = errno
    if flow.outcome != RUNNING:
        _finish(state, flow)
        return
    _schedule(state, flow)
    if not flow.dialling:
        _queue(state, flow)


cdef inline void _set_options(int fd, Options *options) noexcept nogil:
    cdef Option *option
    cdef int at
    for at in range(options.count):
        option = &options.options[at]
        setsockopt(fd, option.level, option.name, &option.value, sizeof(int))


cdef inline void _dial(State *state, Flow *flow) noexcept nogil:
    """Begin to connect; what comes of it is told by the socket."""
    cdef const sockaddr *to = <const sockaddr *>flow.address
    cdef Side *upstream = &flow.sides[UPSTREAM]
    flow.dialling = True
    flow.dial_until += flow.began
    upstream.fd = socket(to.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if upstream.fd < 0:
        flow.error = errno
        flow.outcome = DIAL_FAILED
        return
    _set_options(upstream.fd, &state.at_once)
    upstream.read_waits = READABLE
    upstream.write_waits = WRITABLE
    if connect(upstream.fd, to, flow.address_bytes) != 0 and errno != EINPROGRESS:
        flow.error = errno
        flow.outcome = DIAL_FAILED


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
    cdef bint tell
    while flow != NULL:
        flow.stopping = True
        flow = flow.next_taken
    _take(state, taken)
    while state.all != NULL:
        _end(state, state.all, STOPPED)
    pthread_mutex_lock(&state.mutex)
    tell = _publish(state)
    pthread_mutex_unlock(&state.mutex)
    if tell:
        loop_signal(state.told)
