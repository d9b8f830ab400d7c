"""Where two JSON documents differ, field by field.

Belongs here: the walk. Never here: what a field means. Lists of named objects are compared by name, so that
one source more is one line, and not a shift of all that follow.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

_NAMES = ("Name", "name")


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One path (`Sources[web].Action`), its value before and after; None is absence."""

    path: str
    before: Any = None
    after: Any = None


def field_changes(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    """Every innermost difference, in order of the document."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            place = f"{path}.{key}" if path else str(key)
            yield from field_changes(before.get(key), after.get(key), place)
    elif _is_list(before) and _is_list(after):
        yield from _list_changes(before, after, path)
    else:
        yield FieldChange(path=path, before=before, after=after)


def _list_changes(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[FieldChange]:
    old, new = _by_name(before), _by_name(after)
    if old is None or new is None:
        yield FieldChange(path=path, before=before, after=after)
        return
    for name in dict.fromkeys((*old, *new)):
        yield from field_changes(old.get(name), new.get(name), f"{path}[{name}]")
    if old == new:  # and yet the lists differ
        yield FieldChange(path=path, before=list(old), after=list(new))


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _by_name(items: Sequence[Any]) -> dict[str, Any] | None:
    """The objects by their name; None if they have none of their own."""
    named = {name: item for item in items if (name := _name(item))}
    return named if len(named) == len(items) else None


def _name(item: Any) -> str:
    if not isinstance(item, Mapping):
        return ""
    name = next((str(item[key]) for key in _NAMES if item.get(key)), "")
    peer = item.get("Peer")
    return f"peer:{peer}/{name}" if peer else name
