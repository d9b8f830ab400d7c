"""Counting what nobody in Python sees: histograms, accounts of connections, and places for them.

Belongs here: numbers that one thread writes and the other reads, and the one that both write (`Places`). Never
here: when something is counted.
"""

from libc.stdint cimport int64_t, uint64_t

from worker.relay.native._kernel cimport count_shared, count_up

cdef enum:
    MOST_BOUNDS = 24
    SECOND = 1_000_000_000
    OUTCOMES = 9         # those of `_flow`


# Upper bounds of buckets, inclusive, as Prometheus has them.
cdef struct Bounds:
    double at[MOST_BOUNDS]
    int count


# A histogram. Python reads it at any time.
cdef struct Spread:
    uint64_t counts[MOST_BOUNDS + 1]
    uint64_t total       # in what the caller counts in: nanoseconds, bytes


# The connections of one service behind one gateway that Python never heard of one by one.
cdef struct Account:
    uint64_t opened      # all that were accepted here, those that Python claimed later too
    uint64_t closed[OUTCOMES]
    uint64_t carried[2]  # bytes up and down
    Spread lasted        # nanoseconds from accept to end


# How many connections there are, of both threads.
cdef struct Places:
    int64_t taken


cdef inline void observe(Bounds *bounds, Spread *spread, double amount, uint64_t units) noexcept nogil:
    """`amount` in the bounds' unit is `units` in that of the total."""
    cdef int at = 0
    while at < bounds.count and amount > bounds.at[at]:
        at += 1
    count_up(&spread.counts[at], 1)
    count_up(&spread.total, units)


cdef inline void settle(
    Account *account, Bounds *bounds, int outcome, uint64_t up, uint64_t down, uint64_t lasted_ns
) noexcept nogil:
    """Write a connection that is over into its account."""
    count_up(&account.carried[0], up)
    count_up(&account.carried[1], down)
    observe(bounds, &account.lasted, <double>lasted_ns / SECOND, lasted_ns)
    count_up(&account.closed[outcome], 1)


cdef inline bint place_take(Places *places, int64_t most) noexcept nogil:
    """Count one more, unless there are `most` already; below 0 is no limit. Never more, whoever else counts."""
    if count_shared(&places.taken, 1) <= most or most < 0:
        return True
    place_give(places)
    return False


cdef inline void place_give(Places *places) noexcept nogil:
    count_shared(&places.taken, -1)
