"""Histograms as Python has them.

Belongs here: what takes the interpreter lock to copy numbers. Never here: counting (`_account`).
"""

from worker.relay.native._account cimport MOST_BOUNDS, Bounds, Spread
from worker.relay.native._kernel cimport counted


cdef inline int learn_bounds(Bounds *into, tuple bounds) except -1:
    """Raises ValueError when they are too many."""
    cdef int at
    if len(bounds) > MOST_BOUNDS:
        raise ValueError(f"more than {MOST_BOUNDS} bounds")
    for at in range(<int>len(bounds)):
        into.at[at] = bounds[at]
    into.count = <int>len(bounds)
    return 0


cdef inline tuple spread(Bounds *bounds, Spread *counts, double unit):
    """Counts per bucket, and the sum."""
    cdef int at
    return [counted(&counts.counts[at]) for at in range(bounds.count + 1)], counted(&counts.total) / unit
