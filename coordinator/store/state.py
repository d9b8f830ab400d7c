"""The wanted state in memory: what every record is now, and its indexes.

Belongs here: reading records, and applying an effect to them. Never here: I/O, waiting, what values mean.

`State` is for reading. `LiveState` changes with every commit, in one step between two awaits, so whoever
does not await sees one revision. Whoever must await, or works in another thread, takes a `snapshot()` first:
it costs next to nothing, shares the tables, and never changes; the next commit copies only the tables it
touches.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from .graves import Graves
from .records import Loaded, Record
from .settle import Effect

_EMPTY: Mapping[str, Record] = MappingProxyType({})


class State:
    """Records by table and key, at one revision."""

    def __init__(
        self, revision: int, tables: dict[str, dict[str, Record]], table_indexes: dict[str, int]
    ) -> None:
        self._revision = revision
        self._tables = tables
        self._table_indexes = table_indexes

    @property
    def revision(self) -> int:
        """The last commit's; 0 if there was none."""
        return self._revision

    def get(self, table: str, key: str) -> Record | None:
        return self._tables.get(table, _EMPTY).get(key)

    def table(self, name: str) -> Mapping[str, Record]:
        """The records of one table by key, in no order that means anything; empty if there is none."""
        present = self._tables.get(name)
        return _EMPTY if present is None else MappingProxyType(present)

    def records(self) -> Iterator[Record]:
        """Every record of every table, in no order that means anything."""
        return (record for table in self._tables.values() for record in table.values())

    def under(self, table: str, prefix: str) -> Iterator[Record]:
        """The records of one table whose keys begin with `prefix`. Looks at every key."""
        return (r for key, r in self.table(table).items() if key.startswith(prefix))

    def after(self, effect: Effect) -> "State":
        """What this would be after a commit with this effect; this itself stays as it is."""
        tables = {**self._tables, **{name: dict(self.table(name)) for name in effect.touched()}}
        indexes = {**self._table_indexes, **dict.fromkeys(effect.touched(), effect.revision)}
        for record in effect.written:
            tables[record.table][record.key] = record
        for gone in effect.deleted:
            del tables[gone.table][gone.key]
        return State(effect.revision, tables, indexes)

    def table_index(self, table: str) -> int:
        """The last revision that changed or deleted a record of this table; 0 if none did."""
        return self._table_indexes.get(table, 0)


class LiveState(State):
    """The one that follows the commits."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded.revision, {}, dict(loaded.table_indexes))
        for record in loaded.records:
            self._tables.setdefault(record.table, {})[record.key] = record
        self._shared: set[str] = set()
        self._graves: dict[str, Graves] = {}
        self._loaded_indexes = dict(loaded.table_indexes)

    def key_index(self, table: str, key: str) -> int:
        """The last revision that changed or deleted this record, as far as that is known."""
        record = self.get(table, key)
        return record.modify_index if record else self._graves_of(table).of_key(key)

    def prefix_index(self, table: str, prefix: str) -> int:
        """The last revision that changed or deleted a record whose key begins so. Looks at every key."""
        if not prefix:
            return self.table_index(table)
        newest = max((r.modify_index for r in self.under(table, prefix)), default=0)
        return max(newest, self._graves_of(table).under(prefix))

    def snapshot(self) -> State:
        """This revision, for as long as one likes."""
        self._shared.update(self._tables)
        return State(self._revision, dict(self._tables), dict(self._table_indexes))

    def apply(self, effect: Effect) -> None:
        """Become the next revision. Never called but with an effect that the store has kept."""
        for name in effect.touched():
            self._unshare(name)
            self._table_indexes[name] = effect.revision
        for record in effect.written:
            self._tables[record.table][record.key] = record
        for gone in effect.deleted:
            del self._tables[gone.table][gone.key]
            self._graves_of(gone.table).bury(gone.key, effect.revision)
        self._revision = effect.revision

    def _graves_of(self, table: str) -> Graves:
        if table not in self._graves:
            self._graves[table] = Graves(floor=self._loaded_indexes.get(table, 0))
        return self._graves[table]

    def _unshare(self, name: str) -> None:
        if name in self._shared:
            self._tables[name] = dict(self._tables[name])
            self._shared.discard(name)
        else:
            self._tables.setdefault(name, {})
