"""JSON (RFC 8259) with lines: stricter than the standard library's, and it says where.

Belongs here: JSON's grammar. Never here: what a key means.

Refused, each by name: a key given twice in one object, anything after the value, comments, NaN and
infinities, control characters and half surrogate pairs in strings, documents too long or too deep.
A key given twice does not end the reading; every other fault does.
"""

import re

from .document import Items, Member, Node, Table, Value
from .faults import MAX_DEPTH, MAX_DIGITS, Fault, SyntaxFault, number_in_limits, too_long
from .strings import JSON_ESCAPES, unescape

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\.)*)(")?')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?(?![0-9A-Za-z.])")
_WORD = re.compile(r"[^\s,:\[\]{}\"]+")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def read_json(text: str) -> tuple[Node | None, tuple[Fault, ...]]:
    """The document in `text`, or None, and what is wrong with the text. Never raises."""
    if fault := too_long(text):
        return None, (fault,)
    reader = _Reader(text.removeprefix("\ufeff"))
    try:
        return reader.document(), tuple(reader.faults)
    except SyntaxFault as error:
        return None, (*reader.faults, error.fault)


class _Reader:
    """A cursor over the text. Lines are counted as the cursor passes them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.faults: list[Fault] = []

    def document(self) -> Node:
        node = self.value(0)
        if self.peek():
            raise self.fault(f"{self.found()} after the end of the document")
        return node

    def peek(self) -> str:
        """The next character that is no space, "" at the end."""
        match = _SPACE.match(self.text, self.at)
        if match is not None and match[0]:
            self.line += match[0].count("\n")
            self.at = match.end()
        return self.text[self.at : self.at + 1]

    def found(self) -> str:
        rest = _WORD.match(self.text, self.at)
        word = rest[0][:40] if rest else self.text[self.at : self.at + 1]
        return repr(word) if word else "the end of the text"

    def fault(self, message: str) -> SyntaxFault:
        return SyntaxFault(message, self.line)

    def value(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self.fault(f"nested deeper than {MAX_DEPTH} levels")
        match self.peek():
            case "{":
                return self.table(depth)
            case "[":
                return self.items(depth)
            case '"':
                return Value(content=self.string(), line=self.line)
            case _:
                return self.number_or_word()

    def table(self, depth: int) -> Table:
        line, members = self.line, dict[str, Member]()
        self.at += 1
        more = self.peek() != "}"
        while more:
            member = self.member(depth)
            if member.key in members:
                self.faults.append(_twice(member, members[member.key]))
            members.setdefault(member.key, member)
            more = self.comma("}")
        self.at += 1
        return Table(members=tuple(members.values()), line=line)

    def member(self, depth: int) -> Member:
        if self.peek() != '"':
            raise self.fault(f"expected a key in double quotes, found {self.found()}")
        key, line = self.string(), self.line
        if self.peek() != ":":
            raise self.fault(f"expected ':' after the key {key!r}, found {self.found()}")
        self.at += 1
        return Member(key=key, node=self.value(depth + 1), line=line)

    def items(self, depth: int) -> Items:
        line, nodes = self.line, list[Node]()
        self.at += 1
        more = self.peek() != "]"
        while more:
            nodes.append(self.value(depth + 1))
            more = self.comma("]")
        self.at += 1
        return Items(nodes=tuple(nodes), line=line)

    def comma(self, closing: str) -> bool:
        """True after a comma, False before the closing bracket."""
        if self.peek() == closing:
            return False
        if self.peek() != ",":
            raise self.fault(f"expected ',' or {closing!r}, found {self.found()}")
        self.at += 1
        if self.peek() == closing:
            raise self.fault(f"a comma stands before {closing!r}")
        return True

    def string(self) -> str:
        match = _STRING.match(self.text, self.at)
        if match is None or match[2] is None:
            end = match.end() if match else self.at
            what = "a control character stands in" if end < len(self.text) else "the text ends in"
            raise self.fault(f"{what} a string")
        self.at = match.end()
        return unescape(match[1], JSON_ESCAPES, self.line)

    def number_or_word(self) -> Value:
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            return self.word()
        if match.end() - match.start() > MAX_DIGITS:
            raise self.fault(f"a number has more than {MAX_DIGITS} digits")
        number = float(match[0]) if match[1] or match[2] else int(match[0])
        self.at = match.end()
        return Value(content=number_in_limits(number, self.line), line=self.line)

    def word(self) -> Value:
        match = _WORD.match(self.text, self.at)
        if match is None or match[0] not in _WORDS:
            raise self.fault(f"expected a value, found {self.found()}")
        self.at = match.end()
        return Value(content=_WORDS[match[0]], line=self.line)


def _twice(again: Member, first: Member) -> Fault:
    return Fault(
        message=f"key {again.key!r} was already given on line {first.line}", line=again.line
    )
