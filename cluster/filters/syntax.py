"""The grammar of filter expressions, and what is read by it: matches joined by `and`, `or`, `not`. Pure.

Belongs here: text to a tree, and the limits of a tree. Never here: whether a selector names something
(`compile`). Source: go-bexpr's grammar (consul-gateways.md 6.10).

A value is quoted, a number or a bare word; a selector is a dotted name (`Meta.v`, `Meta["a-b"]`) or a JSON
pointer in double quotes (`"/Meta/a-b"`). Which of both a word is follows from its side of the operator.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import LarkError, UnexpectedInput, UnexpectedToken

from cluster.documents.faults import SyntaxFault
from cluster.documents.strings import HCL_ESCAPES, unescape

MAX_CHARACTERS = 4096
MAX_PARTS = 150  # matches and connectives: what bounds both the depth and the work for one row


class FilterError(ValueError):
    """The expression cannot be read, or not be applied to what it shall filter; one sentence."""


class Operator(Enum):
    """What a match asks. `!=`, `not in`, `is not empty` and `not matches` are these, negated."""

    EQUAL = "=="
    IN = "in"
    EMPTY = "is empty"
    MATCHES = "matches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One question about what a selector names; `value` is empty for `is empty`."""

    selector: tuple[str, ...]
    operator: Operator
    negated: bool
    value: str = ""

    def __str__(self) -> str:
        return ".".join(self.selector)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Several expressions, of which all must hold, or any."""

    parts: "tuple[Expression, ...]"
    every: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The opposite of an expression."""

    part: "Expression"


Expression = Match | Joined | Not

_END = r"(?![a-zA-Z0-9_\/.\[])"
_GRAMMAR = rf"""
?start: either
?either: both (_OR both)*
?both: one (_AND one)*
?one: _NOT one -> negation
    | "(" either ")"
    | operand "==" operand -> equal
    | operand "!=" operand -> equal_not
    | operand _IN operand -> in
    | operand _NOT _IN operand -> in_not
    | operand _CONTAINS operand -> contains
    | operand _NOT _CONTAINS operand -> contains_not
    | operand _MATCHES operand -> matches
    | operand _NOT _MATCHES operand -> matches_not
    | operand _IS _EMPTY -> empty
    | operand _IS _NOT _EMPTY -> empty_not
?operand: WORD | NUMBER | QUOTED | RAW

_AND.2: /and{_END}/
_OR.2: /or{_END}/
_NOT.2: /not{_END}/
_IN.2: /in{_END}/
_IS.2: /is{_END}/
_EMPTY.2: /empty{_END}/
_CONTAINS.2: /contains{_END}/
_MATCHES.2: /matches{_END}/
WORD: /[a-zA-Z][a-zA-Z0-9_\/]*(\.[a-zA-Z0-9_\/]+|\[\s*("[^"]*"|`[^`]*`)\s*\])*/
NUMBER: /-?(0|[1-9][0-9]*)(\.[0-9]+)?(?=[\s)]|$)/
QUOTED: /"[^"\n]*"/
RAW: /`[^`]*`/
%ignore /[ \t\r\n]+/
"""
_PARSER = Lark(_GRAMMAR, parser="lalr", lexer="contextual")
_OPERATORS = {
    "equal": Operator.EQUAL,
    "in": Operator.IN,
    "contains": Operator.IN,
    "matches": Operator.MATCHES,
    "empty": Operator.EMPTY,
}
_STEP = re.compile(r"\.?([a-zA-Z0-9_/]+)|\[\s*(\"[^\"]*\"|`[^`]*`)\s*\]")
_POINTER = re.compile(r"(/[\w\-.~:|]+)+")


def parse(text: str) -> Expression:
    """The expression in `text`. Raises FilterError."""
    if len(text) > MAX_CHARACTERS:
        raise FilterError(f"the expression has {len(text)} characters, at most {MAX_CHARACTERS}")
    try:
        tree = _PARSER.parse(text)
    except UnexpectedInput as error:
        raise FilterError(_unexpected(text, error)) from None
    except LarkError as error:
        raise FilterError(str(error)) from None
    if (parts := sum(1 for _ in tree.iter_subtrees())) > MAX_PARTS:
        raise FilterError(f"the expression has {parts} parts, at most {MAX_PARTS}")
    return _read(tree)


def _unexpected(text: str, error: UnexpectedInput) -> str:
    at: Any = error.pos_in_stream
    is_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    if is_end or at is None or at < 0:
        return "the expression ends too early"
    return f"unexpected {text[at : at + 20]!r} at character {at + 1}"


def _read(tree: Tree[Token]) -> Expression:
    kind = str(tree.data)
    if kind in ("either", "both"):
        return Joined(parts=tuple(_read(part) for part in _trees(tree)), every=kind == "both")
    if kind == "negation":
        (part,) = (_read(part) for part in _trees(tree))
        return part.part if isinstance(part, Not) else Not(part=part)
    return _match(kind, [str(child) for child in tree.children])


def _trees(tree: Tree[Token]) -> list[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree)]


def _match(kind: str, operands: list[str]) -> Match:
    name, _, negation = kind.partition("_")
    if name == "in":
        operands.reverse()
    return Match(
        selector=_selector(operands[0]),
        operator=_OPERATORS[name],
        negated=bool(negation),
        value=_value(operands[1]) if len(operands) > 1 else "",
    )


def _selector(text: str) -> tuple[str, ...]:
    if text[0].isascii() and text[0].isalpha():
        return tuple(step[1] or _unquote(step[2]) for step in _STEP.finditer(text))
    if text[0] == '"' and _POINTER.fullmatch(text[1:-1]):
        steps = text[2:-1].split("/")
        return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)
    raise FilterError(f"{text[:60]} is no selector, which is a name or a JSON pointer")


def _value(text: str) -> str:
    if text[0] in '"`':
        return _unquote(text)
    return ".".join(_selector(text)) if text[0].isalpha() else text


def _unquote(text: str) -> str:
    """What a string stands for: raw between backticks, with Go's escapes between double quotes."""
    if text[0] == "`":
        return text[1:-1].replace("\r", "")
    try:
        return unescape(text[1:-1], HCL_ESCAPES, 0, wide=True)
    except SyntaxFault as error:
        reason = f"{text[:60]}: {error} (between backticks nothing is escaped)"
        raise FilterError(reason) from None
