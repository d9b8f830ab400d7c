"""Limits as the loop takes them: nanoseconds and bytes.

Belongs here: the spelling. Never here: what a limit means (`worker.relay.engine.RelayLimits`).
"""

from worker.relay.engine import RelayLimits


def numbers(limits: RelayLimits) -> tuple[int, int, int, int]:
    """Idle, age, buffer and pipe, in the order of the loop's arguments; 0 is none."""
    return (
        nanoseconds(limits.idle_timeout_seconds),
        nanoseconds(limits.max_age_seconds),
        limits.buffer_bytes,
        limits.pipe_bytes if limits.pipe_bytes >= limits.buffer_bytes else 0,
    )


def nanoseconds(seconds: float | None) -> int:
    """A limit of no time at all is a nanosecond, as 0 is none."""
    return 0 if seconds is None else max(1, round(seconds * 1e9))
