"""What a walk over a document finds: problems, and where each path lies.

Belongs here: gathering, and giving a path its line. Never here: a rule. Rules are generators of
`Finding` over plain values; they know paths and never lines, so that they also judge bodies that came
without a file.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cluster.errors import Problem


class Finding(NamedTuple):
    """One thing wrong at one path (`Services[1].CAFile`)."""

    path: str
    message: str


class Report:
    """Problems and warnings of one document, and the line of every path that was walked.

    `unread` holds the paths whose value is unknown because it could not be read, or because its key
    was probably misspelled: rules have nothing to say about them. `exact`: values must have the type that
    Go's JSON decoder demands (a body of the catalog's or the agent's API); else they are read weakly, as
    Consul reads files and entries.
    """

    def __init__(self, file: str = "", *, exact: bool = False) -> None:
        self.file = file
        self.exact = exact
        self.lines: dict[str, int] = {}
        self.unread: set[str] = set()
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, path: str, message: str, line: int = 0) -> None:
        self.problems.append(self.problem(path, message, line))
        self.unread.add(path)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Add what rules found, but for places that could not be read: those are reported already."""
        unread = frozenset(self.unread)
        for path, message in findings:
            if unread.isdisjoint(around(path)):
                self.add(path, message)

    def warn(self, findings: Iterable[Finding]) -> None:
        self.warnings.extend(self.problem(path, message) for path, message in findings)

    def problem(self, path: str, message: str, line: int = 0) -> Problem:
        return Problem(message=message, path=path, file=self.file, line=line or self.line(path))

    def line(self, path: str) -> int:
        """The line of the path, or of the nearest place around it that was walked."""
        return next((self.lines[place] for place in (*around(path), "") if place in self.lines), 0)

    def sorted(self) -> tuple[Problem, ...]:
        """The problems in the order of their lines."""
        return tuple(sorted(self.problems, key=lambda problem: problem.line))

    def sorted_warnings(self) -> tuple[Problem, ...]:
        """The warnings in the order of their lines."""
        return tuple(sorted(self.warnings, key=lambda warning: warning.line))


def around(path: str) -> Iterator[str]:
    """The path itself, then each place that holds it, the innermost first; not the document."""
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]


def join(path: str, name: str) -> str:
    """The path of the member `name` below `path`."""
    return f"{path}.{name}" if path else name
