"""Shapes of objects and lists, and the walk that reads a document by them, telling every problem at once.

Belongs here: how a table or a list of each shape is read. Never here: what a field means, or a rule
between two fields (each kind's own module has them).

Reading is as weak as Consul's: keys in any case and in snake_case, one object where a list of objects is
meant, a list of one object where an object is meant (the latter two not in an `exact` report). Where unknown
keys are ignored, the last of two spellings of a key counts, as in Go. What comes out has Consul's exact
spelling. A value that cannot be read is reported and left out; the walk goes on.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cluster.documents.document import Items, Member, Node, Table, Value, fold, plain

from .report import Report, join
from .scalars import MISSING, Duration, Shape, Tenancy, Text


@dataclass(frozen=True, slots=True)
class OpaqueTable:
    """A table whose keys and values are kept as written (`Config`)."""

    def read(self, node: Node, path: str, report: Report) -> Any:
        table = _table(node, path, report)
        return MISSING if table is None else plain(table)


@dataclass(frozen=True, slots=True)
class TableOf:
    """A table whose keys are kept as written and whose values have one shape (`Meta`)."""

    shape: Shape = field(default_factory=Text)

    def read(self, node: Node, path: str, report: Report) -> Any:
        table = _table(node, path, report)
        if table is None:
            return MISSING
        read = {}
        for member in table.members:
            place = join(path, member.key)
            report.lines[place] = member.line
            value = self.shape.read(member.node, place, report)
            if value is not MISSING and not _is_null(member.node):
                read[member.key] = value
        return read


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one shape; a single value stands for a list of it, null in it for an empty one."""

    shape: Shape = field(default_factory=Text)

    def read(self, node: Node, path: str, report: Report) -> Any:
        if report.exact and not isinstance(node, Items):
            report.add(path, f"expected a list, found {str(plain(node))[:40]!r}")
            return MISSING
        nodes = node.nodes if isinstance(node, Items) else (node,)
        read = []
        for index, item in enumerate(nodes):
            place = f"{path}[{index}]"
            report.lines[place] = item.line
            value = self.shape.read(item, place, report)
            read.append(_blank(self.shape) if value is MISSING else value)
        return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an object. `keep`: an empty value says something and is stored."""

    name: str
    shape: Shape
    also: tuple[str, ...] = ()
    keep: bool = False


class Object:
    """A table of known fields. `ignored` keys are skipped; unknown ones are reported if `strict`."""

    def __init__(self, *fields: Field, ignored: tuple[str, ...] = (), strict: bool = True) -> None:
        self.fields = fields
        self.ignored = frozenset(fold(name) for name in ignored)
        self.strict = strict
        self.named = {fold(name): field for field in fields for name in (field.name, *field.also)}

    def read(self, node: Node, path: str, report: Report) -> Any:
        table = _table(node, path, report)
        if table is None:
            return MISSING
        read: dict[str, Any] = {}
        written: dict[str, Member] = {}
        for member in table.members:
            self._member(member, path, report, read, written)
        return read

    def _member(
        self,
        member: Member,
        path: str,
        report: Report,
        read: dict[str, Any],
        written: dict[str, Member],
    ) -> None:
        known = self.named.get(fold(member.key))
        if known is None:
            self._unknown(member, path, report)
            return
        place = join(path, known.name)
        first = written.setdefault(known.name, member)
        if first is not member and self.strict:
            message = f"given twice, as {first.key} and as {member.key}"
            report.add(place, message, member.line)
            return
        report.lines[place] = member.line
        value = MISSING if _is_null(member.node) else known.shape.read(member.node, place, report)
        if value is not MISSING:
            read[known.name] = value

    def _unknown(self, member: Member, path: str, report: Report) -> None:
        if not self.strict or fold(member.key) in self.ignored:
            return
        place = join(path, member.key)
        if fold(member.key).endswith("namespace"):
            message = f"unknown field {member.key}: namespaces are a Consul Enterprise feature"
            report.add(place, message, member.line)
            return
        near = nearest(member.key, [field.name for field in self.fields])
        hint = f", did you mean {near}?" if near else ""
        report.add(place, f"unknown field {member.key}{hint}", member.line)
        if near:
            report.unread.add(join(path, near))


def prune(value: Any, shape: Shape) -> Any:
    """`value` without its empty optional fields, as it is stored and shown."""
    if isinstance(shape, Object) and isinstance(value, dict):
        return dict(_kept(value, shape))
    if isinstance(shape, ListOf) and isinstance(value, list):
        return [prune(item, shape.shape) for item in value]
    if isinstance(shape, TableOf) and isinstance(value, dict):
        return {key: prune(item, shape.shape) for key, item in value.items()}
    return value


def _kept(value: dict[str, Any], shape: Object) -> Iterator[tuple[str, Any]]:
    for known in shape.fields:
        if known.name in value:
            item = prune(value[known.name], known.shape)
            if known.keep or not is_empty(item, known.shape):
                yield known.name, item


def is_empty(value: Any, shape: Shape) -> bool:
    """Whether a value of the shape says no more than its absence."""
    if isinstance(shape, Duration):
        return not value or value == "0s"
    return not value or isinstance(shape, Tenancy)


def nearest(word: str, known: list[str]) -> str:
    """The known word that `word` was probably meant to be, or ""."""
    folded = {fold(name): name for name in known}
    close = difflib.get_close_matches(fold(word)[:100], list(folded), n=1, cutoff=0.7)
    return folded[close[0]] if close else ""


def _blank(shape: Shape) -> Any:
    """What holds the place of an unreadable element, so that the paths after it stay true."""
    return {} if isinstance(shape, Object) else ""


def _is_null(node: Node) -> bool:
    return isinstance(node, Value) and node.content is None


def _table(node: Node, path: str, report: Report) -> Table | None:
    """The table that stands there, also as a list of one. None, reported, for anything else."""
    if isinstance(node, Items) and len(node.nodes) == 1 and not report.exact:
        node = node.nodes[0]
    if isinstance(node, Table):
        return node
    found = "a list" if isinstance(node, Items) else repr(str(plain(node))[:40])
    if isinstance(node, Items) and node.repeated:
        report.add(path, "given more than once", node.nodes[1].line)
    else:
        report.add(path, f"expected an object, found {found}")
    return None
