"""Connecting to an upstream from the relay loop, and how long that took.

Belongs here: the socket until it is connected. Never here: another attempt, which is a task's.
"""

from libc.errno cimport ECONNREFUSED, EINPROGRESS, errno
from libc.string cimport memcmp

from worker.relay.native._flow cimport DIAL_FAILED, UPSTREAM, Flow
from worker.relay.native._kernel cimport (
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    SO_ERROR,
    connect,
    getpeername,
    getsockname,
    getsockopt,
    setsockopt,
    sockaddr,
    sockaddr_storage,
    socket,
    socklen_t,
)
from worker.relay.native._side cimport READABLE, WRITABLE, Side
from worker.relay.native._state cimport Option, Options, State

cdef inline void dial_begin(State *state, Flow *flow) noexcept nogil:
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
    set_options(upstream.fd, &state.at_once if flow.route == NULL else &state.with_hello)
    upstream.read_waits = READABLE
    upstream.write_waits = WRITABLE
    if connect(upstream.fd, to, flow.address_bytes) != 0 and errno != EINPROGRESS:
        flow.error = errno
        flow.outcome = DIAL_FAILED


cdef inline void set_options(int fd, Options *options) noexcept nogil:
    cdef Option *option
    cdef int at
    for at in range(options.count):
        option = &options.options[at]
        setsockopt(fd, option.level, option.name, &option.value, sizeof(int))


cdef inline int dial_refusal(State *state, Flow *flow) noexcept nogil:
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
