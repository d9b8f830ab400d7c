"""A store that forgets: for `dev` without a state directory and for tests of everything above the store.

It keeps the same contract as the others (tests/contracts), but for surviving the process.
"""

from collections.abc import Sequence

import trio

from .records import Change, Expect, Loaded, Record, StoreClosed
from .settle import settle


class MemoryStore:
    """A `Store` in dictionaries."""

    def __init__(self) -> None:
        self._revision = 0
        self._records: dict[tuple[str, str], Record] = {}
        self._indexes: dict[str, int] = {}
        self._closed = False

    async def load(self) -> Loaded:
        await self._checkpoint()
        ordered = sorted(self._records.items())
        return Loaded(
            revision=self._revision,
            records=tuple(record for _, record in ordered),
            table_indexes=dict(self._indexes),
        )

    async def commit(
        self, changes: Sequence[Change], expect: Sequence[Expect] = (), *, beyond: int = 0
    ) -> int:
        await self._checkpoint()
        effect = settle(
            changes, expect, lookup=self._lookup, revision=max(self._revision, beyond) + 1
        )
        if effect.changes_nothing:
            return self._revision
        self._records.update({(r.table, r.key): r for r in effect.written})
        for gone in effect.deleted:
            del self._records[gone.table, gone.key]
        self._indexes.update(dict.fromkeys(effect.touched(), effect.revision))
        self._revision = effect.revision
        return self._revision

    async def aclose(self) -> None:
        self._closed = True
        await trio.lowlevel.checkpoint()

    async def _checkpoint(self) -> None:
        if self._closed:
            raise StoreClosed("the store in memory is closed")
        await trio.lowlevel.checkpoint()

    def _lookup(self, table: str, key: str) -> Record | None:
        return self._records.get((table, key))
