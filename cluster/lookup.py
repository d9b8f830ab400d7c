"""Names to routes: exact first, then the longest wildcard suffix.

Belongs here: the one lookup of the data path, which `explain` calls too. Never here: what is found.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class NameTable(Generic[V]):
    """An immutable table of server names. `*.X` covers any name with one or more labels before `.X`."""

    __slots__ = ("_exact", "_suffixes")

    def __init__(self, entries: Iterable[tuple[str, V]]) -> None:
        self._exact: dict[str, V] = {}
        self._suffixes: dict[str, V] = {}
        for name, value in entries:
            name = name.lower()
            if name.startswith("*."):
                self._suffixes[name[2:]] = value
            else:
                self._exact[name] = value

    def __len__(self) -> int:
        return len(self._exact) + len(self._suffixes)

    def exact(self) -> Iterator[tuple[str, V]]:
        """The names without a wildcard, in lower case, each with what it leads to."""
        return iter(self._exact.items())

    def find(self, name: str) -> V | None:
        """What `name` (lower-case) leads to: one dict hit, or one for each label of a long name."""
        found = self._exact.get(name)
        if found is not None or not self._suffixes:
            return found
        rest = name
        while rest:
            _, _, rest = rest.partition(".")
            if rest in self._suffixes:
                return self._suffixes[rest]
        return None
