"""A document that remembers its lines: what both readers make, and what the schema walks.

Belongs here: the three kinds of node, and the way from and to plain values. Never here: a syntax (the
readers have it) or the meaning of a key (the schemas have it).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .faults import MAX_DEPTH, SyntaxFault, number_in_limits
from .strings import whole

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


def fold(key: str) -> str:
    """The key as it is compared: `path_exact`, `PathExact` and `pathExact` are one name.

    As Go folds: the long s is an s and the Kelvin sign a k, but ß is no ss.
    """
    return key.replace("_", "").lower().replace("ſ", "s")


def plain(node: Node) -> Any:
    """The node as ordinary values: dict, list, str, int, float, bool, None."""
    if isinstance(node, Table):
        return {member.key: plain(member.node) for member in node.members}
    if isinstance(node, Items):
        return [plain(item) for item in node.nodes]
    return node.content


def from_plain(value: Any, depth: int = 0) -> Node:
    """Ordinary values as a node without lines. Raises `SyntaxFault` for what no text may hold."""
    if depth > MAX_DEPTH:
        raise SyntaxFault(f"nested deeper than {MAX_DEPTH} levels", 0)
    if isinstance(value, Mapping):
        return Table(members=tuple(_members(value, depth)))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return Items(nodes=tuple(from_plain(item, depth + 1) for item in value))
    if value is None or isinstance(value, bool):
        return Value(content=value)
    if isinstance(value, str):
        return Value(content=whole(value, 0))
    if isinstance(value, int | float):
        return Value(content=number_in_limits(value, 0))
    raise SyntaxFault(f"a value of type {type(value).__name__} cannot stand in a document", 0)


def _members(table: Mapping[Any, Any], depth: int) -> Iterable[Member]:
    for key, value in table.items():
        yield Member(key=whole(str(key), 0), node=from_plain(value, depth + 1))
