"""TLS bulk: the socket is read in large pieces, and OpenSSL is fed from memory.

OpenSSL reads each record with two calls, its header and its body, and each of them may tell the sender of
room and so wake it. Here one call reads several records, and what they held goes on with one write. Belongs
here: one such read. Never here: which flows are worth it, and how many at once (`_flow`).

For the time of one read the connection sits on two memory BIOs; all of the piece is decrypted, or kept by
OpenSSL as the beginning of a record, and then it sits on its socket again. So nobody else has to know, and
nothing of it stays in memory between two reads. What OpenSSL has to say while it reads (an alert) is sent
at once, or if the socket has no room for it the side is lost: it may not overtake or be forgotten.
"""

from libc.stdlib cimport free, malloc

from worker.relay.native._side cimport (
    BLOCKED,
    LOST,
    MSG_NOSIGNAL,
    NOTHING,
    READABLE,
    RECORD,
    Side,
    Tls,
    recv,
    send,
    side_decrypt,
)

# What such a read answers besides what `side_read` does.
cdef enum:
    UNREAD = -3        # ask `side_read`

ctypedef void (*SslSetBio)(void *ssl, void *source, void *sink) noexcept nogil
ctypedef int (*SslSetFd)(void *ssl, int fd) noexcept nogil
ctypedef void *(*BioMethod)() noexcept nogil
ctypedef void *(*BioNew)(void *method) noexcept nogil
ctypedef void *(*BioNewOver)(const void *data, int size) noexcept nogil
ctypedef long (*BioSetEof)(void *bio, int answer) noexcept nogil
ctypedef long (*BioHeld)(void *bio, char **data) noexcept nogil
ctypedef int (*BioFree)(void *bio) noexcept nogil


# OpenSSL's functions for it, and the memory that all flows of a loop share. No memory: no such reads.
cdef struct Bulk:
    SslSetBio set_bio
    SslSetFd set_fd
    BioMethod memory
    BioNew new_bio
    BioNewOver new_over
    BioSetEof set_eof
    BioHeld held
    BioFree free_bio
    char *piece
    int piece_bytes


cdef inline bint bulk_open(Bulk *bulk, int most) noexcept nogil:
    """Get memory for reads that decrypt to at most `most` bytes; False if there is none to be had."""
    bulk.piece_bytes = most - RECORD  # besides what OpenSSL may hold: one record, or a part of it
    bulk.piece = <char *>malloc(bulk.piece_bytes)
    return bulk.piece != NULL


cdef inline void bulk_close(Bulk *bulk) noexcept nogil:
    free(bulk.piece)


cdef inline int bulk_read(Side *side, Tls *tls, Bulk *bulk, char *into, int size) noexcept nogil:
    """Read and decrypt one piece; `size` is that of `bulk_open`. UNREAD where `side_read` knows better."""
    cdef ssize_t piece
    cdef int got
    if bulk.piece == NULL or side.after != BLOCKED:
        return UNREAD
    piece = recv(side.fd, bulk.piece, bulk.piece_bytes, 0)
    if piece <= 0:
        return UNREAD
    got = _decrypt(side, tls, bulk, <int>piece, into, size)
    if side.write_waits == READABLE:
        side.write_waits = NOTHING
    if got == BLOCKED or (got > 0 and side.after == BLOCKED):
        if piece == bulk.piece_bytes or side.hung_up or side.urgent:
            side.read_waits = NOTHING  # there may be more (`_side`)
            return got if got > 0 else UNREAD
    return got


cdef inline int _decrypt(Side *side, Tls *tls, Bulk *bulk, int piece, char *into, int size) noexcept nogil:
    cdef void *source = bulk.new_over(bulk.piece, piece)
    cdef void *sink = bulk.new_bio(bulk.memory())
    cdef int got
    cdef bint said, back
    if source == NULL or sink == NULL:
        bulk.free_bio(source)
        bulk.free_bio(sink)
        return LOST
    bulk.set_eof(source, -1)  # its end is "later", not the stream's
    bulk.set_bio(side.ssl, source, sink)  # which owns them from now on
    got = side_decrypt(side, tls, into, size)
    said = _say(side, bulk, sink)
    back = bulk.set_fd(side.ssl, side.fd) != 0
    if got == size or not said or not back:
        return LOST  # the first cannot be: `into` has room for all
    return got


cdef inline bint _say(Side *side, Bulk *bulk, void *sink) noexcept nogil:
    """Send what OpenSSL wrote meanwhile; False if the socket did not take it."""
    cdef char *data
    cdef long length = bulk.held(sink, &data)
    return length <= 0 or send(side.fd, data, length, MSG_NOSIGNAL) == length
