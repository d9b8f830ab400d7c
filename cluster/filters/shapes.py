"""What a selector may name: records with known fields, maps, lists, single values. Pure.

Belongs here: the shapes, and how a value in an expression is read for each. Never here: a shape of one thing.
A field that a row leaves out counts as the zero value of its shape, as in Go, where no field is ever absent;
a key that a map does not have is absent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Plain: TypeAlias = str | int | float | bool

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True, slots=True, eq=False)
class Single:
    """One value; `read` raises ValueError for text that cannot be one."""

    name: str
    read: Callable[[str], Plain]
    zero: Plain


@dataclass(frozen=True, slots=True, eq=False)
class ListOf:
    """Elements of one shape. A selector that goes on asks whether it holds for any of them."""

    element: "Shape"


@dataclass(frozen=True, slots=True, eq=False)
class MapOf:
    """Keys that people choose, and values of one shape."""

    value: "Shape"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Fields with names that are known."""

    fields: Mapping[str, "Shape"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Anything:
    """A document of no known shape; what a selector finds in it decides how it is compared."""


Shape: TypeAlias = Single | ListOf | MapOf | Record | Anything


def whole(text: str) -> int:
    """An integer as Go reads literals: `80`, `0x50`, `-1`. Raises ValueError."""
    return int(text, 0)


def flag(text: str) -> bool:
    """A boolean as Go reads it. Raises ValueError."""
    if text not in _TRUE | _FALSE:
        raise ValueError(f"{text[:40]!r} is neither true nor false")
    return text in _TRUE


TEXT = Single("a string", str, "")
WHOLE = Single("an integer", whole, 0)
DECIMAL = Single("a number", float, 0.0)
FLAG = Single("true or false", flag, False)
ANYTHING = Anything()
TEXTS = ListOf(TEXT)
TEXT_MAP = MapOf(TEXT)


def single_of(value: object) -> Single | None:
    """The shape of a value that was found in a document; None for lists, maps and null."""
    if isinstance(value, bool):
        return FLAG
    if isinstance(value, str):
        return TEXT
    if isinstance(value, int):
        return WHOLE
    return DECIMAL if isinstance(value, float) else None
