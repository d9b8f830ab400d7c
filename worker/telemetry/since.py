"""What has been added to a histogram that somebody else keeps, since one last looked.

Belongs here: the difference. Never here: whose histogram it is.
"""

from collections.abc import Sequence

#: Counts per bucket and the sum, both since the start.
Spent = tuple[Sequence[int], float]


class Since:
    """Remembers what was there the last time."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts: Sequence[int] = ()
        self._total = 0.0

    def since(self, now: Spent) -> Spent:
        """What `now` is above the last call's; the first time all of it."""
        counts, total = now
        before = self._counts or (0,) * len(counts)
        added = [new - old for new, old in zip(counts, before, strict=True)], total - self._total
        self._counts, self._total = counts, total
        return added
