"""The connections of one worker that were closed lately: why, by which rule, to where.  ●

Belongs here: keeping the last of them, and finding one again. Never here: live ones (`worker.live`).

Only connections whose hello named a service are kept, so that a port scan does not push out what somebody
will ask about. An entry is kept as it is: that costs no more than a reference while connections come and
go. A porter keeps as many of its own, and tells of them when somebody asks.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.reasons import End
from worker.entry import Entry
from worker.relay.porter import Porter

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
            "detail": entry.detail,
            "opened_at": round(unix_now - (now - entry.started), 3),
            "closed_at": round(unix_now - (now - self.at), 3),
        }


class Recent:
    """The last `keep`, oldest first."""

    def __init__(self, keep: int = KEPT) -> None:
        self._kept: deque[Closed] = deque(maxlen=keep)
        # Whose places are given when somebody looks: a porter tells of some of them later than they ended.
        self._new: deque[tuple[float, Entry, End]] = deque(maxlen=2 * keep)
        self._places = 0
        self._catch_up: Callable[[], object] = lambda: None

    def follow(self, porter: Porter) -> None:
        """Connections end at a porter, too."""
        self._catch_up = porter.remember

    def add(self, entry: Entry, end: End, at: float) -> None:
        self._new.append((at, entry, end))

    def _look(self) -> None:
        self._catch_up()
        for at, entry, end in sorted(self._new, key=lambda new: new[0]):
            self._places += 1
            self._kept.append(Closed(entry, end, at, self._places))
        self._new.clear()

    def get(self, number: int) -> Closed | None:
        self._look()
        return next((one for one in self._kept if one.entry.number == number), None)

    def page(self, after: int, limit: int) -> tuple[Closed, ...]:
        """Up to `limit` that were closed after the one in this place, in order."""
        self._look()
        found = [one for one in self._kept if one.place > after]
        return tuple(found[:limit])
