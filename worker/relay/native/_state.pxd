"""What the relay loop knows, and its exchange with Python: the only two lists that both touch.

Belongs here: the state, and what is guarded by its mutex, which is taken once per turn. Never here: what is
done with a flow.

- the inbox: flows to begin or to stop. Emptied each turn; who posts wakes the loop by an eventfd, but
  only if it had gone to sleep.
- the done list: flows that are over. Python empties it, and is told by an eventfd only if it had been
  empty.
- the unclaimed: flows that were accepted here (`_accept`), oldest first, of which Python does not know
  yet. It claims them when it wants to know who is here. Those that end before are written into an
  account and freed, and nobody is told: most connections are short, and cost Python nothing. The last few
  are kept in a ring.
- the strangers: connections that were accepted here and are Python's to serve; a bounded array.

The lists are threaded through the flows themselves, a flow being in each at most once: they take no memory,
and are no longer than there are flows. From the posting until it is reaped a flow is the loop's alone;
others read only its counters, which lie in an array of Python's, or in the flow if it was accepted here.

What a gate leads to is guarded by a mutex of its own, held by the loop while it accepts.
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport free

from worker.relay.native._account cimport SECOND, Bounds, Places, Spread, place_give, settle
from worker.relay.native._flow cimport CLIENT, DIAL_FAILED, RUNNING, STOPPED, UPSTREAM, Flow, Tools
from worker.relay.native._kernel cimport (
    CLOCK_MONOTONIC,
    clock_gettime,
    count_shared,
    pthread_mutex_lock,
    pthread_mutex_t,
    pthread_mutex_unlock,
    timespec,
    write,
)
from worker.relay.native._names cimport Directory, Route
from worker.relay.native._timers cimport Heap

cdef enum:
    MOST_OPTIONS = 8
    MOST_GATES = 32
    MOST_STRANGERS = 256
    MOST_PASSED = 512


# The states of a gate.
cdef enum:
    GATE_SHUT = 0      # there is none
    GATE_OPEN = 1
    GATE_LEFT = 2      # to Python, which accepts there until it says otherwise


# A listening socket that the loop accepts from, and what holds for its connections. Guarded by `at_gates`.
cdef struct Gate:
    int fd
    int number         # its place in `State.gates`
    uint8_t state
    uint8_t knocked    # somebody waits there; the loop's own
    Directory *directory
    uint64_t generation # of the view that the directory is of
    int64_t most       # connections in all, on both threads; below 0 is no limit
    int64_t idle_ns
    int64_t age_ns
    uint32_t buffer_bytes
    uint32_t pipe_bytes


# One of the last that nobody claimed, for whoever asks what became of it.
cdef struct Passed:
    Route *route
    Directory *directory # of which it is a user
    uint64_t generation
    uint64_t carried[2]
    int64_t began
    int64_t ended
    int drawn
    uint8_t outcome


cdef enum:
    NOBODY = -1        # in place of a stranger: the gate is left to Python


cdef struct Stranger:
    int fd
    int gate


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
    Options at_once      # for each socket that dials
    Options with_hello   # the same, where the first bytes to send are there already
    Options late         # for both sides of a dialled flow that has lived for `late_ns`
    int64_t late_ns
    Bounds setup_bounds
    Bounds hello_bounds
    Bounds life_bounds
    Spread dials         # what connecting took, in nanoseconds
    Spread setups        # from accept to the first byte relayed, in nanoseconds
    Spread hellos        # bytes of the hellos that were read here
    Places *places       # whose memory is Python's
    pthread_mutex_t at_gates # taken before `mutex`, if both are
    Gate gates[MOST_GATES]
    pthread_mutex_t mutex
    # Guarded by the mutex.
    Flow *inbox_first
    Flow *inbox_last
    Flow *done_first
    Flow *done_last
    Flow *unclaimed_first
    Flow *unclaimed_last
    Stranger strangers[MOST_STRANGERS + MOST_GATES]
    int strangers_count
    Passed passed[MOST_PASSED] # in a ring
    uint32_t passed_count
    uint32_t passed_next
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
    uint8_t knocked      # at one of the gates
    uint64_t chance
    Flow *born_first     # accepted in this turn
    Flow *born_last


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
    cdef Flow *dead
    cdef bint tell
    pthread_mutex_lock(&state.mutex)
    taken = _posted(state)
    tell = publish(state, &dead)
    state.leaving = state.stopping
    state.busy = taken != NULL or state.ready_first != NULL
    state.asleep = not state.busy
    pthread_mutex_unlock(&state.mutex)
    if tell:
        loop_signal(state.told)
    bury(state, dead)
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


cdef inline bint publish(State *state, Flow **dead) noexcept nogil:
    """Who was born can be claimed, and who is over is done; whether Python has to be told.

    `dead` becomes those, by `next_done`, that nobody knows of, so that nobody need be told.
    """
    cdef bint was_empty = state.done_first == NULL
    cdef Flow *flow = state.finished_first
    cdef Flow *following
    dead[0] = NULL
    _show_born(state)
    state.finished_first = NULL
    while flow != NULL:
        following = flow.next_done
        if flow.route != NULL and not flow.claimed:
            _strike_out(state, flow)
            if flow.outcome != DIAL_FAILED and flow.outcome != STOPPED:
                flow.next_done = dead[0]
                dead[0] = flow
                flow = following
                continue
        _add_done(state, flow)
        flow = following
    return was_empty and state.done_first != NULL


cdef inline void _add_done(State *state, Flow *flow) noexcept nogil:
    flow.handed_over = True
    flow.next_done = NULL
    if state.done_first == NULL:
        state.done_first = flow
    else:
        state.done_last.next_done = flow
    state.done_last = flow


cdef inline void be_born(State *state, Flow *flow) noexcept nogil:
    """Python may claim it at the end of this turn; no byte of it is carried before."""
    flow.elder = state.born_last
    if state.born_last == NULL:
        state.born_first = flow
    else:
        state.born_last.younger = flow
    state.born_last = flow


cdef inline void _show_born(State *state) noexcept nogil:
    if state.born_first == NULL:
        return
    state.born_first.elder = state.unclaimed_last
    if state.unclaimed_last == NULL:
        state.unclaimed_first = state.born_first
    else:
        state.unclaimed_last.younger = state.born_first
    state.unclaimed_last = state.born_last
    state.born_first = state.born_last = NULL


cdef inline void _strike_out(State *state, Flow *flow) noexcept nogil:
    """Nobody can claim it any more."""
    if flow.elder == NULL:
        state.unclaimed_first = flow.younger
    else:
        flow.elder.younger = flow.younger
    if flow.younger == NULL:
        state.unclaimed_last = flow.elder
    else:
        flow.younger.elder = flow.elder


cdef inline void bury(State *state, Flow *dead) noexcept nogil:
    """The account of those that nobody knows of."""
    cdef int64_t now = clock_ns() if dead != NULL else 0
    cdef Flow *following
    while dead != NULL:
        following = dead.next_done
        settle(
            dead.route.account, &state.life_bounds, dead.outcome,
            dead.own_counters[CLIENT], dead.own_counters[UPSTREAM], <uint64_t>(now - dead.began),
        )
        _keep(state, dead, now)
        place_give(state.places)
        free(dead)
        dead = following


cdef inline void _keep(State *state, Flow *dead, int64_t now) noexcept nogil:
    """In the ring, in place of the oldest if it is full."""
    cdef Passed *place
    pthread_mutex_lock(&state.mutex)
    place = &state.passed[state.passed_next]
    state.passed_next = (state.passed_next + 1) % MOST_PASSED
    if state.passed_count < MOST_PASSED:
        state.passed_count += 1
    else:
        count_shared(&place.directory.users, -1)
    place.route = dead.route
    place.directory = dead.directory
    place.generation = dead.generation
    place.carried[CLIENT] = dead.own_counters[CLIENT]
    place.carried[UPSTREAM] = dead.own_counters[UPSTREAM]
    place.began = dead.began
    place.ended = now
    place.drawn = dead.drawn
    place.outcome = dead.outcome
    pthread_mutex_unlock(&state.mutex)


cdef inline uint32_t claim(State *state, uint32_t most, Flow **claimed) noexcept nogil:
    """Python's: take up to `most` of the oldest that nobody knows of, by `next_claimed`; how many."""
    cdef uint32_t count = 0
    cdef Flow *flow
    pthread_mutex_lock(&state.mutex)
    flow = claimed[0] = state.unclaimed_first
    while flow != NULL and count < most:
        count += 1
        flow.claimed = True
        flow.next_claimed = flow.younger if count < most else NULL
        flow = flow.younger
    state.unclaimed_first = flow
    if flow == NULL:
        state.unclaimed_last = NULL
    else:
        flow.elder = NULL
    pthread_mutex_unlock(&state.mutex)
    return count


cdef inline void post(State *state, Flow *flow) noexcept nogil:
    """Python's: have the loop begin a flow; it may not hear of it before `flush`."""
    pthread_mutex_lock(&state.mutex)
    _push(state, flow)
    pthread_mutex_unlock(&state.mutex)


cdef inline void stop(State *state, Flow *flow) noexcept nogil:
    """Python's: ask for a flow's end."""
    pthread_mutex_lock(&state.mutex)
    if not flow.handed_over and not flow.stop:
        flow.stop = True
        _push(state, flow)
    pthread_mutex_unlock(&state.mutex)
    flush(state)


cdef inline void flush(State *state) noexcept nogil:
    """Python's: wake the loop, if there is a reason to and it sleeps."""
    cdef bint wake
    pthread_mutex_lock(&state.mutex)
    wake = state.asleep and state.inbox_first != NULL
    if wake:
        state.asleep = False
    pthread_mutex_unlock(&state.mutex)
    if wake:
        loop_signal(state.wake)


cdef inline void _push(State *state, Flow *flow) noexcept nogil:
    """Into the inbox, unless it is there."""
    if flow.posted:
        return
    flow.posted = True
    flow.next_posted = NULL
    if state.inbox_first == NULL:
        state.inbox_first = flow
    else:
        state.inbox_last.next_posted = flow
    state.inbox_last = flow
