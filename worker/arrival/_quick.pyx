# cython: language_level=3
"""accept4(2) and a peek at the hello, in one call.

Belongs here: what `arrivals` promises. Never here: waiting. The types are in `_quick.pyi`.
"""

from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, errno
from libc.stdint cimport uint8_t

from worker.arrival._hello cimport MOST_NAME, hello_name

cdef extern from "<sys/socket.h>" nogil:
    enum: MSG_DONTWAIT
    enum: MSG_PEEK
    enum: SOCK_CLOEXEC
    enum: SOCK_NONBLOCK
    ctypedef unsigned int socklen_t
    struct sockaddr:
        pass
    int accept4(int listening, sockaddr *address, socklen_t *size, int flags)
    ssize_t recv(int fd, void *into, size_t size, int flags)

cdef enum:
    PEEK_BYTES = 4096


def accept_and_look(listening):
    """See `arrivals.Accept`."""
    cdef uint8_t data[PEEK_BYTES]
    cdef ssize_t count
    cdef int fd = accept4(listening.fileno(), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
    if fd < 0:
        if errno == EAGAIN:
            return None
        PyErr_SetFromErrno(OSError)
    count = recv(fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT)
    if count <= 0:
        return fd, None, 0
    name, length = _look(data, <int>count)
    return fd, name, length


def look(bytes data):
    """The server name in these first bytes of a connection, and the hello's length; None and 0 for none."""
    return _look(<const uint8_t *>data, <int>len(data))


cdef tuple _look(const uint8_t *data, int size):
    cdef char name[MOST_NAME]
    cdef int length = 0
    cdef int count = hello_name(data, size, name, &length)
    if count == 0:
        return None, 0
    return name[:count].decode("ascii"), length
