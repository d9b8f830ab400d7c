"""What other modules outside Python use of a plan."""

from worker.http._scan cimport Scan
from worker.http._written cimport Told


cdef class Lane:
    cdef readonly object endpoint
    cdef bytes host           # whom it is told to be; None: whom was asked for
    cdef object pools, key, origination
    cdef object made_with
    cdef list stock           # the pool's, last one last
    cdef Py_ssize_t most_idle
    cdef object room
    cdef object limits
    cdef list under_way       # the room's count of it

    cdef object take(self)
    cdef int give(self, upstream, bint reusable, double now) except -1
    cdef bint enter(self) except? False
    cdef int leave(self) except -1


cdef class Plan:
    cdef object current, view
    cdef readonly object made_of
    cdef bytes host
    cdef readonly object service
    cdef readonly object permit
    cdef readonly double timeout_seconds
    cdef tuple counted
    cdef object register, standings, failed
    cdef object meters, spread, draw, make_lane
    cdef list buckets
    cdef dict lanes
    cdef Lane only
    cdef bytes address, scheme, cert
    cdef Told told
    cdef double bounds[32]
    cdef int bounds_count
    cdef int status
    cdef object status_count

    cdef bint holds(self, Scan *found, double now) except? False
    cdef Lane lane(self)
    cdef int allowed(self) except -1
    cdef int judged(self, Lane lane, int status) except -1
    cdef int answered(self, int status, double seconds) except -1
