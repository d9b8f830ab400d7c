"""Accepting on the loop's thread: what is common begins at once, and what is not goes to Python.

Belongs here: accept(2), the look at the hello, the route, the place. Never here: what Python does with the
others, or errors of accept(2), which are Python's too: the gate is left to it until it is told to go on.

Common is a connection whose hello is there, whole (`worker.arrival`), and names a route whose endpoint has an
address; and there is a place for it. Nothing has been read from one that is handed over.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc

from worker.arrival._hello cimport MOST_NAME, hello_name
from worker.relay.native._account cimport observe, place_give, place_take
from worker.relay.native._flow cimport CLIENT, UPSTREAM, Flow
from worker.relay.native._kernel cimport (
    MSG_DONTWAIT,
    MSG_PEEK,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    EPOLL_CTL_DEL,
    accept4,
    count_shared,
    count_up,
    epoll_ctl,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    recv,
)
from worker.relay.native._names cimport Endpoint, Route, directory_find, route_draw
from worker.relay.native._side cimport side_open
from worker.relay.native._state cimport (
    GATE_LEFT,
    GATE_OPEN,
    MOST_GATES,
    MOST_STRANGERS,
    NOBODY,
    Gate,
    State,
    loop_signal,
)

cdef enum:
    ACCEPTS_AT_ONCE = 64
    PEEK_BYTES = 4096


cdef inline bint knock(State *state, void *place) noexcept nogil:
    """Whether an event's place is a gate; then somebody waits there."""
    if not <void *>&state.gates[0] <= place < <void *>&state.gates[MOST_GATES]:
        return False
    state.knocked = (<Gate *>place).knocked = True
    return True


cdef inline Flow *accept_ready(State *state) noexcept nogil:
    """Accept a batch of each gate where somebody waits; the flows to begin, by `next_taken`.

    Python waits for `at_gates` when it changes what a gate leads to: so once it has, nobody goes the old way.
    """
    cdef Flow *first = NULL
    cdef Flow **end = &first
    cdef Gate *gate
    cdef int at, room
    if not state.knocked:
        return NULL
    state.knocked = False
    pthread_mutex_lock(&state.mutex)
    room = MOST_STRANGERS - state.strangers_count
    pthread_mutex_unlock(&state.mutex)
    pthread_mutex_lock(&state.at_gates)
    for at in range(MOST_GATES):
        gate = &state.gates[at]
        if gate.knocked:
            gate.knocked = False
            end = _accept_batch(state, gate, end, &room)
    pthread_mutex_unlock(&state.at_gates)
    end[0] = NULL
    return first


cdef inline Flow **_accept_batch(State *state, Gate *gate, Flow **end, int *room) noexcept nogil:
    cdef int fd, count
    cdef Flow *flow
    for count in range(ACCEPTS_AT_ONCE):
        if room[0] <= 0:
            _leave(state, gate)
        if gate.state != GATE_OPEN:
            break
        fd = accept4(gate.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd < 0:
            if errno == EAGAIN:
                break
            if errno != EINTR:
                _leave(state, gate)
            continue
        flow = _welcome(state, gate, fd)
        if flow == NULL:
            _hand_over(state, gate, fd)
            room[0] -= 1
        else:
            end[0] = flow
            end = &flow.next_taken
    return end


cdef inline Flow *_welcome(State *state, Gate *gate, int fd) noexcept nogil:
    """The flow of a connection that is common; NULL if it is not, and then nothing has changed."""
    cdef uint8_t data[PEEK_BYTES]
    cdef char name[MOST_NAME]
    cdef int length = 0, size, drawn
    cdef Route *route
    cdef Flow *flow
    cdef ssize_t count = recv(fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT)
    size = hello_name(data, <int>count, name, &length) if count > 0 else 0
    route = directory_find(gate.directory, name, size) if size > 0 else NULL
    if route == NULL:
        return NULL
    drawn = route_draw(route, _chance(state))
    if drawn < 0 or route.endpoints[drawn].address_bytes == 0:
        return NULL
    if not place_take(state.places, gate.most):
        return NULL
    flow = <Flow *>calloc(1, sizeof(Flow))
    if flow == NULL:
        place_give(state.places)
        return NULL
    _introduce(state, gate, flow, fd, route, drawn)
    observe(&state.hello_bounds, &state.hellos, length, <uint64_t>length)
    return flow


cdef inline void _introduce(
    State *state, Gate *gate, Flow *flow, int fd, Route *route, int drawn
) noexcept nogil:
    cdef Endpoint *endpoint = &route.endpoints[drawn]
    side_open(&flow.sides[CLIENT], flow, fd, NULL)
    side_open(&flow.sides[UPSTREAM], flow, -1, NULL)
    flow.owns = True
    flow.counters = flow.own_counters
    flow.idle_limit = gate.idle_ns
    flow.ends_at = gate.age_ns
    flow.buffer_bytes = gate.buffer_bytes
    flow.pipe_bytes = gate.pipe_bytes
    flow.route = route
    flow.directory = gate.directory
    flow.drawn = drawn
    flow.generation = gate.generation
    flow.address = endpoint.address
    flow.address_bytes = endpoint.address_bytes
    flow.dial_until = route.dial_ns
    flow.may_meet_itself = endpoint.may_meet_itself
    count_shared(&gate.directory.users, 1)
    count_up(&route.account.opened, 1)


cdef inline double _chance(State *state) noexcept nogil:
    """From 0 to below 1, by xorshift64* (Vigna 2016): for spreading load, and for nothing else."""
    cdef uint64_t value = state.chance
    value ^= value >> 12
    value ^= value << 25
    value ^= value >> 27
    state.chance = value
    return <double>((value * 2685821657736338717U) >> 11) / 9007199254740992.0


cdef inline void _hand_over(State *state, Gate *gate, int fd) noexcept nogil:
    """Give a connection to Python."""
    cdef bint tell
    pthread_mutex_lock(&state.mutex)
    tell = state.strangers_count == 0
    state.strangers[state.strangers_count].fd = fd
    state.strangers[state.strangers_count].gate = gate.number
    state.strangers_count += 1
    pthread_mutex_unlock(&state.mutex)
    if tell:
        loop_signal(state.told)


cdef inline void _leave(State *state, Gate *gate) noexcept nogil:
    """Accept no more here until Python says so."""
    gate.state = GATE_LEFT
    epoll_ctl(state.epoll, EPOLL_CTL_DEL, gate.fd, NULL)
    _hand_over(state, gate, NOBODY)
