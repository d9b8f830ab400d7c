"""A filter expression and the shape of what it filters, made into one predicate. Pure.

Belongs here: what each operator means for each shape. Never here: the grammar (`syntax`).

What cannot be asked of a field is refused when the expression is compiled, so that a predicate never fails
and an expression is as wrong for no rows as for many. Compiled once per expression and shape, and kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from .shapes import TEXT, Anything, ListOf, MapOf, Plain, Record, Shape, Single, single_of
from .syntax import Expression, FilterError, Match, Not, Operator, parse

_KEPT = 64
# What compiling may cost is bounded by these: some 20 ms, and 2 MiB for each expression that is kept.
_PATTERN_BYTES = 1 << 17  # what one compiled regular expression may take
MAX_PATTERNS = 16
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = _PATTERN_BYTES

Test = Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A compiled expression: a predicate over rows of one shape."""

    expression: str
    matches: Test


@lru_cache(maxsize=_KEPT)
def compile_filter(expression: str, shape: Shape) -> Filter:
    """The predicate. Raises FilterError with one sentence."""
    try:
        parsed = parse(expression)
        if (patterns := _patterns(parsed)) > MAX_PATTERNS:
            raise FilterError(f"{patterns} regular expressions, at most {MAX_PATTERNS}")
        test = _joined(parsed, shape)
    except FilterError as error:
        shown = expression if len(expression) <= 200 else f"{expression[:200]}…"
        raise FilterError(f"filter {shown!r}: {error}") from None
    return Filter(expression=expression, matches=test)


def _patterns(expression: Expression) -> int:
    """How many regular expressions there are in it."""
    if isinstance(expression, Match):
        return int(expression.operator is Operator.MATCHES)
    parts = (expression.part,) if isinstance(expression, Not) else expression.parts
    return sum(_patterns(part) for part in parts)


def _joined(expression: Expression, shape: Shape) -> Test:
    if isinstance(expression, Match):
        return _walk(expression, expression.selector, shape)
    if isinstance(expression, Not):
        test = _joined(expression.part, shape)
        return lambda row: not test(row)
    tests = tuple(_joined(part, shape) for part in expression.parts)
    if expression.every:
        return lambda row: all(test(row) for test in tests)
    return lambda row: any(test(row) for test in tests)


def _walk(match: Match, path: tuple[str, ...], shape: Shape) -> Test:
    """The test of what `path` leads to from a value of this shape."""
    if isinstance(shape, Anything):
        return _walk_anything(match, path)
    if not path:
        return _at(match, shape)
    if isinstance(shape, ListOf):
        element = _walk(match, path, shape.element)
        return lambda value: any(element(one) for one in value or ())
    name, rest = path[0], path[1:]
    if isinstance(shape, MapOf):
        found, absent = _walk(match, rest, shape.value), _absent(match)
        return lambda value: found(value[name]) if value and name in value else absent
    if isinstance(shape, Single) or name not in shape.fields:
        raise FilterError(_no_such(match, name, shape))
    under = _walk(match, rest, shape.fields[name])
    return lambda value: under(value.get(name) if value else None)


def _no_such(match: Match, name: str, shape: Single | Record) -> str:
    known = ", ".join(sorted(shape.fields)) if isinstance(shape, Record) else "nothing"
    return f"selector {match} is not valid: no {name!r}, there is {known}"


def _absent(match: Match) -> bool:
    """The answer about a key that is not there: it equals nothing, and is empty."""
    return match.negated is not (match.operator is Operator.EMPTY)


def _at(match: Match, shape: Shape) -> Test:
    """The test of the very value that the selector names."""
    test = _question(match, shape)
    if test is None:
        what = match.operator.value
        raise FilterError(f"selector {match} cannot be asked with '{what}': it is {_named(shape)}")
    return (lambda value: not test(value)) if match.negated else test


def _named(shape: Shape) -> str:
    if isinstance(shape, Single):
        return shape.name
    return {ListOf: "a list", MapOf: "a map"}.get(type(shape), "an object")


def _question(match: Match, shape: Shape) -> Test | None:
    """What the operator asks of a value of this shape, before negation; None if it asks nothing sensible."""
    match match.operator:
        case Operator.EQUAL:
            return _equal(match, shape) if isinstance(shape, Single) else None
        case Operator.MATCHES:
            return _matching(match) if shape is TEXT else None
        case Operator.EMPTY:
            is_sized = shape is TEXT or isinstance(shape, ListOf | MapOf)
            return (lambda value: not value) if is_sized else None
    return _contains(match, shape)


def _contains(match: Match, shape: Shape) -> Test | None:
    """An element of a list, a key of a map, a part of a string."""
    if shape is TEXT or isinstance(shape, MapOf):
        return lambda value: bool(value) and match.value in value
    if not isinstance(shape, ListOf):
        return None
    if isinstance(shape.element, Single):
        wanted = _wanted(match, shape.element)
        return lambda value: bool(value) and wanted in value
    return _in_anything(match) if isinstance(shape.element, Anything) else None


def _equal(match: Match, shape: Single) -> Test:
    wanted, zero = _wanted(match, shape), shape.zero
    return lambda value: (zero if value is None else value) == wanted


def _wanted(match: Match, shape: Single) -> Plain:
    try:
        return shape.read(match.value)
    except ValueError:
        text = f"selector {match} is {shape.name}, which {match.value[:60]!r} is not"
        raise FilterError(text) from None


def _matching(match: Match) -> Test:
    """RE2, unanchored: it takes time that is linear in the text, whatever the expression."""
    try:
        pattern = re2.compile(match.value, _OPTIONS)
    except re2.error as error:
        reason = _reason(error)
        raise FilterError(f"{match.value[:60]!r} is no regular expression: {reason}") from None
    return lambda value: pattern.search(value or "") is not None


def _reason(error: Exception) -> str:
    found = error.args[0] if error.args else ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def _walk_anything(match: Match, path: tuple[str, ...]) -> Test:
    """The same through a document of no known shape."""
    found, absent = _at_anything(match), _absent(match)

    def walk(value: Any, at: int) -> bool:
        if at == len(path):
            return found(value)
        if isinstance(value, list):
            return any(walk(one, at) for one in value)
        if isinstance(value, dict) and path[at] in value:
            return walk(value[path[at]], at + 1)
        return absent

    return lambda value: walk(value, 0)


def _at_anything(match: Match) -> Test:
    pattern = _matching(match) if match.operator is Operator.MATCHES else None
    tests: dict[Operator, Test] = {
        Operator.EQUAL: lambda value: _equals_found(match, value),
        Operator.MATCHES: lambda value: isinstance(value, str) and bool(pattern and pattern(value)),
        Operator.EMPTY: lambda value: value is None or value == "" or value in ([], {}),
        Operator.IN: _in_anything(match),
    }
    test = tests[match.operator]
    return (lambda value: not test(value)) if match.negated else test


def _in_anything(match: Match) -> Test:
    def test(value: Any) -> bool:
        if isinstance(value, list):
            return any(_equals_found(match, one) for one in value)
        return isinstance(value, str | dict) and match.value in value

    return test


def _equals_found(match: Match, value: Any) -> bool:
    """Compared as the kind of value that was found; what cannot be read as that is not equal to it."""
    shape = single_of(value)
    if shape is None:
        return False
    try:
        return bool(shape.read(match.value) == value)
    except ValueError:
        return False
