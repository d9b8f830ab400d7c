"""The words of the store: records, changes, expectations, errors, and the interface each store has. Pure.

Belongs here: what both a store and its callers must know. Never here: how a store keeps its promise, or
what the value of a record means.

Every commit that changes something is one revision: 1, 2, 3, … A record carries the revision that made it
and the one that last changed it, which are Consul's `CreateIndex` and `ModifyIndex`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from cluster.errors import LockgateError


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One stored thing. `value` is a JSON document and nobody may change it in place."""

    table: str
    key: str
    value: dict[str, Any]
    create_index: int
    modify_index: int

    def __repr__(self) -> str:
        """Without the value, which may be a private key."""
        return f"Record({self.table}/{self.key}, {self.create_index}, {self.modify_index})"


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """Create or replace one record. The store keeps a copy of `value`."""

    table: str
    key: str
    value: dict[str, Any]

    def __repr__(self) -> str:
        """Without the value, which may be a private key."""
        return f"Put({self.table}/{self.key})"


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """Remove one record; nothing happens if it is not there."""

    table: str
    key: str


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """The record must be at this `modify_index` when the commit is made; 0: it must not exist."""

    table: str
    key: str
    modify_index: int


Change = Put | Delete


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a store holds at one revision.

    `table_indexes`: per table the last revision that changed or deleted one of its records. It is stored,
    not derived, because a deleted record leaves no trace of its own and the index of a blocking query must
    not go back when a coordinator is restarted.
    """

    revision: int
    records: tuple[Record, ...]
    table_indexes: Mapping[str, int]


class StoreError(LockgateError):
    """The store did not do what was asked; what it held before is unharmed."""


class Conflict(StoreError):
    """An `Expect` did not hold: somebody else was first. Nothing was written."""

    def __init__(self, expect: Expect, found: int) -> None:
        super().__init__(
            f"{expect.table}/{expect.key} is at index {found}, expected {expect.modify_index}"
            " (0: does not exist)"
        )
        self.expect = expect
        self.found = found


class StoreClosed(StoreError):
    """The store was closed before."""


class StoreFull(StoreError):
    """No room to write to. Nothing was written; later commits work once there is room."""


class StoreCorrupt(StoreError):
    """The file is not what we wrote. It is left as it is."""


class StoreTooNew(StoreError):
    """The file was written by a newer version. It is left as it is."""


class StateLocked(StoreError):
    """Another process holds the state directory."""


class StateUnsafe(StoreError):
    """The state directory cannot be closed to other users, and it holds the CA's private key."""


class Store(Protocol):
    """What every store does. Cancelling a `commit` leaves it wholly done or wholly not done."""

    async def load(self) -> Loaded:
        """Everything, at one revision."""
        ...

    async def commit(
        self, changes: Sequence[Change], expect: Sequence[Expect] = (), *, beyond: int = 0
    ) -> int:
        """Make all changes or none, durably, and return the revision.

        Writing the value that is there already leaves its `modify_index` (as Consul does), and a commit
        that changes nothing at all makes no revision and returns the present one. Of several changes
        to one key the last counts. The revision is past `beyond` too, which skips some: a state that was
        saved elsewhere is put in place.

        Raises `Conflict`, `StoreFull`, `StoreClosed`, `StoreCorrupt` or another `StoreError`.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything; may be called twice."""
        ...
