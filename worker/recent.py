"""The connections of one worker that were closed lately: why, by which rule, to where.  ●

Belongs here: keeping the last of them, and finding one again. Never here: live ones (`worker.live`).

Only connections whose hello named a service are kept, so that a port scan does not push out what somebody
will ask about. An entry is kept as it is: that costs no more than a reference while connections come and
go.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

from cluster.reasons import End
from worker.live import Entry

KEPT = 512


@dataclass(frozen=True, slots=True)
class Closed:
    """One that is over: when, by the clock that tells its start, and in which place of all that ended."""

    entry: Entry
    end: End
    at: float
    place: int

    def describe(self, now: float, unix_now: float) -> dict[str, Any]:
        """As `Entry.describe`, with its end; `opened_at` and `closed_at` in seconds since 1970."""
        entry = self.entry
        return entry.describe(self.at) | {
            "state": "closed",
            "end": self.end.value,
            "opened_at": round(unix_now - (now - entry.started), 3),
            "closed_at": round(unix_now - (now - self.at), 3),
        }


class Recent:
    """The last `keep`, oldest first."""

    def __init__(self, keep: int = KEPT) -> None:
        self._kept: deque[Closed] = deque(maxlen=keep)
        self._places = 0

    def add(self, entry: Entry, end: End, at: float) -> None:
        self._places += 1
        self._kept.append(Closed(entry, end, at, self._places))

    def get(self, number: int) -> Closed | None:
        return next((one for one in self._kept if one.entry.number == number), None)

    def page(self, after: int, limit: int) -> tuple[Closed, ...]:
        """Up to `limit` that were closed after the one in this place, in order."""
        found = [one for one in self._kept if one.place > after]
        return tuple(found[:limit])
