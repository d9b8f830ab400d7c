"""What other modules outside Python use of rounds."""

from libc.stdint cimport uint8_t

cdef enum:
    # Who waits for something at a descriptor: nobody, a caller's turn, a turn for its upstream's answer.
    NOBODY = 0
    ASKED = 1
    ANSWERED = 2


cdef class Waiting:
    cdef int come(self) except -1
    cdef int answer(self) except -1


cdef class Rounds:
    cdef int epoll
    cdef list waiting         # by descriptor; None for nobody
    cdef bytearray kinds
    cdef readonly double now  # of trio's clock, when this round began
    cdef readonly double offset
    cdef readonly long long answered
    cdef object clock

    cdef int wait(self, int descriptor, Waiting who, int kind) except -1
    cdef int quit(self, int descriptor) except -1


cdef double monotonic() noexcept nogil
