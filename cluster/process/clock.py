"""The wall clock, which daemons hand to those of their parts that compare with dates.

Belongs here: reading it. Never here: deciding by it.
"""

from datetime import UTC, datetime


def wall_clock() -> float:
    """Seconds since 1970."""
    return datetime.now(UTC).timestamp()
