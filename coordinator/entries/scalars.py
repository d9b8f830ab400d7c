"""Shapes of single values: how a string, a number, a flag or a duration is read.

Belongs here: one value as a person or a client wrote it, weakly as Consul reads it (numbers in strings,
and so on). Never here: objects and lists (`schema`), or what a field means.
"""

import math
import re
from dataclasses import dataclass
from types import UnionType
from typing import Any, Protocol

from cluster.documents.document import Items, Node, Value, plain
from cluster.durations import format_duration, parse_duration, within_limit

from .report import Report

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False", ""})
_WHOLE = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})")
MISSING = object()


class Shape(Protocol):
    """How one value is read. Gives `MISSING` for what could not be read and was reported."""

    def read(self, node: Node, path: str, report: Report) -> Any: ...


@dataclass(frozen=True, slots=True)
class Text:
    """A string; numbers and booleans become strings as in Consul's weak decoding."""

    def read(self, node: Node, path: str, report: Report) -> Any:
        content = _scalar(node, path, report, "a string", str)
        if isinstance(content, bool):
            return str(int(content))
        return content if content is MISSING else str(content)


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer between two bounds, also in a string."""

    minimum: int = -(2**63)
    maximum: int = 2**63 - 1

    def read(self, node: Node, path: str, report: Report) -> Any:
        content = _scalar(node, path, report, "an integer", int)
        if content is MISSING:
            return MISSING
        number = _whole(content)
        if number is None:
            report.add(path, f"expected an integer, found {str(content)[:40]!r}")
            return MISSING
        if not self.minimum <= number <= self.maximum:
            report.add(path, f"{number} is not between {self.minimum} and {self.maximum}")
            return MISSING
        return number


@dataclass(frozen=True, slots=True)
class Decimal:
    """A number, also in a string."""

    def read(self, node: Node, path: str, report: Report) -> Any:
        content = _scalar(node, path, report, "a number", int | float)
        if content is MISSING:
            return MISSING
        try:
            number = float(content)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            report.add(path, f"expected a number, found {str(content)[:40]!r}")
            return MISSING
        return number


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean, also as a number or in a string."""

    def read(self, node: Node, path: str, report: Report) -> Any:
        content = _scalar(node, path, report, "true or false", bool)
        if isinstance(content, str) and content not in _TRUE | _FALSE:
            report.add(path, f"expected true or false, found {content[:40]!r}")
            return MISSING
        if isinstance(content, str):
            return content in _TRUE
        return content if content is MISSING else bool(content)


@dataclass(frozen=True, slots=True)
class Duration:
    """A Go duration or nanoseconds; read as the string that Go would print.

    Below zero only where that has a meaning (`negative`): a timeout that is switched off.
    """

    negative: bool = False

    def read(self, node: Node, path: str, report: Report) -> Any:
        content = _scalar(node, path, report, "a duration", str | int)
        if content is MISSING:
            return MISSING
        try:
            nanoseconds = _nanoseconds(content)
            if nanoseconds < 0 and not self.negative:
                raise ValueError(f"the duration {content} is negative")
            return format_duration(nanoseconds)
        except ValueError as error:
            report.add(path, str(error))
            return MISSING


@dataclass(frozen=True, slots=True)
class Opaque:
    """Anything, kept as it was written."""

    def read(self, node: Node, path: str, report: Report) -> Any:
        return plain(node)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A namespace or partition: `default` is the only one there is, and is not stored (`prune`)."""

    what: str

    def read(self, node: Node, path: str, report: Report) -> Any:
        name = Text().read(node, path, report)
        if name not in (MISSING, "", "default"):
            report.add(
                path, f"{self.what} {name[:64]!r}: {self.what}s are a Consul Enterprise feature"
            )
        return name


@dataclass(frozen=True, slots=True)
class EnterpriseOnly:
    """A field that Consul's community edition refuses whatever it holds.

    What was refused is handed on, so that rules see that something was given.
    """

    def read(self, node: Node, path: str, report: Report) -> Any:
        value = plain(node)
        if value in ("", [], {}, False, 0):
            return MISSING
        report.add(path, f"{path.rpartition('.')[2]} requires Consul Enterprise")
        return value


def _scalar(node: Node, path: str, report: Report, wanted: str, exact: type | UnionType) -> Any:
    """What stands there, `MISSING` (reported) for a table or a list; null reads as an empty string.

    `exact`: the types that Go's JSON decoder takes for it.
    """
    if isinstance(node, Value):
        if report.exact and not _is_exactly(node.content, exact):
            report.add(path, f"expected {wanted}, found {str(node.content)[:40]!r}")
            return MISSING
        return "" if node.content is None else node.content
    found = "a list" if isinstance(node, Items) else "an object"
    report.add(path, f"expected {wanted}, found {found}")
    return MISSING


def _is_exactly(content: Any, exact: type | UnionType) -> bool:
    """Whether it has one of the types; a boolean is no number, as it is to Python. Null fits everywhere."""
    if isinstance(content, bool):
        return exact is bool
    return content is None or isinstance(content, exact)


def _nanoseconds(content: str | int | float) -> int:
    if isinstance(content, str):
        return parse_duration(content) if content else 0
    if isinstance(content, bool) or content != int(content):
        raise ValueError(f"{content} is no duration such as 15s")
    return within_limit(int(content))


def _whole(content: str | int | float) -> int | None:
    if isinstance(content, str):
        if content == "":
            return 0
        return (
            int(content, 16 if "x" in content.lower() else 10)
            if _WHOLE.fullmatch(content)
            else None
        )
    return int(content) if content == int(content) else None
