# cython: language_level=3
"""The native relay loop as Python sees it: a `Loop`, and a `Ticket` for each flow in its care.

Belongs here: what is called with the interpreter lock held: handing flows over, and taking them back.
Never here: the loop itself (`_thread`), or trio (`engine`). The types are in `_loop.pyi`.
"""

from cpython cimport array
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc

from worker.relay.native._account cimport SECOND
from worker.relay.native._bulk cimport (
    BioFree,
    BioHeld,
    BioMethod,
    BioNew,
    BioNewOver,
    BioSetEof,
    Bulk,
    SslSetBio,
    SslSetFd,
    bulk_close,
    bulk_open,
)
from worker.relay.native._flow cimport CLIENT, DIAL_FAILED, REACHED, UPSTREAM, Flow
from worker.relay.native._kernel cimport (
    EFD_CLOEXEC,
    EFD_NONBLOCK,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLLET,
    EPOLLIN,
    SIG_SETMASK,
    close,
    count_shared,
    counted,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    eventfd,
    pthread_create,
    pthread_join,
    pthread_mutex_destroy,
    pthread_mutex_init,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    pthread_setname_np,
    pthread_sigmask,
    pthread_t,
    read,
    sigfillset,
    sigset_t,
)
from worker.relay.native._pipes cimport pipes_close
from worker.relay.native._shown cimport learn_bounds, spread
from worker.relay.native._side cimport SslCall, SslClear, SslIo, SslJudge, side_open
from worker.relay.native._state cimport (
    MOST_OPTIONS,
    NOBODY,
    Option,
    Options,
    State,
    claim,
    clock_ns,
    flush,
    loop_signal,
    post,
    stop,
)
from worker.relay.native._thread cimport loop_run
from worker.relay.native._timers cimport heap_free

from cluster.reasons import End

#: By the outcomes of `_flow.pxd`. Nobody but us stops a flow, and who did knows why.
ENDS = (
    None,
    End.FINISHED,
    End.CLIENT_RESET,
    End.UPSTREAM_RESET,
    End.IDLE_TIMEOUT,
    End.MAX_AGE,
    None,
    None,
    End.OVERLOAD,
)


cdef class Loop


cdef class Ticket:
    """One flow in the loop's care. `on_over(ticket)` is for whoever reaps; `keep` is kept alive till then."""

    cdef Flow *flow
    cdef Loop loop      # whose state must live as long as this
    cdef State *state
    cdef public object on_over
    cdef readonly object keep
    cdef object kept_counters
    cdef object address
    cdef readonly object end      #: how the flow ended; None if it was stopped, or never began
    cdef readonly int dial_error  #: the errno of a dial that failed
    # Of a flow that was accepted here: see `worker.relay.porter.Born`.
    cdef public object directory     #: to be set to None by who adopts it
    cdef readonly int route, drawn, client
    cdef readonly uint64_t generation
    cdef readonly double age_seconds
    cdef uint64_t final[3]

    def stop(self):
        """Ask for its end; harmless at any time, and a second time."""
        if self.flow != NULL:
            stop(self.state, self.flow)

    @property
    def counters(self):
        """Of a flow that was accepted here: this ticket."""
        return self

    def __getitem__(self, int at):
        """The counters of a flow that was accepted here, as `Flow.counters` has them."""
        if not 0 <= at <= REACHED:
            raise IndexError(at)
        return counted(&self.flow.counters[at]) if self.flow != NULL else self.final[at]


cdef class Loop:
    """One relay loop. Everything but its thread is called by one Python thread.

    `tls` maps names of OpenSSL functions to their addresses, as ints, or is empty: then no flow may
    have a TLS side; without `SSL_set_bio` none is read in large pieces. `options` are set on each socket that is dialled from, as (level, name, value),
    and `late_options` on both sides of a dialled flow that has lived for `late_ns`, unless that is 0;
    `hello_options` take the place of `options` where the hello to send is there already.
    `bounds` are those of the histograms of set-up times, in seconds. `ports` are the first and the last
    that the kernel chooses from for a socket that dials. Raises OSError and MemoryError.
    """

    cdef State *state
    cdef pthread_t thread
    cdef bint running
    cdef int first_port, last_port
    cdef readonly int told  #: becomes readable when `reap` or the gates have something to give

    def __cinit__(
        self, dict tls, tuple options, tuple bounds, int scratch_bytes, tuple ports=(0, 65535),
        tuple late_options=(), int64_t late_ns=0, tuple hello_options=(),
    ):
        self.first_port, self.last_port = ports
        self.state = <State *>calloc(1, sizeof(State))
        if self.state == NULL:
            raise MemoryError
        self.state.epoll = self.state.wake = self.state.told = -1
        pthread_mutex_init(&self.state.mutex, NULL)
        pthread_mutex_init(&self.state.at_gates, NULL)
        self.state.tools.scratch = <char *>malloc(scratch_bytes)
        if self.state.tools.scratch == NULL:
            raise MemoryError
        self.state.tools.scratch_bytes = scratch_bytes
        self._open_descriptors()
        self.state.late_ns = late_ns
        _learn_options(&self.state.at_once, options)
        _learn_options(&self.state.late, late_options)
        _learn_options(&self.state.with_hello, hello_options)
        self._learn(tls, bounds)

    cdef int _open_descriptors(self) except -1:
        cdef epoll_event event
        self.state.epoll = epoll_create1(EPOLL_CLOEXEC)
        self.state.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        self.told = self.state.told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        event.events = EPOLLIN | EPOLLET  # edges: nobody has to read it
        event.data.ptr = NULL
        if self.state.told < 0 or epoll_ctl(self.state.epoll, EPOLL_CTL_ADD, self.state.wake, &event) != 0:
            raise OSError(errno, "a relay loop needs three descriptors")
        return 0

    cdef int _learn(self, dict tls, tuple bounds) except -1:
        learn_bounds(&self.state.setup_bounds, bounds)
        if tls:
            self.state.tools.tls.read = <SslIo><uintptr_t>tls["SSL_read"]
            self.state.tools.tls.write = <SslIo><uintptr_t>tls["SSL_write"]
            self.state.tools.tls.shutdown = <SslCall><uintptr_t>tls["SSL_shutdown"]
            self.state.tools.tls.get_error = <SslJudge><uintptr_t>tls["SSL_get_error"]
            self.state.tools.tls.clear_errors = <SslClear><uintptr_t>tls["ERR_clear_error"]
        if "SSL_set_bio" in tls:
            _learn_bulk(&self.state.tools.bulk, tls, <int>self.state.tools.scratch_bytes)
        return 0

    def __dealloc__(self):
        cdef int at
        if self.state == NULL:
            return
        self._join()
        for fd in (self.state.epoll, self.state.wake, self.state.told):
            if fd >= 0:
                close(fd)
        for at in range(self.state.strangers_count):
            if self.state.strangers[at].fd != NOBODY:
                close(self.state.strangers[at].fd)
        heap_free(&self.state.heap)
        pipes_close(&self.state.tools.pipes)
        bulk_close(&self.state.tools.bulk)
        free(self.state.tools.scratch)
        pthread_mutex_destroy(&self.state.mutex)
        pthread_mutex_destroy(&self.state.at_gates)
        free(self.state)

    @property
    def address(self):
        """Of the state, for the gates, which must keep this object alive."""
        return <uintptr_t>self.state

    def start(self):
        """Start the thread. It gets no signals: those are for Python's."""
        cdef sigset_t everything, before
        cdef int failed
        if self.running:
            raise RuntimeError("it runs already")
        self.state.stopping = False
        self.state.busy = True  # so that the first turn empties the inbox
        sigfillset(&everything)
        pthread_sigmask(SIG_SETMASK, &everything, &before)
        failed = pthread_create(&self.thread, NULL, loop_run, self.state)
        pthread_sigmask(SIG_SETMASK, &before, NULL)
        if failed:
            raise OSError(failed, "no thread for the relay loop")
        self.running = True
        pthread_setname_np(self.thread, b"lockgate-relay")

    def stop(self):
        """End the thread; every flow is stopped then, and waits to be reaped."""
        self._join()

    cdef void _join(self):
        if not self.running:
            return
        pthread_mutex_lock(&self.state.mutex)
        self.state.stopping = True
        pthread_mutex_unlock(&self.state.mutex)
        loop_signal(self.state.wake)
        with nogil:
            pthread_join(self.thread, NULL)
        self.running = False

    def relay(
        self, int client, uintptr_t client_ssl, int upstream, uintptr_t upstream_ssl,
        array.array counters, int64_t idle_ns, int64_t age_ns, uint32_t buffer_bytes, uint32_t pipe_bytes,
        object on_over, object keep,
    ):
        """Carry between two connected, non-blocking descriptors, which stay the caller's. A Ticket.

        An `ssl` is the address of an established OpenSSL connection on its descriptor, 0 for none; it
        is the loop's until the end, and `keep` must keep it alive. Limits of 0 are none.
        """
        cdef Ticket ticket = self._new(client, client_ssl, counters, idle_ns, age_ns, buffer_bytes, pipe_bytes, on_over, keep)
        side_open(&ticket.flow.sides[UPSTREAM], ticket.flow, upstream, <void *>upstream_ssl)
        post(self.state, ticket.flow)
        self.flush()
        return ticket

    def dial(
        self, int client, uintptr_t client_ssl, bytes address, int64_t dial_ns, double elapsed,
        array.array counters, int64_t idle_ns, int64_t age_ns, uint32_t buffer_bytes, uint32_t pipe_bytes,
        object on_over, object keep,
    ):
        """Connect to `address` (a sockaddr) within `dial_ns`, then carry. A Ticket.

        Both descriptors are the loop's: closed at the end, in order or by a reset; but if the dial
        fails (`dial_error`), the client's is the caller's again, and nothing was read from it.
        `elapsed` seconds have passed since the accept, for the account of set-up times. The loop may
        not hear of it before `flush`: one wake-up is enough for many.
        """
        cdef Ticket ticket = self._new(
            client, client_ssl, counters, idle_ns, age_ns, buffer_bytes, pipe_bytes, on_over, keep
        )
        cdef Flow *flow = ticket.flow
        ticket.address = address
        side_open(&flow.sides[UPSTREAM], flow, -1, NULL)
        flow.owns = True
        flow.address = <const char *>address
        flow.address_bytes = <int>len(address)
        flow.dial_until = dial_ns
        flow.elapsed = elapsed
        flow.may_meet_itself = self.first_port <= _port_of(flow.address) <= self.last_port
        post(self.state, flow)
        return ticket

    def flush(self):
        """See to it that the loop hears of what was dialled since the last time."""
        flush(self.state)

    cdef Ticket _new(
        self, int client, uintptr_t client_ssl, array.array counters,
        int64_t idle_ns, int64_t age_ns, uint32_t buffer_bytes, uint32_t pipe_bytes, object on_over, object keep,
    ):
        cdef Ticket ticket = Ticket.__new__(Ticket)
        cdef Flow *flow
        if len(counters) < 3 or counters.itemsize != sizeof(uint64_t):
            raise ValueError("a flow has three counters of 64 bits")
        flow = <Flow *>calloc(1, sizeof(Flow))
        if flow == NULL:
            raise MemoryError
        side_open(&flow.sides[CLIENT], flow, client, <void *>client_ssl)
        flow.counters = <uint64_t *>counters.data.as_ulonglongs
        flow.idle_limit = idle_ns
        flow.ends_at = age_ns
        flow.buffer_bytes = buffer_bytes
        flow.pipe_bytes = pipe_bytes
        flow.ticket = <void *>ticket
        Py_INCREF(ticket)  # the loop's reference, given back by `reap`
        ticket.flow = flow
        ticket.loop = self
        ticket.state = self.state
        ticket.on_over = on_over
        ticket.keep = keep
        ticket.kept_counters = counters
        return ticket

    def reap(self):
        """The tickets of the flows that are over, in the order of their ends; call `on_over` of each.

        One that was accepted here and that nobody claimed has none yet: its dial failed, or the loop was stopped.
        """
        cdef uint64_t told
        cdef Flow *flow
        cdef Flow *following
        cdef Ticket ticket
        cdef int at
        cdef list over = []
        read(self.state.told, &told, sizeof(told))
        pthread_mutex_lock(&self.state.mutex)
        flow = self.state.done_first
        self.state.done_first = self.state.done_last = NULL
        pthread_mutex_unlock(&self.state.mutex)
        while flow != NULL:
            following = flow.next_done
            ticket = <Ticket>flow.ticket if flow.ticket != NULL else self._adopt(flow)
            for at in range(3):
                ticket.final[at] = flow.counters[at]
            ticket.end = ENDS[flow.outcome]
            ticket.dial_error = flow.error if flow.outcome == DIAL_FAILED else 0
            ticket.flow = NULL
            free(flow)
            over.append(ticket)
            Py_DECREF(ticket)
            flow = following
        return over

    def claim(self, uint32_t most):
        """Tickets of up to `most` of the flows that were accepted here and are not known yet, oldest first."""
        cdef Flow *flow
        cdef Flow *following
        cdef uint32_t at, count = claim(self.state, most, &flow)
        cdef list claimed = []
        for at in range(count):
            following = flow.next_claimed
            claimed.append(self._adopt(flow))
            flow = following
        return claimed

    cdef Ticket _adopt(self, Flow *flow):
        """The ticket of a flow that was accepted here, which the loop does not free any more by itself."""
        cdef Ticket ticket = Ticket.__new__(Ticket)
        flow.ticket = <void *>ticket
        Py_INCREF(ticket)
        ticket.flow = flow
        ticket.loop = self
        ticket.state = self.state
        ticket.directory = <object>flow.directory.owner
        ticket.route = <int>flow.route.number
        ticket.drawn = flow.drawn
        ticket.client = flow.sides[CLIENT].fd
        ticket.generation = flow.generation
        ticket.age_seconds = (clock_ns() - flow.began) / <double>SECOND
        count_shared(&flow.directory.users, -1)
        return ticket

    def times(self):
        """The histograms of dial and of set-up times since the start: counts per bucket, and the sum."""
        return (
            spread(&self.state.setup_bounds, &self.state.dials, SECOND),
            spread(&self.state.setup_bounds, &self.state.setups, SECOND),
        )


cdef int _learn_bulk(Bulk *bulk, dict tls, int most) except -1:
    bulk.set_bio = <SslSetBio><uintptr_t>tls["SSL_set_bio"]
    bulk.set_fd = <SslSetFd><uintptr_t>tls["SSL_set_fd"]
    bulk.memory = <BioMethod><uintptr_t>tls["BIO_s_mem"]
    bulk.new_bio = <BioNew><uintptr_t>tls["BIO_new"]
    bulk.new_over = <BioNewOver><uintptr_t>tls["BIO_new_mem_buf"]
    bulk.set_eof = <BioSetEof><uintptr_t>tls["BIO_set_mem_eof_return"]
    bulk.held = <BioHeld><uintptr_t>tls["BIO_get_mem_data"]
    bulk.free_bio = <BioFree><uintptr_t>tls["BIO_free"]
    if not bulk_open(bulk, most):
        raise MemoryError
    return 0


cdef int _learn_options(Options *into, tuple options) except -1:
    cdef int at
    if len(options) > MOST_OPTIONS:
        raise ValueError(f"more than {MOST_OPTIONS} options")
    for at, (level, name, value) in enumerate(options):
        into.options[at] = Option(level, name, value)
    into.count = <int>len(options)
    return 0


cdef int _port_of(const char *address) noexcept:
    """At the same place for IPv4 and IPv6: behind the family, in network order."""
    return (<unsigned char>address[2] << 8) | <unsigned char>address[3]
