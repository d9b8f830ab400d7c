"""The exception tree, by whose fault it is, and the Problem, one reason why something is refused.

Belongs here: what more than one package raises or catches. Never here: an error that only one module
knows, which lives beside the code that raises it.
"""

from collections.abc import Iterator, Sequence

import msgspec

from cluster.reasons import End


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reason why a document, a snapshot or a configuration is refused.

    `path` names the place inside the document (`Services[1].CAFile`), `file` and `line` (from 1; 0 is
    unknown) where it was read from.
    """

    message: str
    path: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class LockgateError(Exception):
    """The root of every error of ours."""


class ProblemsError(LockgateError):
    """Something was refused for one or more reasons; all of them are told at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class ConfigError(ProblemsError):
    """A configuration file, an entry or a definition is not acceptable."""


class SnapshotRejected(ProblemsError):
    """A snapshot is not whole, not what its digest says, or cannot be applied here."""


class WireError(LockgateError):
    """The other process sent something that we do not speak."""


class Ended(LockgateError):
    """A connection is over and we know why; never a bug. Raise one of the subclasses."""

    def __init__(self, end: End, detail: str = "") -> None:
        super().__init__(f"{end}: {detail}" if detail else str(end))
        self.end = end
        self.detail = detail


class ClientFault(Ended):
    """The caller's side ended it: bad hello, failed handshake, reset, too slow."""


class UpstreamFault(Ended):
    """The destination's side ended it: refused, timed out, reset, bad certificate."""


class Refused(Ended):
    """We ended it: no route, denied, revoked, draining, overloaded."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """The single errors that a group, as nurseries raise it, is made of; a single error is its own."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for one in error.exceptions:
        yield from causes(one)
