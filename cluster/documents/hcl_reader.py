"""HCL as Consul's files use it, with lines: literal values only.

Belongs here: the grammar of bodies, blocks, objects and lists. Never here: what a key means.

Read as Consul reads (HCL 1): a key may be quoted, `Key { … }` may stand for `Key = { … }` at any depth,
labels nest, separators inside braces are optional, and blocks of one name become a list. Read as
HCL 2 besides: `:` after a key, `null`. Whatever needs evaluation (references, functions, operators,
templates, `for`) is refused by name. A key given twice, a template and a reference do not end the
reading; every other fault does. The reasons for a reader of our own are in README.md.
"""

from .document import Items, Member, Node, Scalar, Table, Value
from .faults import MAX_DEPTH, MAX_DIGITS, Fault, SyntaxFault, number_in_limits, too_long
from .hcl_tokens import Token, tokens

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_OPERATORS = frozenset({"==", "!=", "<", ">", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%", "?"})


def read_hcl(text: str) -> tuple[Table | None, tuple[Fault, ...]]:
    """The document in `text`, or None, and what is wrong with the text. Never raises."""
    if fault := too_long(text):
        return None, (fault,)
    faults: list[Fault] = []
    try:
        return _Reader(text.removeprefix("\ufeff"), faults).body("end", 0, 1), tuple(faults)
    except SyntaxFault as error:
        # A fault on the same line came first and is why the reader lost its way.
        lost = any(fault.line == error.fault.line for fault in faults)
        return None, tuple(faults) if lost else (*faults, error.fault)


class _Reader:
    """A cursor over tokens, one token ahead."""

    def __init__(self, text: str, faults: list[Fault]) -> None:
        self.tokens = tokens(text, faults)
        self.next = next(self.tokens)
        self.faults = faults

    def take(self) -> Token:
        token = self.next
        self.next = next(self.tokens, token)
        return token

    def expected(self, what: str) -> SyntaxFault:
        found = "the end of the text" if self.next.kind == "end" else repr(self.next.text[:40])
        return SyntaxFault(f"expected {what}, found {found}", self.next.line)

    def body(self, closing: str, depth: int, line: int) -> Table:
        """Members up to `closing`, which is taken."""
        if depth > MAX_DEPTH:
            raise SyntaxFault(f"nested deeper than {MAX_DEPTH} levels", line)
        gathered = _Members(self.faults)
        while self.next.kind != closing:
            gathered.add(*self.member(closing, depth))
            if self.next.kind == "," and closing == "}":
                self.take()
        self.take()
        return Table(members=gathered.members(), line=line)

    def member(self, closing: str, depth: int) -> tuple[Member, bool]:
        """One `key = value` or block, and whether it was a block."""
        if self.next.kind not in ("name", "string"):
            raise self.expected("a key" if closing == "end" else "a key or '}'")
        key = self.take()
        if self.next.kind in ("=", ":"):
            self.take()
            return Member(key=key.text, node=self.value(depth + 1), line=key.line), False
        labels = [key]
        while self.next.kind in ("name", "string"):
            labels.append(self.take())
        if self.next.kind != "{":
            raise self.expected(f"'=' or '{{' after {key.text!r}")
        return self.block(labels, depth), True

    def block(self, labels: list[Token], depth: int) -> Member:
        first, *rest = labels
        line = self.take().line
        node = self.body("}", depth + len(labels), line)
        for label in reversed(rest):
            node = Table(members=(Member(key=label.text, node=node, line=label.line),), line=line)
        return Member(key=first.text, node=node, line=first.line)

    def value(self, depth: int) -> Node:
        node = self.literal(depth)
        if self.next.kind == "symbol":
            raise self.refused()
        return node

    def literal(self, depth: int) -> Node:
        token = self.next
        match token.kind:
            case "{":
                return self.body("}", depth, self.take().line)
            case "[":
                return self.items(depth)
            case "string" | "heredoc":
                return Value(content=self.take().text, line=token.line)
            case "number":
                return Value(content=_number(self.take()), line=token.line)
            case "name":
                return Value(content=self.word(), line=token.line)
            case "symbol":
                raise self.refused()
            case _:
                raise self.expected("a value")

    def items(self, depth: int) -> Items:
        if depth > MAX_DEPTH:
            raise SyntaxFault(f"nested deeper than {MAX_DEPTH} levels", self.next.line)
        line, nodes = self.take().line, list[Node]()
        while self.next.kind != "]":
            nodes.append(self.value(depth + 1))
            if self.next.kind == ",":
                self.take()
            elif self.next.kind != "]":
                raise self.expected("',' or ']'")
        self.take()
        return Items(nodes=tuple(nodes), line=line)

    def word(self) -> Scalar:
        """true, false or null; a reference is a fault and reads as null."""
        token = self.take()
        if self.next.text == "(":
            raise SyntaxFault(f"the function {token.text} is not evaluated here", token.line)
        if token.text == "for":
            raise SyntaxFault("a for expression is not evaluated here", token.line)
        if token.text not in _WORDS:
            message = f"{token.text} is no value: a string stands in double quotes"
            if "." in token.text:
                message = f"the reference {token.text} is not evaluated here"
            self.faults.append(Fault(message=message, line=token.line))
        return _WORDS.get(token.text)

    def refused(self) -> SyntaxFault:
        symbol = self.next.text
        what = "operator" if symbol in _OPERATORS else "symbol"
        return SyntaxFault(f"the {what} {symbol!r}: no expressions here", self.next.line)


class _Members:
    """Members of one table as they come: repeated blocks gather, a repeated attribute is a fault."""

    def __init__(self, faults: list[Fault]) -> None:
        self.first: dict[str, Member] = {}
        self.blocks: dict[str, list[Node]] = {}
        self.faults = faults

    def add(self, member: Member, block: bool) -> None:
        earlier = self.first.setdefault(member.key, member)
        if block and (earlier is member or member.key in self.blocks):
            self.blocks.setdefault(member.key, []).append(member.node)
        elif earlier is not member:
            message = f"key {member.key!r} was already given on line {earlier.line}"
            self.faults.append(Fault(message=message, line=member.line))

    def members(self) -> tuple[Member, ...]:
        return tuple(self.gathered(member) for member in self.first.values())

    def gathered(self, member: Member) -> Member:
        nodes = self.blocks.get(member.key, ())
        if len(nodes) < 2:
            return member
        items = Items(nodes=tuple(nodes), line=member.line, repeated=True)
        return Member(key=member.key, node=items, line=member.line)


def _number(token: Token) -> int | float:
    digits = token.text.removeprefix("-")
    if len(digits) > MAX_DIGITS:
        raise SyntaxFault(f"a number has more than {MAX_DIGITS} digits", token.line)
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        raise SyntaxFault(f"the number {token.text} begins with a zero", token.line)
    if digits[:2].lower() == "0x":
        return number_in_limits(int(token.text, 16), token.line)
    number = int(token.text) if digits.isdigit() else float(token.text)
    return number_in_limits(number, token.line)
