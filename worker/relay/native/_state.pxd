"""What the relay loop knows, and its exchange with Python: the only two lists that both touch.

Belongs here: the state, and what is guarded by its mutex, which is taken once per turn. Never here: what is
done with a flow.

- the inbox: flows to begin or to stop. Emptied each turn; who posts wakes the loop by an eventfd, but
  only if it had gone to sleep.
- the done list: flows that are over. Python empties it, and is told by an eventfd only if it had been
  empty.

Both are threaded through the flows themselves, a flow being in each at most once: they take no memory,
and are no longer than there are flows. From the posting until it is reaped a flow is the loop's alone;
others read only its counters, which lie in an array of Python's.
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t

from worker.relay.native._flow cimport RUNNING, Flow, Tools
from worker.relay.native._kernel cimport (
    CLOCK_MONOTONIC,
    clock_gettime,
    pthread_mutex_lock,
    pthread_mutex_t,
    pthread_mutex_unlock,
    timespec,
    write,
)
from worker.relay.native._timers cimport Heap

cdef enum:
    MOST_OPTIONS = 8
    MOST_BOUNDS = 24
    SECOND = 1_000_000_000


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


cdef inline int64_t clock_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * SECOND + now.tv_nsec


cdef inline void loop_signal(int fd) noexcept nogil:
    cdef uint64_t one = 1
    while write(fd, &one, sizeof(one)) < 0 and errno == EINTR:
        pass


cdef inline Flow *exchange(State *state) noexcept nogil:
    """Hand over what is finished, and take what was posted; go to sleep if there is nothing at all."""
    cdef Flow *taken
    cdef bint tell
    pthread_mutex_lock(&state.mutex)
    taken = _posted(state)
    tell = publish(state)
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


cdef inline bint publish(State *state) noexcept nogil:
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
