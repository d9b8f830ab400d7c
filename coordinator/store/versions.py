"""What each commit changed of the entries, so that an earlier state of them can be had again. Pure.

Belongs here: the record of one commit, how many are kept, and walking back over them. Never here: whether an
earlier state still fits (`coordinator.api.history`), or published snapshots (`history`).

A version is written in the commit that it tells of, so there is none without the other. It holds what was
there before; what came after is there before the next one, or is the present. Only entries have versions
(intentions are entries): the catalog is never rolled back.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from cluster.errors import LockgateError

from .records import Change, Delete, Put, Record
from .settle import Effect, encode_value
from .state import State
from .tables import ENTRIES, VERSIONS

KEEP = 500
#: All versions together; they are in memory too.
KEEP_BYTES = 8 * 1024 * 1024
_FLOOR = "floor"

Bodies = dict[str, dict[str, Any]]


class NotKept(LockgateError):
    """There is no such generation yet, or what led to it was let go."""


class EntryChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry, `kind/name`, and what it was before; None if it was not there."""

    key: str
    change: str
    before: dict[str, Any] | None = None


class Version(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One commit; `at` in seconds since 1970, `author` and `note` empty if nobody said."""

    revision: int
    at: float
    changes: tuple[EntryChange, ...]
    author: str = ""
    note: str = ""
    size_bytes: int = 0


def recorded(effect: Effect, state: State, *, at: float, author: str, note: str) -> list[Change]:
    """What has to be committed along with `effect`, which is about to change `state`."""
    changes = tuple(_changes(effect, state))
    if not changes:
        return []
    version = Version(revision=effect.revision, at=at, changes=changes, author=author, note=note)
    size = len(msgspec.json.encode(version))
    value = msgspec.to_builtins(msgspec.structs.replace(version, size_bytes=size))
    kept = [Put(table=VERSIONS, key=_key(effect.revision), value=value)]
    return [*kept, *_let_go(state, size)]


def versions(state: State) -> tuple[Version, ...]:
    """All that are kept, newest first."""
    return tuple(msgspec.convert(record.value, Version) for record in reversed(_records(state)))


def floor(state: State) -> int:
    """The earliest revision whose entries can be had; before it nothing is known."""
    record = state.get(VERSIONS, _FLOOR)
    return int(record.value["revision"]) if record else state.table_index(ENTRIES)


def entries_at(state: State, revision: int) -> Bodies:
    """The entries as they were after the commit of this revision, by `kind/name`. Raises NotKept."""
    if revision > state.revision:
        raise NotKept(
            f"there is no generation {revision} yet; the last revision is {state.revision}"
        )
    if revision < (oldest := floor(state)):
        raise NotKept(
            f"the entries of generation {revision} are not kept; the oldest are {oldest}'s"
        )
    found = present_entries(state)
    for version in versions(state):
        if version.revision <= revision:
            break
        _undo(found, version.changes)
    return found


def present_entries(state: State) -> Bodies:
    """The entries of the present, by `kind/name`."""
    return {key: record.value for key, record in state.table(ENTRIES).items()}


def _undo(found: Bodies, changes: Sequence[EntryChange]) -> None:
    for change in changes:
        if change.before is None:
            found.pop(change.key, None)
        else:
            found[change.key] = change.before


def _changes(effect: Effect, state: State) -> Iterator[EntryChange]:
    for record in effect.written:
        if record.table == ENTRIES:
            before = state.get(ENTRIES, record.key)
            change = "create" if before is None else "update"
            yield EntryChange(key=record.key, change=change, before=_value(before))
    for record in effect.deleted:
        if record.table == ENTRIES:
            yield EntryChange(key=record.key, change="delete", before=record.value)


def _value(record: Record | None) -> dict[str, Any] | None:
    return None if record is None else record.value


def _let_go(state: State, added_bytes: int) -> Iterator[Change]:
    """The oldest that there is no room for any more, and how far back one can go without them."""
    kept = _records(state)
    total = added_bytes + sum(_size(record.value) for record in kept)
    reached = None if state.get(VERSIONS, _FLOOR) else state.table_index(ENTRIES)
    for count, record in enumerate(kept):
        if len(kept) - count < KEEP and total <= KEEP_BYTES:
            break
        total -= _size(record.value)
        reached = record.value["revision"]
        yield Delete(table=VERSIONS, key=record.key)
    if reached is not None:
        yield Put(table=VERSIONS, key=_FLOOR, value={"revision": reached})


def _size(value: Mapping[str, Any]) -> int:
    return int(value.get("size_bytes") or len(encode_value(dict(value))))


def _records(state: State) -> list[Record]:
    """The versions in order, oldest first."""
    kept = (item for item in state.table(VERSIONS).items() if item[0] != _FLOOR)
    return [record for _, record in sorted(kept, key=lambda item: item[0])]


def _key(revision: int) -> str:
    return f"{revision:020d}"
