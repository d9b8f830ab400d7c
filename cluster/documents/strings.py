"""Escapes in quoted strings, the part of their syntax that JSON and HCL share.

Belongs here: decoding one escape. Never here: where a string begins and ends, which its reader knows.
"""

import re

from .faults import SyntaxFault

_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
JSON_ESCAPES = _SIMPLE | {"/": "/", "b": "\b", "f": "\f"}
HCL_ESCAPES = _SIMPLE | {"a": "\a", "b": "\b", "f": "\f", "v": "\v"}

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.DOTALL)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def unescape(raw: str, escapes: dict[str, str], line: int, wide: bool = False) -> str:
    r"""The text that `raw` stands for; `wide` allows `\UXXXXXXXX`. Raises `SyntaxFault`."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2] and wide:
            return _wide(match[2], line)
        if not match[3] or match[3] not in escapes:
            raise SyntaxFault(f"unknown escape {match[0]!r} in a string", line)
        return escapes[match[3]]

    return whole(_ESCAPE.sub(one, raw) if "\\" in raw else raw, line)


def whole(text: str, line: int) -> str:
    """`text` with surrogate pairs joined. Raises `SyntaxFault` for half a pair: no UTF-8 has it."""
    if _SURROGATE.search(text) is None:
        return text
    joined = _PAIR.sub(lambda pair: _join(pair[0]), text)
    if _SURROGATE.search(joined):
        raise SyntaxFault("half a surrogate pair in a string", line)
    return joined


def _join(pair: str) -> str:
    return chr(0x10000 + ((ord(pair[0]) - 0xD800) << 10) + (ord(pair[1]) - 0xDC00))


def _wide(digits: str, line: int) -> str:
    code = int(digits, 16)
    if code > 0x10FFFF:
        raise SyntaxFault(f"\\U{digits} is no character", line)
    return chr(code)
