"""What a commit means: which records it makes, changes and removes, given what is there. Pure.

Belongs here: the rules of `Store.commit` that every store shares. Never here: files, locks, waiting.
Values are compared as canonical JSON, so that key order is no difference but `1`, `1.0` and `true` are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .records import Change, Conflict, Delete, Expect, Put, Record

Lookup = Callable[[str, str], Record | None]

_decoder = msgspec.json.Decoder(dict[str, Any])


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit does: records as they are afterwards, and records that are gone."""

    revision: int
    written: tuple[Record, ...] = ()
    deleted: tuple[Record, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        return not self.written and not self.deleted

    def touched(self) -> dict[str, set[str]]:
        """The keys that were changed or removed, by table."""
        keys: dict[str, set[str]] = {}
        for record in (*self.written, *self.deleted):
            keys.setdefault(record.table, set()).add(record.key)
        return keys


def encode_value(value: dict[str, Any]) -> bytes:
    """Canonical JSON. Raises TypeError for what JSON cannot say."""
    return msgspec.json.encode(value, order="deterministic")


def decode_value(encoded: bytes) -> dict[str, Any]:
    """The value as written. Raises msgspec.DecodeError for anything but a JSON object."""
    return _decoder.decode(encoded)


def settle(
    changes: Sequence[Change], expect: Sequence[Expect], *, lookup: Lookup, revision: int
) -> Effect:
    """The effect of a commit that would be `revision`. Raises Conflict."""
    for expected in expect:
        _require(expected, lookup)
    written: list[Record] = []
    deleted: list[Record] = []
    for change in _last_of_each_key(changes):
        present = lookup(change.table, change.key)
        if isinstance(change, Delete):
            if present is not None:
                deleted.append(present)
        elif (record := _written(change, present, revision)) is not None:
            written.append(record)
    return Effect(revision=revision, written=tuple(written), deleted=tuple(deleted))


def _require(expected: Expect, lookup: Lookup) -> None:
    present = lookup(expected.table, expected.key)
    found = present.modify_index if present is not None else 0
    if found != expected.modify_index:
        raise Conflict(expected, found)


def _last_of_each_key(changes: Sequence[Change]) -> Sequence[Change]:
    return tuple({(change.table, change.key): change for change in changes}.values())


def _written(put: Put, present: Record | None, revision: int) -> Record | None:
    """The record as it will be, with a value of its own; None if it is so already."""
    encoded = encode_value(put.value)
    if present is not None and encode_value(present.value) == encoded:
        return None
    return Record(
        table=put.table,
        key=put.key,
        value=decode_value(encoded),
        create_index=revision if present is None else present.create_index,
        modify_index=revision,
    )
