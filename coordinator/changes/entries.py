"""Which configuration entries a change creates, updates and deletes.

Belongs here: comparing two sets of stored bodies. Never here: whether they are valid.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from .fields import FieldChange, field_changes

_Bodies = Mapping[str, Mapping[str, Any]]
_SAID_ALREADY = ("Kind", "Name")


class EntryDiff(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; `change` is create, update or delete."""

    kind: str
    name: str
    change: str
    fields: tuple[FieldChange, ...] = ()


def entry_diffs(before: _Bodies, after: _Bodies) -> tuple[EntryDiff, ...]:
    """By `kind/name`, in that order."""
    return tuple(_diffs(before, after))


def _diffs(before: _Bodies, after: _Bodies) -> Iterator[EntryDiff]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old is new or old == new:
            continue
        kind, _, name = key.partition("/")
        fields = tuple(field_changes(_fields(old), _fields(new)))
        yield EntryDiff(kind=kind, name=name, change=change_of(old, new), fields=fields)


def change_of(before: object | None, after: object | None) -> str:
    """The word for it."""
    if before is None:
        return "create"
    return "delete" if after is None else "update"


def _fields(body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {name: value for name, value in (body or {}).items() if name not in _SAID_ALREADY}
