"""Moments as RFC 3339 writes them, and as seconds since 1970.

Belongs here: reading and writing that notation. Never here: what time it is.
"""

import datetime
import re

_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def parse_moment(text: str) -> float:
    """Seconds since 1970. Raises ValueError with a sentence that says what is wrong."""
    if not _MOMENT.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no time such as 2030-01-31T12:00:00Z")
    try:
        return datetime.datetime.fromisoformat(text.upper()).timestamp()
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no time: {error}") from None


def format_moment(seconds: float) -> str:
    """In UTC, to the second: `2030-01-31T12:00:00Z`."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
