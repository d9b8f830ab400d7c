"""Every intention of the wanted state, in evaluation order, kept up with each commit of an entry.

Belongs here: not making tens of thousands of pairs anew for each one who lists them. Never here: what a pair
is (`pairs`). Nothing is kept until somebody asks.
"""

from coordinator.compose.policy import KIND
from coordinator.store.settle import Effect
from coordinator.store.tables import ENTRIES
from coordinator.store.wanted import Wanted

from .pairs import Pair, of_entry, ordered

_PREFIX = f"{KIND}/"


class PairIndex:
    """The pairs of each entry for as long as it stays, and the order of all for as long as none changes."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._by_entry: dict[str, tuple[Pair, ...]] = {}
        self._ordered: tuple[Pair, ...] | None = None
        wanted.follow(self._forget)

    def all(self) -> tuple[Pair, ...]:
        """Every intention, in evaluation order."""
        if self._ordered is None:
            for record in self._wanted.state.under(ENTRIES, _PREFIX):
                if record.key not in self._by_entry:
                    self._by_entry[record.key] = tuple(of_entry(record))
            self._ordered = ordered(pair for pairs in self._by_entry.values() for pair in pairs)
        return self._ordered

    def _forget(self, effect: Effect) -> None:
        """What the commit has changed or removed."""
        for record in (*effect.written, *effect.deleted):
            if record.table == ENTRIES and record.key.startswith(_PREFIX):
                self._by_entry.pop(record.key, None)
                self._ordered = None
