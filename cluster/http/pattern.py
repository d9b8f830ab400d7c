"""Regular expressions that people write, matched in linear time.

Belongs here: RE2, and what one expression may cost. Never here: what is matched against it.

An expression takes at most `MAX_BYTES` for its program and the automaton that grows as texts are matched;
then RE2 goes on without the automaton, slower but still linear. Equal expressions that are in use are one.
Source: RE2's syntax; Envoy, `RegexMatcher` (the whole text must match).
"""

from typing import Any
from weakref import WeakValueDictionary

import re2

from cluster.errors import LockgateError

from .request import written_text

#: Also what entries are checked with before they are stored.
MAX_BYTES = 1 << 20

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = MAX_BYTES
_OPTIONS.never_capture = True  # nobody asks where a group matched, and finding out is slow


class PatternError(LockgateError):
    """A text is no regular expression, or one that takes more than `MAX_BYTES`; `fault` says why."""

    def __init__(self, text: str, fault: str) -> None:
        super().__init__(f"{text[:60]!r} is no regular expression (RE2): {fault}")
        self.fault = fault


class Pattern:
    """One compiled expression."""

    __slots__ = ("__weakref__", "_compiled", "text")

    def __init__(self, text: str) -> None:
        """Raises `PatternError`."""
        self.text = text
        try:
            self._compiled: Any = re2.compile(text, _OPTIONS)
        except re2.error as error:
            raise PatternError(text, _fault(error)) from error

    def matches(self, text: str) -> bool:
        """Whether the whole of a text of the wire matches."""
        return self._compiled.fullmatch(written_text(text)) is not None


def _fault(error: Exception) -> str:
    reason = error.args[0]
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


_in_use: WeakValueDictionary[str, Pattern] = WeakValueDictionary()


def pattern(text: str) -> Pattern:
    """The expression, compiled if nobody has it yet. Raises `PatternError`."""
    found = _in_use.get(text)
    if found is None:
        _in_use[text] = found = Pattern(text)
    return found
