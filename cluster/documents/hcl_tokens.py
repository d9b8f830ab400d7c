"""HCL cut into tokens, each with its line.

Belongs here: how names, strings, numbers, heredocs and comments are spelled. Never here: how tokens
make a document (`hcl_reader`).

Both generations of HCL spell these alike, but for what only an expression needs: operators and
parentheses come out as `symbol` tokens, so that the reader can refuse them by name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .faults import Fault, SyntaxFault
from .strings import HCL_ESCAPES, unescape, whole

_TOKEN = re.compile(
    r"""
    (?P<space>      [ \t\r\n]+ | \#[^\n]* | //[^\n]* | /\*.*?\*/ )
  | (?P<heredoc>    <<(?P<dash>-?)(?P<mark>[A-Za-z_][\w.-]*)[ \t]*\r?\n )
  | (?P<name>       [^\W\d][\w-]*(?:\.[^\W\d][\w-]*)* )
  | (?P<number>     -?(?:0[xX][0-9a-fA-F]+ | [0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.]) )
  | (?P<string>     "(?P<raw>(?:[^"\\\n] | \\[^\n])*)(?P<end>")? )
  | (?P<mark_>      [{}\[\],=:] (?![=>]) )
  | (?P<symbol>     == | => | != | <= | >= | && | \|\| | \.\.\. | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_TEMPLATE = re.compile(r"(?<!\$)\$\{|(?<!%)%\{")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token. `kind` is name, number, string, heredoc, symbol, end, or a mark: `{}[],=:`."""

    kind: str
    text: str
    line: int


def tokens(text: str, faults: list[Fault]) -> Iterator[Token]:
    """The tokens of `text` and an `end`. Templates go to `faults`; what cannot be cut is raised."""
    at, line = 0, 1
    while match := _TOKEN.match(text, at):
        at, start = match.end(), line
        if match["heredoc"]:
            body, at = _heredoc(text, match, line)
            yield Token(kind="heredoc", text=_literal(whole(body, line), start, faults), line=start)
        elif not match["space"]:
            yield _token(match, start, faults)
        line += text.count("\n", match.start(), at)
    yield Token(kind="end", text="", line=line)


def _token(match: re.Match[str], line: int, faults: list[Fault]) -> Token:
    if match["string"]:
        if match["end"] is None:
            raise SyntaxFault("a string is not closed before the end of its line", line)
        literal = unescape(_literal(match["raw"], line, faults), HCL_ESCAPES, line, wide=True)
        return Token(kind="string", text=literal, line=line)
    if match["symbol"] == "/" and match.string.startswith("/*", match.start()):
        raise SyntaxFault("a comment is not closed", line)
    kind = next(kind for kind in ("name", "number", "mark_", "symbol") if match[kind])
    return Token(kind=match[0] if kind == "mark_" else kind, text=match[0], line=line)


def _literal(raw: str, line: int, faults: list[Fault]) -> str:
    """`raw` with the escaped template marks `$${` and `%%{` undone; a real template is a fault."""
    if template := _TEMPLATE.search(raw):
        mark, seen = template[0], raw[template.start() :][:40]
        message = f"the template {seen!r} is not evaluated here; write {mark[0]}{mark} for {mark}"
        faults.append(Fault(message=message, line=line))
    return raw.replace("$${", "${").replace("%%{", "%{")


def _heredoc(text: str, match: re.Match[str], line: int) -> tuple[str, int]:
    """The text between the marker lines, and where the reading goes on."""
    closing = re.compile(rf"^[ \t]*{re.escape(match['mark'])}[ \t]*\r?$", re.MULTILINE)
    end = closing.search(text, match.end())
    if end is None:
        raise SyntaxFault(f"the heredoc {match['mark']} is not closed", line)
    body = text[match.end() : end.start()]
    return (_outdent(body) if match["dash"] else body), end.end()


def _outdent(body: str) -> str:
    lines = body.splitlines(keepends=True)
    margins = [len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()]
    margin = min(margins, default=0)
    return "".join(line[margin:] if line.strip() else line.lstrip(" \t") for line in lines)
