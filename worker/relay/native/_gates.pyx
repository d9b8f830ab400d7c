# cython: language_level=3
"""Gates, and what they lead to: the Python side of the connections that the relay loop accepts by itself.

Belongs here: building a directory, opening and closing gates, and reading accounts; all of it called by the one
Python thread, but for `Account` and `Directory`, which any thread may make. Never here: accepting (`_accept`), or
the connections that Python claims (`_loop`). The types are in `_gates.pyi`.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from worker.relay.native._account cimport OUTCOMES, Account as CAccount, Places as CPlaces, place_give, place_take
from worker.relay.native._kernel cimport (
    EPOLLIN,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    count_shared,
    counted,
    counted_shared,
    epoll_ctl,
    epoll_event,
    pthread_mutex_lock,
    pthread_mutex_unlock,
)
from worker.relay.native._names cimport (
    ADDRESS_BYTES,
    Directory as CDirectory,
    Endpoint,
    Route,
    directory_find,
    name_hash,
    route_draw,
)
from worker.relay.native._shown cimport learn_bounds, spread
from worker.relay.native._state cimport (
    GATE_LEFT,
    GATE_OPEN,
    GATE_SHUT,
    MOST_GATES,
    MOST_PASSED,
    MOST_STRANGERS,
    NOBODY,
    Gate,
    Passed,
    State,
    Stranger,
    clock_ns,
)


cdef class Places:
    """How many connections there are; see `worker.live.Places`, which is the same for one thread."""

    cdef CPlaces places

    def take(self, int64_t most=-1):
        return place_take(&self.places, most)

    def give(self):
        place_give(&self.places)

    def __len__(self):
        return counted_shared(&self.places.taken)


cdef class Account:
    """What the loop counted of connections that nobody claimed; `keep` is the caller's."""

    cdef CAccount now
    cdef CAccount before
    cdef readonly object keep

    def __init__(self, keep=None):
        self.keep = keep

    @property
    def has_news(self):
        """Whether anything has been counted since the last `take`."""
        cdef int at
        if counted(&self.now.opened) != self.before.opened:
            return True
        for at in range(OUTCOMES):
            if counted(&self.now.closed[at]) != self.before.closed[at]:
                return True
        return False

    def take(self, int buckets):
        """What was counted since the last time, as `worker.relay.porter.Counted` has it."""
        cdef int at
        # `closed` first: whoever is closed has been opened, and is in what is read after it.
        closed = [_more(&self.now.closed[at], &self.before.closed[at]) for at in range(OUTCOMES)]
        opened = _more(&self.now.opened, &self.before.opened)
        carried = [_more(&self.now.carried[at], &self.before.carried[at]) for at in range(2)]
        counts = [_more(&self.now.lasted.counts[at], &self.before.lasted.counts[at]) for at in range(buckets)]
        lasted = _more(&self.now.lasted.total, &self.before.lasted.total) / 1e9
        return opened, closed, carried[0], carried[1], counts, lasted


cdef uint64_t _more(uint64_t *now, uint64_t *before) noexcept:
    cdef uint64_t found = counted(now), more = found - before[0]
    before[0] = found
    return more


cdef class Directory:
    """Server names, each with its endpoints. Never changes; a gate serves it.

    `entries` are (name, dial_ns, account, endpoints); an endpoint is (sum of the weights so far, packed address
    or None), and None is one that Python resolves. `ports` are as of `Loop`. A name may be there once.
    """

    cdef CDirectory directory
    cdef readonly tuple keep   #: whatever belongs to each entry, in their order
    cdef tuple accounts
    cdef public object host    #: hears of connections

    def __init__(self, list entries, tuple keep, tuple ports=(0, 65535)):
        cdef uint32_t room = 8
        cdef uint32_t number
        while room < 2 * len(entries):
            room *= 2
        self.keep = keep
        self.accounts = tuple(account for _, _, account, _ in entries)
        self.directory.owner = <void *>self
        self.directory.mask = room - 1
        self.directory.slots = <uint32_t *>calloc(room, sizeof(uint32_t))
        self.directory.routes = <Route *>calloc(len(entries) + 1, sizeof(Route))
        if self.directory.slots == NULL or self.directory.routes == NULL:
            raise MemoryError
        for number, (name, dial_ns, account, endpoints) in enumerate(entries):
            self._add(number, name, dial_ns, account, endpoints, ports)

    cdef int _add(
        self, uint32_t number, bytes name, int64_t dial_ns, Account account, tuple endpoints, tuple ports
    ) except -1:
        cdef Route *route = &self.directory.routes[number]
        cdef int size = <int>len(name)
        cdef uint32_t at = name_hash(name, size) & self.directory.mask
        if directory_find(&self.directory, name, size) != NULL:
            raise ValueError(f"{name!r} is there twice")
        route.name = <char *>malloc(size + 1)
        route.endpoints = <Endpoint *>calloc(len(endpoints) + 1, sizeof(Endpoint))
        self.directory.count = number + 1
        if route.name == NULL or route.endpoints == NULL:
            raise MemoryError
        memcpy(route.name, <char *>name, size)
        route.name_bytes = size
        route.number = number
        route.dial_ns = dial_ns
        route.account = &account.now
        for up_to, address in endpoints:
            _endpoint(&route.endpoints[route.count], up_to, address, ports)
            route.count += 1
        while self.directory.slots[at] != 0:
            at = (at + 1) & self.directory.mask
        self.directory.slots[at] = number + 1
        return 0

    def __dealloc__(self):
        cdef uint32_t at
        for at in range(self.directory.count):
            free(self.directory.routes[at].name)
            free(self.directory.routes[at].endpoints)
        free(self.directory.routes)
        free(self.directory.slots)

    @property
    def users(self):
        """How many connections need it yet; none more come once no gate serves it."""
        return counted_shared(&self.directory.users)

    def find(self, bytes name, double chance):
        """What the loop does with this name and this chance: the entry and its endpoint, None for Python's."""
        cdef Route *route = directory_find(&self.directory, name, <int>len(name))
        cdef int drawn = -1 if route == NULL else route_draw(route, chance)
        if drawn < 0 or route.endpoints[drawn].address_bytes == 0:
            return None
        return route.number, drawn


cdef int _endpoint(Endpoint *endpoint, double up_to, bytes address, tuple ports) except -1:
    cdef int port
    endpoint.up_to = up_to
    if address is None:
        return 0
    if not 4 <= len(address) <= ADDRESS_BYTES:
        raise ValueError(f"no address has {len(address)} bytes")
    memcpy(endpoint.address, <char *>address, len(address))
    endpoint.address_bytes = <int>len(address)
    port = (<unsigned char>endpoint.address[2] << 8) | <unsigned char>endpoint.address[3]
    endpoint.may_meet_itself = ports[0] <= port <= ports[1]
    return 0


cdef tuple _told(Passed *one, int64_t now):
    directory = <object>one.directory.owner
    count_shared(&one.directory.users, -1)
    return (
        directory, one.route.number, one.drawn, one.generation, (now - one.began) / 1e9, (now - one.ended) / 1e9,
        one.carried[0], one.carried[1], one.outcome,
    )


cdef class Gates:
    """The gates of one loop, by number. `keep` is the loop; `chance` is any number but 0."""

    cdef State *state
    cdef object keep
    cdef Places places
    cdef list directories    # by number: what each gate serves

    def __init__(self, loop, Places places, uint64_t chance, tuple life_bounds, tuple hello_bounds):
        self.keep = loop
        self.places = places
        self.directories = [None] * MOST_GATES
        self.state = <State *><uintptr_t>loop.address
        self.state.places = &places.places
        self.state.chance = chance
        learn_bounds(&self.state.life_bounds, life_bounds)
        learn_bounds(&self.state.hello_bounds, hello_bounds)

    def open(
        self, int fd, Directory directory, uint64_t generation, int64_t most,
        int64_t idle_ns, int64_t age_ns, uint32_t buffer_bytes, uint32_t pipe_bytes,
    ):
        """Accept from a listening, non-blocking descriptor, which stays the caller's; the gate's number.

        Limits are those of `Loop.dial`, and at most `most` connections in all, below 0 any number.
        -1 is no gate: there are too many, or the kernel has no room to watch it.
        """
        cdef Gate *gate
        cdef int number
        self._lock()
        number = self._unused()
        if number < 0:
            self._unlock()
            return -1
        gate = &self.state.gates[number]
        gate.number = number
        gate.fd = fd
        gate.directory = &directory.directory
        gate.generation = generation
        gate.most = most
        gate.idle_ns = idle_ns
        gate.age_ns = age_ns
        gate.buffer_bytes = buffer_bytes
        gate.pipe_bytes = pipe_bytes
        watched = self._watch(gate)
        self._unlock()
        if not watched:
            return -1
        self.directories[number] = directory
        return number

    def serve(self, int number, Directory directory, uint64_t generation):
        """Lead elsewhere: once this returns, nobody is accepted for what was there before."""
        self._lock()
        self.state.gates[number].directory = &directory.directory
        self.state.gates[number].generation = generation
        self._unlock()
        self.directories[number] = directory

    def resume(self, int number):
        """Accept again at a gate that was left to Python; False if the kernel has no room to watch it."""
        cdef Gate *gate = &self.state.gates[number]
        cdef bint watched
        self._lock()
        watched = gate.state != GATE_LEFT or self._watch(gate)
        self._unlock()
        return watched

    def close(self, int number):
        """Once this returns, nobody is accepted here any more."""
        cdef Gate *gate = &self.state.gates[number]
        self._lock()
        if gate.state == GATE_OPEN:
            epoll_ctl(self.state.epoll, EPOLL_CTL_DEL, gate.fd, NULL)
        gate.state = GATE_SHUT
        gate.directory = NULL
        self._unlock()
        self.directories[number] = None

    def strangers(self):
        """Who is Python's to serve: (number of the gate, descriptor); None instead says that the gate is left."""
        cdef Stranger found[MOST_STRANGERS + MOST_GATES]
        cdef int at, count
        pthread_mutex_lock(&self.state.mutex)
        count = self.state.strangers_count
        self.state.strangers_count = 0
        if count:
            memcpy(found, self.state.strangers, count * sizeof(Stranger))
        pthread_mutex_unlock(&self.state.mutex)
        return [(found[at].gate, None if found[at].fd == NOBODY else found[at].fd) for at in range(count)]

    def passed(self):
        """The last that nobody claimed, in the order of their ends: each but once, as a tuple.

        (directory, entry, endpoint, generation, seconds since its accept, since its end, up, down, outcome)
        """
        cdef Passed *found = <Passed *>malloc(MOST_PASSED * sizeof(Passed))
        cdef uint32_t at, count, first
        cdef int64_t now
        cdef list told = []
        if found == NULL:
            raise MemoryError
        pthread_mutex_lock(&self.state.mutex)
        count = self.state.passed_count
        first = self.state.passed_next + MOST_PASSED - count
        memcpy(found, self.state.passed, MOST_PASSED * sizeof(Passed))
        self.state.passed_count = 0
        pthread_mutex_unlock(&self.state.mutex)
        now = clock_ns()
        for at in range(first, first + count):
            told.append(_told(&found[at % MOST_PASSED], now))
        free(found)
        return told

    def serves(self, Directory directory):
        """Whether a gate leads to it."""
        return any(one is directory for one in self.directories)

    def hellos(self):
        """The histogram of the lengths of hellos that were read here: counts per bucket, and the sum."""
        return spread(&self.state.hello_bounds, &self.state.hellos, 1)

    cdef void _lock(self):
        """At most for as long as a batch of accepts takes."""
        with nogil:
            pthread_mutex_lock(&self.state.at_gates)

    cdef void _unlock(self):
        pthread_mutex_unlock(&self.state.at_gates)

    cdef int _unused(self):
        cdef int number
        for number in range(MOST_GATES):
            if self.state.gates[number].state == GATE_SHUT:
                return number
        return -1

    cdef bint _watch(self, Gate *gate):
        cdef epoll_event event
        event.events = EPOLLIN
        event.data.ptr = gate
        if epoll_ctl(self.state.epoll, EPOLL_CTL_ADD, gate.fd, &event) != 0:
            return False
        gate.state = GATE_OPEN
        return True
