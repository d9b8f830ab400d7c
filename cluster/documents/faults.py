"""What is wrong with a text, and the limits that every text keeps.

Belongs here: a fault with its line, the exception that carries it inside a reader, and the limits on
length, depth and numbers. Never here: problems of meaning (`report`).

Limits: a text holds at most `MAX_CHARACTERS` characters and nests at most `MAX_DEPTH` deep, so that
recursion over a tree always ends in time and within the stack. An integer fits in 64 bits, so that every
codec can carry it.
"""

import math
from dataclasses import dataclass

MAX_CHARACTERS = 8 * 1024 * 1024
MAX_DEPTH = 64
MAX_DIGITS = 400


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


def too_long(text: str) -> Fault | None:
    """The fault of a text that is too long to read, or None."""
    if len(text) <= MAX_CHARACTERS:
        return None
    return Fault(message=f"{len(text)} characters are too many, at most {MAX_CHARACTERS}", line=1)


def number_in_limits(number: int | float, line: int) -> int | float:
    """The same number. Raises `SyntaxFault` when it is not finite or no 64-bit integer."""
    if isinstance(number, float):
        if not math.isfinite(number):
            raise SyntaxFault("a number is too large or not a number", line)
    elif not -(2**63) <= number < 2**64:
        raise SyntaxFault("an integer is larger than 64 bits", line)
    return number
