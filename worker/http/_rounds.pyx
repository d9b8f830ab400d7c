# cython: language_level=3, boundscheck=False, wraparound=False
"""One epoll for all turns: who waits for what, and calling them, outside Python.

A descriptor leads to whoever waits for it now; other events are nobody's. The types are in `_rounds.pyi`.

Belongs here: the table and the events. Never here: what is done then (`_steps`), or when there is another round
(`express`).
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "<time.h>" nogil:
    enum: CLOCK_MONOTONIC
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *now)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)

cdef extern from "<sys/epoll.h>" nogil:
    enum: EPOLL_CLOEXEC
    enum: EPOLL_CTL_ADD
    enum: EPOLL_CTL_DEL
    enum: EPOLLIN
    enum: EPOLLRDHUP
    enum: EPOLLET
    ctypedef union epoll_data_t:
        int fd
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int what, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int most, int milliseconds)

cdef enum:
    AT_ONCE = 64


cdef double monotonic() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef class Waiting:
    """Who waits. Errors are theirs: what they raise ends all."""

    cdef int come(self) except -1:
        return 0

    cdef int answer(self) except -1:
        return 0


cdef class Called(Waiting):
    """A function that waits for an answer."""

    cdef object call

    def __init__(self, call):
        self.call = call

    cdef int answer(self) except -1:
        self.call()
        return 0


cdef class Rounds:
    """See `_rounds.pyi`."""

    def __cinit__(self):
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise OSError(errno, "epoll_create1")
        self.waiting = []
        self.kinds = bytearray()

    def __init__(self, clock):
        self.clock = clock

    def __dealloc__(self):
        if self.epoll >= 0:
            close(self.epoll)

    def fileno(self):
        return self.epoll

    def tell_time(self):
        self.now = self.clock()
        self.offset = self.now - monotonic()

    def watch(self, int descriptor, Waiting who not None, bint is_answer):
        cdef epoll_event event
        event.events = EPOLLIN | EPOLLRDHUP | <uint32_t>EPOLLET
        event.data.u64 = 0
        event.data.fd = descriptor
        self.wait(descriptor, who, ANSWERED if is_answer else ASKED)
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, descriptor, &event):
            self.quit(descriptor)
            raise OSError(errno, f"epoll_ctl of {descriptor}")

    def expect(self, int descriptor, Waiting who):
        if who is None:
            self.quit(descriptor)
        else:
            self.wait(descriptor, who, ANSWERED)

    def forget(self, int descriptor):
        self.quit(descriptor)
        if epoll_ctl(self.epoll, EPOLL_CTL_DEL, descriptor, NULL):
            raise OSError(errno, f"epoll_ctl of {descriptor}")

    def serve(self):
        cdef epoll_event events[AT_ONCE]
        cdef int count, at
        count = epoll_wait(self.epoll, events, AT_ONCE, 0)
        if count < 0:
            if errno == EINTR:
                return True
            raise OSError(errno, "epoll_wait")
        if count:
            self.tell_time()
        for at in range(count):
            _call(self, events[at].data.fd)
        return count == AT_ONCE

    cdef int wait(self, int descriptor, Waiting who, int kind) except -1:
        if descriptor >= len(self.kinds):
            more = descriptor + 1 - len(self.kinds)
            self.kinds += bytes(more)
            self.waiting += [None] * more
        self.kinds[descriptor] = <uint8_t>kind
        self.waiting[descriptor] = who
        return 0

    cdef int quit(self, int descriptor) except -1:
        if descriptor < len(self.kinds):
            self.kinds[descriptor] = NOBODY
            self.waiting[descriptor] = None
        return 0


cdef int _call(Rounds rounds, int descriptor) except -1:
    cdef Waiting who
    cdef int kind
    if descriptor >= len(rounds.kinds):
        return 0
    kind = rounds.kinds[descriptor]
    if kind == NOBODY:
        return 0
    who = <Waiting>rounds.waiting[descriptor]
    if kind == ASKED:
        return who.come()
    return who.answer()
