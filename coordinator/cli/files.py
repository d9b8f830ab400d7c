"""Files and standard input as the API's commands take them.

Belongs here: reading what a command was given, all problems at once. Never here: sending it.
"""

import sys
from collections.abc import Iterable
from typing import Any

from cluster.errors import ConfigError, LockgateError
from coordinator.entries.load import EntryItem, Item, Loaded, load_files, load_text

STDIN = "-"


def read_items(files: Iterable[str]) -> tuple[Item, ...]:
    """What the files, directories, or `-` for standard input, hold. Raises ConfigError."""
    loaded = load(files)
    if loaded.problems:
        raise ConfigError(loaded.problems)
    for warning in loaded.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    return loaded.items


def load(files: Iterable[str]) -> Loaded:
    """The same, with the problems beside what is sound. Never raises for what it reads."""
    names = tuple(files)
    loaded = [load_files([name for name in names if name != STDIN])]
    if STDIN in names:
        loaded.append(load_text("stdin", sys.stdin.read()))
    return Loaded(
        items=tuple(item for one in loaded for item in one.items),
        problems=tuple(problem for one in loaded for problem in one.problems),
        warnings=tuple(warning for one in loaded for warning in one.warnings),
    )


def read_entries(files: Iterable[str]) -> list[dict[str, Any]]:
    """The bodies of the configuration entries in the files. Raises ConfigError, LockgateError."""
    items = read_items(files)
    for item in items:
        if not isinstance(item, EntryItem):
            raise LockgateError(f"{name_of(item)}: only configuration entries can be planned")
    return [item.entry.body for item in items if isinstance(item, EntryItem)]


def name_of(item: Item) -> str:
    """What an item is called in an error."""
    if isinstance(item, EntryItem):
        return f"{item.file}: configuration entry {item.entry.kind}/{item.entry.name}"
    return f"{item.file}: service definition or registration"
