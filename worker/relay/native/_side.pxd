"""One socket of a flow, bare or with an OpenSSL connection on it: read, write, end, without waiting.

Belongs here: the translation of what the kernel and OpenSSL say into four answers. Never here: where
the bytes go, or how a flow ends.

Sockets are watched edge-triggered, all events at once, from the first to the last: no epoll_ctl per
wait. So each of the two calls on a side remembers what it waits for (`read_waits`, `write_waits`), and
the event clears it. A TLS read may wait for writing and a TLS write for reading (SSL_get_error(3)); as
either call may take from the socket what the other one waits for, each success of one clears such a
crossed wait of the other.

Two things of OpenSSL's make the order of calls matter: once a write has failed it reads nothing more,
so a side that has hung up is read to its end and not written to; and the error queue must be empty
before each call that SSL_get_error shall judge.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "<netinet/in.h>" nogil:
    enum: IPPROTO_TCP

cdef extern from "<netinet/tcp.h>" nogil:
    enum: TCP_CORK

cdef extern from "<sys/socket.h>" nogil:
    enum: MSG_MORE
    enum: MSG_NOSIGNAL
    enum: SHUT_WR
    ssize_t recv(int fd, void *buffer, size_t size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    int shutdown(int fd, int how)
    int setsockopt(int fd, int level, int option, const void *value, unsigned int size)

# What a read or write answers besides a count of bytes.
cdef enum:
    ENDED = 0      # the peer ended its direction in order
    BLOCKED = -1   # what it waits for is noted in the side
    LOST = -2      # reset, or a TLS stream without its end

# What a call may wait for; bits, as events clear them.
cdef enum:
    NOTHING = 0
    READABLE = 1
    WRITABLE = 2

# SSL_get_error(3); part of OpenSSL's binary interface since 0.9.
cdef enum:
    SSL_ERROR_WANT_READ = 2
    SSL_ERROR_WANT_WRITE = 3
    SSL_ERROR_ZERO_RETURN = 6

cdef enum:
    RECORD = 16384  # the most that goes into one (RFC 8446 section 5.1)

ctypedef int (*SslIo)(void *ssl, void *data, int size) noexcept nogil
ctypedef int (*SslCall)(void *ssl) noexcept nogil
ctypedef int (*SslJudge)(void *ssl, int result) noexcept nogil
ctypedef void (*SslClear)() noexcept nogil


# The OpenSSL functions that are called, from the library that made the connections.
cdef struct Tls:
    SslIo read
    SslIo write
    SslCall shutdown
    SslJudge get_error
    SslClear clear_errors


cdef struct Side:
    void *flow         # whose side this is: what an epoll event leads to
    void *ssl          # NULL on a bare socket
    int fd
    uint8_t read_waits
    uint8_t write_waits
    uint8_t hung_up    # the kernel has told of an end or an error: read until it shows
    uint8_t reset      # the kernel has told of an error or of both directions' end
    uint8_t urgent     # the peer has sent urgent data, at which reads stop short (tcp(7))
    int after          # what the next read answers, if this one found it behind its bytes; else BLOCKED


cdef inline void side_open(Side *side, void *flow, int fd, void *ssl) noexcept nogil:
    side.flow = flow
    side.ssl = ssl
    side.fd = fd
    side.read_waits = NOTHING
    side.write_waits = NOTHING
    side.hung_up = False
    side.reset = False
    side.urgent = False
    side.after = BLOCKED


cdef inline int side_read(Side *side, Tls *tls, char *into, int size) noexcept nogil:
    """How many bytes came, or ENDED, BLOCKED, LOST."""
    if side.ssl != NULL:
        return _read_tls(side, tls, into, size)
    return _read_plain(side, into, size)


cdef inline int side_write(Side *side, Tls *tls, const char *data, int size, bint is_last) noexcept nogil:
    """How many of `size` (not 0) bytes were taken, or BLOCKED, LOST.

    `is_last` is a promise: if all is taken, `side_end` or the close follows at once, and then the end travels
    with the last bytes: one packet less, and one wake-up of the peer.
    After BLOCKED the same bytes are to be offered again, maybe more and maybe at another address.
    """
    if side.ssl != NULL:
        return _write_tls(side, tls, data, size)
    return _write_plain(side, data, size, MSG_NOSIGNAL | MSG_MORE if is_last else MSG_NOSIGNAL)


cdef inline int side_end(Side *side, Tls *tls) noexcept nogil:
    """End our direction in order, when all that was to be written has been taken: ENDED, BLOCKED or LOST."""
    cdef int result
    if side.ssl == NULL:
        return ENDED if shutdown(side.fd, SHUT_WR) == 0 else LOST
    tls.clear_errors()
    result = tls.shutdown(side.ssl)
    if result >= 0:
        return ENDED
    return _blocked_or_lost(side, tls.get_error(side.ssl, result), &side.write_waits)


cdef inline int _read_plain(Side *side, char *into, int size) noexcept nogil:
    """A short read has emptied the socket (epoll(7)): what was announced before, if anything, is its end.

    Except at a mark of urgent data, where a read stops although more is behind. The kernel tells of it no
    later than of the end, and again if it comes after the last telling.
    """
    cdef ssize_t count
    if side.after != BLOCKED:
        return side.after
    while True:
        count = recv(side.fd, into, size, 0)
        if count >= 0:
            if 0 < count < size and not side.urgent:
                if not side.hung_up:
                    side.read_waits = READABLE
                elif not side.reset:
                    side.after = ENDED
            return <int>count
        if errno == EAGAIN:
            side.read_waits = READABLE
            return BLOCKED
        if errno != EINTR:
            return LOST


cdef inline int _write_plain(Side *side, const char *data, int size, int flags) noexcept nogil:
    cdef ssize_t count
    while True:
        count = send(side.fd, data, size, flags)
        if count >= 0:
            if count < size:
                side.write_waits = WRITABLE
            return <int>count
        if errno == EAGAIN:
            side.write_waits = WRITABLE
            return BLOCKED
        if errno != EINTR:
            return LOST


cdef inline int _read_tls(Side *side, Tls *tls, char *into, int size) noexcept nogil:
    """Record after record until `into` is full or OpenSSL has no more: nobody else can tell what it holds."""
    cdef int got
    if side.after != BLOCKED:
        return side.after
    got = side_decrypt(side, tls, into, size)
    if got > 0 and side.write_waits == READABLE:
        side.write_waits = NOTHING
    return got


cdef inline int side_decrypt(Side *side, Tls *tls, char *into, int size) noexcept nogil:
    """The TLS read itself; what came behind the bytes is noted in `side.after`."""
    cdef int count, got = 0
    while got < size:
        tls.clear_errors()
        count = tls.read(side.ssl, into + got, size - got)
        if count <= 0:
            count = _cannot_read(side, tls.get_error(side.ssl, count))
            if got == 0:
                return count
            side.after = count
            break
        got += count
    return got


cdef inline int _cannot_read(Side *side, int error) noexcept nogil:
    if error == SSL_ERROR_ZERO_RETURN:
        return ENDED
    return _blocked_or_lost(side, error, &side.read_waits)


cdef inline int _write_tls(Side *side, Tls *tls, const char *data, int size) noexcept nogil:
    """Several records are held together by TCP_CORK (tcp(7)): one wake-up of the peer, not one each."""
    cdef int taken
    if side.reset:
        return LOST  # and what it said before can still be read
    if size <= RECORD:
        return _write_records(side, tls, data, size)
    _cork(side.fd, 1)
    taken = _write_records(side, tls, data, size)
    _cork(side.fd, 0)
    return taken


cdef inline void _cork(int fd, int held) noexcept nogil:
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &held, sizeof(held))


cdef inline int _write_records(Side *side, Tls *tls, const char *data, int size) noexcept nogil:
    cdef int count, taken = 0
    while taken < size:
        tls.clear_errors()
        count = tls.write(side.ssl, <void *>(data + taken), size - taken)
        if count <= 0:
            count = _blocked_or_lost(side, tls.get_error(side.ssl, count), &side.write_waits)
            return taken if taken > 0 and count == BLOCKED else count
        taken += count
    if side.read_waits == WRITABLE:
        side.read_waits = NOTHING
    return taken


cdef inline int _blocked_or_lost(Side *side, int error, uint8_t *waits) noexcept nogil:
    if error == SSL_ERROR_WANT_READ:
        waits[0] = READABLE
    elif error == SSL_ERROR_WANT_WRITE:
        waits[0] = WRITABLE
    else:
        return LOST
    return BLOCKED
