"""Which of several rules in order covers a source: a dict hit, and a look at the wildcards.

Belongs here: the lookup. Never here: what the rules say.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from cluster.names import WILDCARD, ServiceName

V = TypeVar("V")


class BySource(Generic[V]):
    """Values by source pattern; of those that cover a source, the one that was given first counts."""

    __slots__ = ("_exact", "_wildcards")

    def __init__(self, entries: Iterable[tuple[ServiceName, V]]) -> None:
        self._exact: dict[ServiceName, tuple[int, V]] = {}
        self._wildcards: list[tuple[int, ServiceName, V]] = []
        for rank, (pattern, value) in enumerate(entries):
            if WILDCARD in (pattern.name, pattern.namespace):
                self._wildcards.append((rank, pattern, value))
            else:
                self._exact.setdefault(pattern, (rank, value))

    def find(self, source: ServiceName, default: V) -> V:
        """The value of the first pattern that covers `source`."""
        found = self._exact.get(source)
        rank, value = found if found is not None else (None, default)
        for at, pattern, by_wildcard in self._wildcards:
            if rank is not None and at > rank:
                break
            if (
                pattern.peer == source.peer
                and pattern.partition == source.partition
                and pattern.namespace in (source.namespace, WILDCARD)
                and pattern.name in (source.name, WILDCARD)
            ):
                return by_wildcard
        return value
