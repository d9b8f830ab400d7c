"""Which server name leads where: what the loop's thread looks up for the connections that it accepts.

Belongs here: the look-up and the choice by weight, which must be those of `cluster.lookup` (exact names) and
`cluster.pick.FirstPick`; tests hold them to that. Never here: building it (`_gates`), or wildcards.

A directory never changes. It is freed when no gate has it and `users` is 0: a flow uses it from its accept
until Python has claimed it, or is told of its end, or need not be told any more.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

from worker.relay.native._account cimport Account

cdef enum:
    ADDRESS_BYTES = 28   # sockaddr_in6, the longest


cdef struct Endpoint:
    double up_to         # the sum of the weights so far, this one's included
    char address[ADDRESS_BYTES] # behind a double: as aligned as a sockaddr has to be
    int address_bytes    # 0: it has a name, which Python resolves
    uint8_t may_meet_itself


cdef struct Route:
    char *name           # lower-case
    int name_bytes
    uint32_t number      # its place in the directory
    uint32_t count       # of endpoints, the healthy ones
    Endpoint *endpoints
    int64_t dial_ns
    Account *account     # kept alive by Python's directory


cdef struct Directory:
    Route *routes
    uint32_t count
    uint32_t *slots      # open addressing: a route's number plus one, 0 where there is none
    uint32_t mask
    int64_t users        # written by both threads
    void *owner          # Python's directory, which lives as long as this


cdef inline uint32_t name_hash(const char *name, int size) noexcept nogil:
    """FNV-1a. The names looked for are strangers', but those found are the operator's: no need for a secret."""
    cdef uint32_t value = 2166136261U
    cdef int at
    for at in range(size):
        value = (value ^ <uint8_t>name[at]) * 16777619U
    return value


cdef inline Route *directory_find(Directory *directory, const char *name, int size) noexcept nogil:
    """The route of exactly this name, NULL if there is none."""
    cdef uint32_t at = name_hash(name, size) & directory.mask
    cdef Route *route
    while directory.slots[at] != 0:
        route = &directory.routes[directory.slots[at] - 1]
        if route.name_bytes == size and memcmp(route.name, name, size) == 0:
            return route
        at = (at + 1) & directory.mask
    return NULL


cdef inline int route_draw(Route *route, double chance) noexcept nogil:
    """Which endpoint, for a chance of 0 to below 1; -1 if none is healthy."""
    cdef double point
    cdef int low = 0, high = <int>route.count - 1, middle
    if high < 1:
        return high
    point = chance * route.endpoints[high].up_to
    while low < high:
        middle = (low + high) // 2
        if point < route.endpoints[middle].up_to:
            high = middle
        else:
            low = middle + 1
    return low
