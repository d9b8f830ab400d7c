"""The shape of a moment: RFC 3339, stored in UTC.

Belongs here: how such a value is read. Never here: which fields hold one.
"""

from dataclasses import dataclass
from typing import Any

from cluster.documents.document import Node
from cluster.moments import format_moment, parse_moment

from .report import Report
from .scalars import MISSING, Text


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment with its offset, to the second; read as `2030-01-31T12:00:00Z`. Empty says nothing."""

    def read(self, node: Node, path: str, report: Report) -> Any:
        text = Text().read(node, path, report)
        if text in (MISSING, ""):
            return MISSING
        try:
            return format_moment(parse_moment(text))
        except ValueError as error:
            report.add(path, str(error))
            return MISSING
