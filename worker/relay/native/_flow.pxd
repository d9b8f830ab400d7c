"""A flow: two sides, two directions between them, and how it ends.

Belongs here: moving what can be moved now, and the outcome. Never here: waiting for events, threads,
or Python objects.

A direction reads only when nothing of it is pending, so at most `buffer_bytes` of it wait in memory,
and a flow that waits for its peers holds no buffer at all. What a side does not take at once is copied
out of the loop's scratch buffer. TLS bulk is read in larger pieces (`_bulk`), of which so few may wait at
once that it hardly counts. Between bare sockets, a direction that has much to move goes through a
kernel pipe instead (`_pipes`), where nothing is copied; a trickle goes back to being copied.

The endings are those of `worker.relay.engine`: a side that could not be written to is remembered as
lost while the other direction goes on, which delivers what it had said before; then its end, which
the kernel tells as an orderly one once the error has been reported, is not taken for one.
"""

from libc.errno cimport EAGAIN, EINTR, EINVAL, ENOMEM, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from worker.relay.native._bulk cimport UNREAD, Bulk, bulk_read
from worker.relay.native._kernel cimport count_up
from worker.relay.native._names cimport Directory, Route
from worker.relay.native._pipes cimport (
    SPLICE_F_MOVE,
    SPLICE_F_NONBLOCK,
    Pipe,
    Pipes,
    pipe_borrow,
    pipe_discard,
    pipe_return,
    splice,
)
from worker.relay.native._side cimport (
    BLOCKED,
    ENDED,
    LOST,
    NOTHING,
    READABLE,
    RECORD,
    WRITABLE,
    Side,
    Tls,
    side_end,
    side_read,
    side_write,
)
from worker.relay.native._timers cimport Timer

# A side, and the direction that it is the source of.
cdef enum:
    CLIENT = 0
    UPSTREAM = 1
    REACHED = 2        # the index of one more counter: 1 once a dial has succeeded

# How a flow is over; RUNNING while it is not. `ENDS` in `_loop` is in the same order.
cdef enum:
    RUNNING = 0
    FINISHED = 1
    CLIENT_RESET = 2
    UPSTREAM_RESET = 3
    IDLE_TIMEOUT = 4
    MAX_AGE = 5
    STOPPED = 6        # by kill or release
    DIAL_FAILED = 7    # `error` says why; the client's socket is untouched
    NO_ROOM = 8        # no memory, or no room in the kernel's tables

# The life of one direction.
cdef enum:
    OPEN = 0
    ENDING = 1         # the source has ended: pass it on once nothing is pending
    OVER = 2


cdef struct Lane:
    char *pending      # what the sink did not take yet; NULL when nothing
    uint32_t start
    uint32_t length
    uint32_t piped     # how many bytes are in the pipe
    uint32_t rush      # how many were, since its source last had no more
    Pipe pipe
    uint8_t state
    uint8_t bulk       # it goes through a pipe, uncopied
    uint8_t wholesale  # its source, in TLS, is read in large pieces


cdef struct Flow:
    Timer timer        # first, so that a timer's address is its flow's
    Side sides[2]
    Lane lanes[2]
    uint64_t *counters # three, as `Flow.counters` in Python
    int64_t last_moved
    int64_t idle_limit # 0 is none
    int64_t ends_at    # 0 is never
    int64_t dial_until
    int64_t late_at    # when the late options are due; 0 is never
    uint32_t buffer_bytes
    uint32_t pipe_bytes # 0 is no pipes
    int error
    uint8_t outcome
    uint8_t lost       # the side that could not be written to, plus one
    uint8_t dialling
    uint8_t owns       # the descriptors are ours to close
    uint8_t queued     # it is in the loop's list of flows to be served
    uint8_t posted     # it is in the inbox; guarded by the loop's mutex
    uint8_t handed_over # the Python side may free it; guarded by the loop's mutex
    uint8_t stop       # asked to stop; guarded by the loop's mutex
    uint8_t stopping   # the same, as the loop has heard of it
    uint8_t begun
    uint8_t may_meet_itself # it dials a port that the kernel may choose to dial from
    int address_bytes
    const char *address # where to dial; the ticket keeps it alive
    int64_t began
    double elapsed     # seconds it had taken before it came here, for the account of set-up times
    Flow *previous     # of all that are carried
    Flow *next
    Flow *next_ready
    Flow *next_posted  # in the inbox; guarded by the loop's mutex
    Flow *next_taken   # out of the inbox
    Flow *next_done
    void *ticket       # the Python object that stands for it; NULL if it was accepted here, until Python asks
    # Of a flow that was accepted here, `_accept`.
    Route *route
    Directory *directory
    int drawn          # which endpoint of the route's
    uint64_t generation # of the view that it began with
    uint64_t own_counters[3]
    uint8_t claimed    # Python knows of it; guarded by the loop's mutex, like the next three
    Flow *elder        # of those that nobody has claimed, in the order of their accepts
    Flow *younger
    Flow *next_claimed


# What a flow is moved with: one of each per loop.
cdef struct Tools:
    Tls tls
    Pipes pipes
    Bulk bulk
    char *scratch
    uint32_t scratch_bytes
    uint32_t hoards    # how many directions hold more than `buffer_bytes`
    int64_t now


# What a chunk costs of a turn besides its bytes, so that small ones are not free.
cdef enum:
    CHUNK_COST = 4096
    WORTH_A_PIPE = 16_384  # a direction that has so much at once goes through a pipe

# How much is read at once: three TLS records. Loopback takes up to 65,483 bytes as one segment, and what is
# a little more as two, of which the second is tiny: so four records were slower than three, measured.
cdef enum:
    READ_BYTES = 49_152
    MOST_HOARDS = 64


cdef inline bint flow_move(Flow *flow, Tools *tools, int turn_bytes) noexcept nogil:
    """Move up to about `turn_bytes`; True if its turn is up before it was out of work."""
    cdef int left = turn_bytes
    _move(flow, tools, &left)
    if left > 0 and flow.outcome == RUNNING and _uncross(flow):
        _move(flow, tools, &left)
    if left < turn_bytes:
        flow.last_moved = tools.now
    if flow.outcome == RUNNING and flow.lanes[CLIENT].state == OVER == flow.lanes[UPSTREAM].state:
        flow.outcome = _lost(flow, CLIENT) if flow.lost else FINISHED
    return flow.outcome == RUNNING and left <= 0


cdef inline void _move(Flow *flow, Tools *tools, int *left) noexcept nogil:
    cdef bint moved = True
    while moved and left[0] > 0 and flow.outcome == RUNNING:
        moved = _carry(flow, CLIENT, tools, left)
        if flow.outcome == RUNNING:
            moved = _carry(flow, UPSTREAM, tools, left) or moved


cdef inline bint _uncross(Flow *flow) noexcept nogil:
    """Let crossed calls try once more: a call that got nowhere may have taken what they wait for."""
    cdef bint found = False
    cdef int at
    for at in range(2):
        if flow.sides[at].write_waits == READABLE:
            flow.sides[at].write_waits = NOTHING
            found = True
        if flow.sides[at].read_waits == WRITABLE:
            flow.sides[at].read_waits = NOTHING
            found = True
    return found


cdef inline void flow_free_pending(Flow *flow, Tools *tools) noexcept nogil:
    _drop_pending(flow, &flow.lanes[CLIENT], tools)
    _drop_pending(flow, &flow.lanes[UPSTREAM], tools)


cdef inline bint _is_hoard(Flow *flow, Lane *lane) noexcept nogil:
    return lane.pending != NULL and lane.length > flow.buffer_bytes


cdef inline void _free_pending(Flow *flow, Lane *lane, Tools *tools) noexcept nogil:
    tools.hoards -= _is_hoard(flow, lane)
    free(lane.pending)
    lane.pending = NULL


cdef inline void _drop_pending(Flow *flow, Lane *lane, Tools *tools) noexcept nogil:
    _free_pending(flow, lane, tools)
    pipe_discard(&tools.pipes, &lane.pipe)
    lane.piped = 0


cdef inline bint _carry(Flow *flow, int source, Tools *tools, int *left) noexcept nogil:
    """One step of a direction; whether it got anywhere."""
    cdef Lane *lane = &flow.lanes[source]
    if lane.state == OVER:
        return False
    if lane.pending != NULL:
        return _send_pending(flow, source, tools, left)
    if lane.piped > 0:
        return _pour_out(flow, source, tools, left)
    if lane.state == ENDING:
        return _pass_end(flow, source, tools)
    if flow.sides[source].read_waits != NOTHING:
        return False
    if lane.bulk and not flow.sides[source].urgent and pipe_borrow(&tools.pipes, &lane.pipe, <int>flow.pipe_bytes):
        return _pour_in(flow, source, tools, left)
    return _receive(flow, source, tools, left)


cdef inline bint _receive(Flow *flow, int source, Tools *tools, int *left) noexcept nogil:
    cdef Lane *lane = &flow.lanes[source]
    cdef Side *side = &flow.sides[source]
    cdef int room = <int>min(min(flow.buffer_bytes, tools.scratch_bytes), <uint32_t>READ_BYTES)
    cdef int count = UNREAD
    if lane.wholesale and tools.hoards < MOST_HOARDS:
        count = bulk_read(side, &tools.tls, &tools.bulk, tools.scratch, <int>tools.scratch_bytes)
    if count == UNREAD:
        count = side_read(side, &tools.tls, tools.scratch, room)
    if count > 0:
        lane.bulk = count >= room and flow.pipe_bytes > 0 and _are_bare(flow)
        lane.wholesale = count >= (RECORD if lane.wholesale else room) and flow.pipe_bytes >= tools.scratch_bytes and side.ssl != NULL
        _offer(flow, source, tools, count, left)
    elif count == ENDED:
        lane.state = ENDING
    elif count == LOST:
        flow.outcome = _lost(flow, source)
    return count != BLOCKED


cdef inline void _offer(Flow *flow, int source, Tools *tools, int count, int *left) noexcept nogil:
    """Give what was just received to the sink, and keep what it does not take."""
    cdef Lane *lane = &flow.lanes[source]
    cdef Side *sink = &flow.sides[1 - source]
    cdef int taken = BLOCKED
    cdef bint is_last = flow.sides[source].after == ENDED and not flow.lost
    if sink.write_waits == NOTHING:
        taken = side_write(sink, &tools.tls, tools.scratch, count, is_last)
    if taken == LOST:
        _cannot_send(flow, source, tools)
        return
    if taken > 0:
        count_up(&flow.counters[source], <uint64_t>taken)
        left[0] -= taken + CHUNK_COST
    else:
        taken = 0
    if taken < count:
        lane.pending = <char *>malloc(count - taken)
        if lane.pending == NULL:
            flow.outcome = NO_ROOM
            return
        memcpy(lane.pending, tools.scratch + taken, count - taken)
        lane.start = 0
        lane.length = count - taken
        tools.hoards += _is_hoard(flow, lane)
    elif is_last:
        lane.state = ENDING
        _pass_end(flow, source, tools)


cdef inline bint _send_pending(Flow *flow, int source, Tools *tools, int *left) noexcept nogil:
    cdef Lane *lane = &flow.lanes[source]
    cdef Side *sink = &flow.sides[1 - source]
    cdef int taken
    if sink.write_waits != NOTHING:
        return False
    taken = side_write(sink, &tools.tls, lane.pending + lane.start, <int>(lane.length - lane.start), False)
    if taken == BLOCKED:
        return False
    if taken == LOST:
        _cannot_send(flow, source, tools)
        return True
    count_up(&flow.counters[source], <uint64_t>taken)
    left[0] -= taken + CHUNK_COST
    lane.start += <uint32_t>taken
    if lane.start == lane.length:
        _free_pending(flow, lane, tools)
    return True


cdef inline bint _are_bare(Flow *flow) noexcept nogil:
    return flow.sides[CLIENT].ssl == NULL == flow.sides[UPSTREAM].ssl


cdef inline bint _pour_in(Flow *flow, int source, Tools *tools, int *left) noexcept nogil:
    """Move from the source into the empty pipe just borrowed; a trickle is copied again from then on."""
    cdef Lane *lane = &flow.lanes[source]
    cdef Side *side = &flow.sides[source]
    cdef ssize_t count = splice(
        side.fd, NULL, lane.pipe.into, NULL, flow.pipe_bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK
    )
    if count > 0:
        lane.piped = <uint32_t>count
        lane.rush = min(lane.rush + lane.piped, <uint32_t>WORTH_A_PIPE)
        return _pour_out(flow, source, tools, left)
    pipe_return(&tools.pipes, &lane.pipe)
    if count == 0:
        lane.bulk = False  # the end, or urgent data: a read can tell
    elif errno == EAGAIN:
        side.read_waits = READABLE
        lane.bulk = lane.rush >= WORTH_A_PIPE
        lane.rush = 0
        return False
    elif errno == EINVAL or errno == ENOMEM:
        lane.bulk = False
    elif errno != EINTR:
        flow.outcome = _lost(flow, source)
    return True


cdef inline bint _pour_out(Flow *flow, int source, Tools *tools, int *left) noexcept nogil:
    """Move from the pipe into the sink; the pipe is kept while something is in it."""
    cdef Lane *lane = &flow.lanes[source]
    cdef Side *sink = &flow.sides[1 - source]
    cdef ssize_t taken
    if sink.write_waits != NOTHING:
        return False
    taken = splice(lane.pipe.out, NULL, sink.fd, NULL, lane.piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
    if taken > 0:
        count_up(&flow.counters[source], <uint64_t>taken)
        left[0] -= <int>taken + CHUNK_COST
        lane.piped -= <uint32_t>taken
        if lane.piped == 0:
            pipe_return(&tools.pipes, &lane.pipe)
    elif errno == EAGAIN:
        sink.write_waits = WRITABLE
        return False
    elif errno != EINTR:
        _cannot_send(flow, source, tools)
    return True


cdef inline bint _pass_end(Flow *flow, int source, Tools *tools) noexcept nogil:
    """All is delivered: end the sink's direction too, unless somebody might believe a cut stream."""
    cdef Side *sink = &flow.sides[1 - source]
    cdef int ended
    if flow.lost or _says_closing(flow, source):
        flow.lanes[source].state = OVER
        return True
    if sink.write_waits != NOTHING:
        return False
    ended = side_end(sink, &tools.tls)
    if ended == BLOCKED:
        return False
    if ended == LOST:
        _cannot_send(flow, source, tools)
    flow.lanes[source].state = OVER
    return True


cdef inline bint _says_closing(Flow *flow, int source) noexcept nogil:
    """Whether closing the sink, which is next, ends our direction of it as well."""
    return flow.owns and flow.lanes[1 - source].state == OVER and flow.sides[1 - source].ssl == NULL


cdef inline void _cannot_send(Flow *flow, int source, Tools *tools) noexcept nogil:
    """This direction is over; the other one may still hold what the lost sink said before."""
    _drop_pending(flow, &flow.lanes[source], tools)
    flow.lanes[source].state = OVER
    if not flow.lost:
        flow.lost = <uint8_t>(2 - source)


cdef inline int _lost(Flow *flow, int side) noexcept nogil:
    """The outcome of a flow one of whose sides was lost: the first one counts."""
    if flow.lost:
        side = flow.lost - 1
    return CLIENT_RESET if side == CLIENT else UPSTREAM_RESET
