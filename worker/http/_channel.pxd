"""What other modules outside Python use of a channel."""

from worker.relay.native._side cimport Side, Tls

cdef enum:
    AT_MOST = 64512  # that one read gives; see `worker.net.leg.READ_BYTES`

cdef Tls tls  # OpenSSL's functions, once they were learnt


cdef class Channel:
    cdef Side side
    cdef object leg  # keeps what OpenSSL made

    cpdef receive(self)
    cpdef bint is_quiet(self) except? False
    cpdef Py_ssize_t send(self, bytes data) except -1
