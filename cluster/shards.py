"""A large section in shards, so that a change of one item costs a shard and not the section.  ●

Belongs here: which shard an item is in, and a tuple that remembers its shards. Never here: which sections
are cut and by what (`cluster.sections`).

An item is in the shard that the CRC-32 of its key names, modulo their number: the same in every process, and
another item more or less moves nobody else. Both sides of the bus rely on it, so another number of shards is
another `WIRE_VERSION`.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, TypeVar

T = TypeVar("T")

SHARDS = 64
#: So many items travel whole: a shard would be smaller than what is said about it.
MOST_WHOLE = 512

Parts = Mapping[int, tuple[T, ...]]


def shard_of(key: str) -> int:
    return zlib.crc32(key.encode()) % SHARDS


class Sharded(tuple[T, ...]):
    """The items of all shards, in order of the shards. `parts` are those of each; none is empty.

    Equal to the plain tuple of the same items. Two that share a shard that did not change share its very
    tuple, so whoever makes something of a shard may keep it for as long as he is handed the same one.
    """

    parts: Parts[T]

    @classmethod
    def of(cls, parts: Parts[T]) -> "Sharded[T]":
        made = cls(chain.from_iterable(parts[number] for number in sorted(parts)))
        made.parts = parts
        return made


def cut(items: Iterable[T], key: Callable[[T], str], before: "tuple[T, ...]" = ()) -> "Sharded[T]":
    """The items in shards, in each in the order they come. Equal shards of `before` are taken from there."""
    found: dict[int, list[T]] = {}
    for item in items:
        found.setdefault(shard_of(key(item)), []).append(item)
    return joined({number: tuple(part) for number, part in found.items()}, before)


def joined(parts: Parts[T], before: tuple[T, ...] = ()) -> Sharded[T]:
    """One tuple of these shards: that of `before` itself if all of it is the same."""
    if not isinstance(before, Sharded):
        return Sharded.of(parts)
    old: Parts[T] = before.parts
    kept = {number: _kept(old.get(number), part) for number, part in parts.items()}
    if len(kept) == len(old) and all(old.get(number) is part for number, part in kept.items()):
        return before
    return Sharded.of(kept)


def _kept(old: tuple[T, ...] | None, part: tuple[T, ...]) -> tuple[T, ...]:
    return old if old is not None and (old is part or old == part) else part


def parts_of(items: tuple[T, ...], key: Callable[[T], str]) -> Parts[T]:
    """The shards of items that may have come whole."""
    return items.parts if isinstance(items, Sharded) else cut(items, key).parts


def strays(number: int, part: Iterable[Any], key: Callable[[Any], str]) -> tuple[str, ...]:
    """The keys of items that do not belong in this shard."""
    return tuple(name for item in part if shard_of(name := key(item)) != number)
