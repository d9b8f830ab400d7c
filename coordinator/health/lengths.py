"""The durations of definitions in seconds, each read once: there are few of them in many checks. Pure.

Nothing else belongs here.
"""

from functools import lru_cache

from cluster.durations import parse_duration


@lru_cache(maxsize=1024)
def seconds(duration: str) -> float:
    """Seconds of a Go duration. Raises ValueError."""
    return parse_duration(duration) / 1e9
