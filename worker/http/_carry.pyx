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
    BLOCKED, ENDED, LOST, NOTHING, Side, side_read, side_write,
)

cdef enum:
    PIECE = AT_MOST
    PIECES = 16  # a fifth of a millisecond: all of a megabyte

MORE_AT_ONCE = 0
MORE_LATER = 1
SOURCE_ENDED = 2
SOURCE_LOST = 3
SINK_LOST = 4


# One for all: what a sink has not taken is copied out of it before anybody else reads.
cdef char piece[PIECE]


def carry(Channel source not None, Channel sink not None, Py_ssize_t left):
    cdef Py_ssize_t taken = 0
    cdef int count, wanted, sent
    for _ in range(PIECES):
        wanted = <int>min(left - taken, <Py_ssize_t>PIECE)
        if wanted == 0:
            break
        source.side.read_waits = NOTHING
        count = side_read(&source.side, &tls, piece, wanted)
        if count <= 0:
            return _nothing(count), taken, b""
        taken += count
        sent = side_write(&sink.side, &tls, piece, count, False)
        if sent == LOST:
            return SINK_LOST, taken, PyBytes_FromStringAndSize(piece, count)
        if sent < count:
            sent = max(sent, 0)
            return MORE_AT_ONCE, taken, PyBytes_FromStringAndSize(piece + sent, count - sent)
        if source.side.read_waits != NOTHING:
            return MORE_LATER, taken, b""
    return MORE_AT_ONCE, taken, b""


cdef int _nothing(int answer):
    if answer == BLOCKED:
        return MORE_LATER
    return SOURCE_ENDED if answer == ENDED else SOURCE_LOST
