"""A document that remembers its lines: what both readers make, and what the schema walks.

Belongs here: the three kinds of node, faults with a line, and the way from and to plain values.
Never here: a syntax (the readers have it) or the meaning of a key (the schemas have it).

Limits: a text holds at most `MAX_CHARACTERS` characters and nests at most `MAX_DEPTH` deep, so that
recursion over a tree always ends in time and within the stack.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

MAX_CHARACTERS = 8 * 1024 * 1024
MAX_DEPTH = 64
MAX_DIGITS = 400

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One string, number, boolean or null."""

    content: Scalar
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """An ordered list; `repeated` when HCL blocks of one name were gathered into it."""

    nodes: "tuple[Node, ...]"
    line: int = 0
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One key of a table with its value; the line is the key's."""

    key: str
    node: "Node"
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Keys and values in the order written; no key occurs twice."""

    members: tuple[Member, ...]
    line: int = 0

    def find(self, name: str) -> Member | None:
        """The member whose key is `name`, compared without case and underscores."""
        wanted = fold(name)
        return next((member for member in self.members if fold(member.key) == wanted), None)


Node: TypeAlias = Value | Items | Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong with the text itself, at a line."""

    message: str
    line: int = 0


class SyntaxFault(Exception):
    """The reader cannot go on; it is turned into a `Fault` before it leaves the reader."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.fault = Fault(message=message, line=line)


def fold(key: str) -> str:
    """The key as it is compared: `path_exact`, `PathExact` and `pathExact` are one name."""
    return key.replace("_", "").casefold()


def plain(node: Node) -> Any:
    """The node as ordinary values: dict, list, str, int, float, bool, None."""
    if isinstance(node, Table):
        return {member.key: plain(member.node) for member in node.members}
    if isinstance(node, Items):
        return [plain(item) for item in node.nodes]
    return node.content


def from_plain(value: Any, depth: int = 0) -> Node:
    """Ordinary values as a node without lines. Raises `SyntaxFault` when nested too deep."""
    if depth > MAX_DEPTH:
        raise SyntaxFault(f"nested deeper than {MAX_DEPTH} levels", 0)
    if isinstance(value, Mapping):
        return Table(members=tuple(_members(value, depth)))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return Items(nodes=tuple(from_plain(item, depth + 1) for item in value))
    if value is None or isinstance(value, str | int | float):
        return Value(content=value)
    raise SyntaxFault(f"a value of type {type(value).__name__} cannot stand in a document", 0)


def _members(table: Mapping[Any, Any], depth: int) -> Iterable[Member]:
    for key, value in table.items():
        yield Member(key=str(key), node=from_plain(value, depth + 1))


def too_long(text: str) -> Fault | None:
    """The fault of a text that is too long to read, or None."""
    if len(text) <= MAX_CHARACTERS:
        return None
    return Fault(message=f"{len(text)} characters are too many, at most {MAX_CHARACTERS}", line=1)
