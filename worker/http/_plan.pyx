# cython: language_level=3, boundscheck=False, wraparound=False
"""What was decided once for all requests of one caller to one host, while a view holds: outside Python.

A gateway kind makes it (`worker.gateways`), of a decision that nothing else of a request has a part in. It
holds for as long as the view is the one it was made in. Then all that is left of a request's way is counting,
choosing an endpoint and taking a connection.

Belongs here: a plan, and its lanes to endpoints. Never here: a decision, or bytes (`_steps`). The types are in
`_plan.pyi`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp

from worker.http._channel cimport Channel
from worker.http._scan cimport Scan
from worker.http._written cimport Told

from cluster.errors import UpstreamFault

cdef enum:
    MOST_BOUNDS = 32
    FAILURES = 500  # from here on a status counts as a failure of the endpoint


cdef class Lane:
    """See `_plan.pyi`."""

    def __init__(self, *, endpoint, bytes host, pools, key, made_with=None, origination=None, room=None, limits=None):
        self.endpoint = endpoint
        self.host = host
        self.pools = pools
        self.key = key
        self.made_with = made_with
        self.origination = origination
        self.stock = None
        self.most_idle = pools.limits.idle_connections
        self.room = room
        self.limits = limits
        self.under_way = None

    cdef object take(self):
        """A connection that still seems to be good, or None."""
        cdef object found, made_with = self.made_with
        cdef list stock = self.stock
        if not stock:
            stock = self.stock = self.pools.idle(self.key)
            if not stock:
                return None
        if self.origination is not None:
            try:
                made_with = self.origination.context()
            except UpstreamFault:
                return None  # the task meets the same, and tells
        while stock:
            found = stock.pop()
            if found.made_with is made_with and not found.unread:
                if (<Channel?>found.channel).is_quiet():
                    return found
            self.pools.drop(found)
        return None

    cdef int give(self, upstream, bint reusable, double now) except -1:
        """It is over with this one, which was taken here."""
        cdef list stock = self.stock
        if reusable and len(stock) < self.most_idle:
            upstream.idle_since = now
            stock.append(upstream)
        else:
            self.pools.drop(upstream)
        return self.leave()

    cdef bint enter(self) except? False:
        """One more request; False if there may be none."""
        cdef Py_ssize_t most
        if self.room is None:
            return True
        if self.limits is not None:
            most = self.limits.requests
            if 0 < most <= <Py_ssize_t>self.room.requests:
                return False
        if not self.under_way or not self.under_way[0]:
            self.under_way = self.room.under_way(self.endpoint)
        self.room.requests += 1
        self.under_way[0] += 1
        return True

    cdef int leave(self) except -1:
        """One less."""
        cdef Py_ssize_t left
        if self.room is None:
            return 0
        left = <Py_ssize_t>self.under_way[0]
        if left <= 1 or self.room.waiting:
            self.room.leave(self.endpoint)
        else:
            self.room.requests -= 1
            self.under_way[0] = left - 1
        return 0


cdef class Plan:
    """See `_plan.pyi`."""

    def __init__(
        self, *, current, made_of, bytes host, service, hop, bint believes, double timeout_seconds, meters, make_lane,
        endpoint=None, draw=None, permit=None, tuple counted=(), register=None, standings=None, failed=None,
    ):
        self.current = current
        self.view = current.view
        self.made_of = made_of
        self.host = host
        self.service = service
        self.timeout_seconds = timeout_seconds
        self.meters = meters
        self.spread = meters.seconds
        self.buckets = self.spread.counts
        self.make_lane = make_lane
        self.lanes = {}
        self.only = None if endpoint is None else make_lane(endpoint)
        self.draw = draw
        self.permit = permit
        self.counted = counted
        self.register = register
        self.standings = standings
        self.failed = failed
        self._tell(hop, believes)
        self._measure(self.spread.bounds)

    def _tell(self, hop, bint believes):
        self.address, self.scheme, self.cert = hop.address, hop.scheme, hop.client_cert
        self.told.address = PyBytes_AS_STRING(self.address)
        self.told.address_bytes = PyBytes_GET_SIZE(self.address)
        self.told.scheme = PyBytes_AS_STRING(self.scheme)
        self.told.scheme_bytes = PyBytes_GET_SIZE(self.scheme)
        self.told.cert = PyBytes_AS_STRING(self.cert)
        self.told.cert_bytes = PyBytes_GET_SIZE(self.cert)
        self.told.is_believed = believes
        self.told.replaces_cert = hop.replaces_cert

    def _measure(self, tuple bounds):
        if len(bounds) > MOST_BOUNDS:
            raise ValueError(f"{len(bounds)} buckets")
        self.bounds_count = 0
        for bound in bounds:
            self.bounds[self.bounds_count] = bound
            self.bounds_count += 1

    cdef bint holds(self, Scan *found, double now) except? False:
        """For this request, now."""
        if self.current.view is not self.view:
            return False
        if self.host is not None:
            if found.host_bytes != PyBytes_GET_SIZE(self.host):
                return False
            if memcmp(found.host, PyBytes_AS_STRING(self.host), found.host_bytes):
                return False
        return self.register is None or now >= <double>self.register.all_in_at

    cdef Lane lane(self):
        """To the endpoint that is next; None if there is none."""
        cdef object endpoint, found
        if self.only is not None:
            return self.only
        endpoint = self.draw()
        if endpoint is None:
            return None
        found = self.lanes.get(endpoint)
        if found is None:
            found = self.lanes[endpoint] = self.make_lane(endpoint)
        return <Lane?>found

    cdef int allowed(self) except -1:
        """Count the decisions."""
        cdef object count
        for count in self.counted:
            count.value += 1
        return 0

    cdef int judged(self, Lane lane, int status) except -1:
        """The endpoint has answered."""
        if self.register is None:
            return 0
        if status >= FAILURES:
            self.failed(lane.endpoint)
        elif self.register.standings:
            self.standings.succeeded(lane.endpoint)
        return 0

    cdef int answered(self, int status, double seconds) except -1:
        """One request is over."""
        cdef int at = 0
        if status != self.status:
            self.status_count = self.meters.requests(status)
            self.status = status
        self.status_count.value += 1
        while at < self.bounds_count and self.bounds[at] < seconds:
            at += 1
        self.buckets[at] += 1
        self.spread.total += seconds
        return 0
