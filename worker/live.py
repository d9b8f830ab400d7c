"""The register of live connections: who is here, since when, and whom a change of policy ends.

Belongs here: the register, and the questions about it. Never here: what an entry is (`worker.entry`),
sockets, or the decision itself (`cluster.authorize`). The present comes in as an argument.

Where a porter accepts by itself, its connections are here when somebody looks: whoever asks who is here
has the register take in first whom the porter carries. How many there are both sides count in one place.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache

from cluster.authorize import DestinationPolicy
from cluster.intentions import Decision
from cluster.names import ServiceName
from worker.entry import Entry
from worker.relay.porter import Places, Porter

#: How many entries are made for a porter's connections before others have their turn.
_CLAIMED_AT_ONCE = 256


class OwnPlaces:
    """How many connections there are, where one thread counts (`worker.relay.porter.Places`)."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken = 0

    def take(self, most: int = -1) -> bool:
        if 0 <= most <= self._taken:
            return False
        self._taken += 1
        return True

    def give(self) -> None:
        self._taken -= 1

    def __len__(self) -> int:
        return self._taken


class Live:
    """All connections of one worker."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._numbers = 0
        #: Whether the worker drains: what is idle has left, and what is not is told to.
        self.is_leaving = False
        #: How many were ended because their permission was gone.
        self.revocations = 0
        self._places: Places = OwnPlaces()
        self._claim: Callable[[int], int] = lambda most: 0
        #: Called whenever the last one has left.
        self.on_empty: Callable[[], object] = lambda: None

    def follow(self, porter: Porter) -> None:
        """Connections come in at a porter, too; before there are any."""
        self._places, self._claim = porter.places, porter.claim

    def __len__(self) -> int:
        """How many there are, whether or not they have an entry yet."""
        return len(self._places)

    def __iter__(self) -> Iterator[Entry]:
        """The entries, oldest first; safe against entries that leave meanwhile."""
        self._take_all_in()
        return iter(tuple(self._entries.values()))

    def take_in(self) -> bool:
        """Make entries of the oldest that have none yet, a batch; whether there may be more."""
        return self._claim(_CLAIMED_AT_ONCE) == _CLAIMED_AT_ONCE

    def _take_all_in(self) -> None:
        while self.take_in():
            pass

    def take_place(self, most: int | None = None) -> bool:
        """Count one more connection, for which `add` follows; False if there are `most` already."""
        return self._places.take(-1 if most is None else most)

    def add(
        self, *, gateway: str, kind: str, generation: int, started: float, has_place: bool = False
    ) -> Entry:
        """A new entry. It takes a place, unless it has one."""
        if not has_place:
            self._places.take()
        entry = self.past(gateway=gateway, kind=kind, generation=generation, started=started)
        self._entries[entry.number] = entry
        return entry

    def past(self, *, gateway: str, kind: str, generation: int, started: float) -> Entry:
        """An entry with a number, but of one that is not here, or not any more."""
        self._numbers += 1
        return Entry(
            self._numbers, gateway=gateway, kind=kind, generation=generation, started=started
        )

    def remove(self, entry: Entry) -> None:
        del self._entries[entry.number]
        self._places.give()
        if not self._entries:
            self.on_empty()

    def leave(self) -> None:
        """The worker drains."""
        self.is_leaving = True
        for entry in self:
            entry.leave()

    def get(self, number: int) -> Entry | None:
        return self._entries.get(number)

    def page(self, after: int, limit: int) -> tuple[Entry, ...]:
        """Up to `limit` entries with larger numbers than `after`, in order."""
        self._take_all_in()
        # Numbers only grow and dictionaries keep their order: no sort is needed.
        found: list[Entry] = []
        for number, entry in self._entries.items():
            if number > after:
                found.append(entry)
                if len(found) == limit:
                    break
        return tuple(found)


def revoked(
    entries: Iterable[Entry], policy_of: Callable[[ServiceName], DestinationPolicy]
) -> tuple[Entry, ...]:
    """The entries whose permit no longer holds, exactly, whether or not the route is still there; of several
    requests that a connection carries, those.
    """
    policy = cache(policy_of)
    return tuple(
        entry
        for whole in entries
        for entry in (whole, *whole.strands)
        if entry.permit is not None
        and not _still_holds(entry, policy(entry.permit.destination).decide(entry.permit.source))
    )


def _still_holds(entry: Entry, decision: Decision) -> bool:
    """A rule with permissions lets a connection be; it may forbid the request that is carried on it."""
    if entry.recheck is not None and decision.rule is not None and decision.rule.permissions:
        return entry.recheck()
    return decision.allowed


def distrusted(entries: Iterable[Entry], roots: frozenset[str]) -> tuple[Entry, ...]:
    """The entries that rely on a root, by fingerprint, that is none of these."""
    return tuple(entry for entry in entries if not roots.issuperset(entry.anchors))


def expired(entries: Iterable[Entry], now: float) -> tuple[Entry, ...]:
    """The entries whose caller's certificate ended before `now` (unix seconds)."""
    return tuple(entry for entry in entries if entry.expires_at <= now)
