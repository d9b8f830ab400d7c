# cython: language_level=3
"""A body's bytes from one leg to another, a piece at a time, through memory that stays in the processor's cache.

What was read is written at once, from the same few pages, and the next piece overwrites it there. So whoever
receives it finds it warm, which pages that no proxy touched (splice(2)) are not.

Belongs here: so many pieces as one task may move before others have their turn. Never here: waiting, or where a
body ends. The types are in `_carry.pyi`.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize

from worker.http._channel cimport AT_MOST, Channel, tls
from worker.relay.native._side cimport (
    BLOCKED, ENDED, LOST, NOTHING, READABLE, RECORD, Side, side_read, side_write,
)

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *of, unsigned long count, int timeout_ms)

cdef enum:
    PIECE = AT_MOST
    SEALED_PIECE = 3 * RECORD  # for a sink in TLS: what the relay engine found best
    PIECES = 16  # a fifth of a millisecond: all of a megabyte

MORE_AT_ONCE = 0
MORE_LATER = 1
SOURCE_ENDED = 2
SOURCE_LOST = 3
SINK_LOST = 4
CROSSED = 5


# One for all: what a sink has not taken is copied out of it before anybody else reads.
cdef char piece[PIECE]


def carry(Channel source not None, Channel sink not None, Py_ssize_t left):
    cdef Py_ssize_t taken = 0
    cdef int count, sent
    cdef int most = PIECE if sink.side.ssl == NULL else SEALED_PIECE
    for _ in range(PIECES):
        if taken == left:
            break
        source.side.read_waits = NOTHING
        count = side_read(&source.side, &tls, piece, <int>min(left - taken, <Py_ssize_t>most))
        if count <= 0:
            return _nothing(count, source.side.read_waits), taken, b""
        taken += count
        if sink.side.ssl != NULL:
            sink.side.reset = _has_hung_up(sink.side.fd)
        sent = side_write(&sink.side, &tls, piece, count, False)
        if sent == LOST:
            return SINK_LOST, taken, PyBytes_FromStringAndSize(piece, count)
        if sent < count:
            sent = max(sent, 0)
            return MORE_AT_ONCE, taken, PyBytes_FromStringAndSize(piece + sent, count - sent)
        if source.side.read_waits != NOTHING:
            return _nothing(BLOCKED, source.side.read_waits), taken, b""
    return MORE_AT_ONCE, taken, b""


cdef int _nothing(int answer, int waits):
    if answer == BLOCKED:
        return MORE_LATER if waits == READABLE else CROSSED
    return SOURCE_ENDED if answer == ENDED else SOURCE_LOST


cdef bint _has_hung_up(int fd):
    """Once a write has failed OpenSSL reads nothing more, and an answer may have come (`worker.tls.leg`)."""
    cdef pollfd of
    of.fd = fd
    of.events = 0  # none but those that are always told: error, hang-up
    return poll(&of, 1, 0) > 0
