"""Whether memory stays flat.  ●

Belongs here: the rule. Never here: reading memory (`proc`).

The rule: of the samples after the first fifth of the time, which is for warming up, take the straight line
with the least squares. What it grows by over that time must be at most GROWTH_SHARE of their mean, or
GROWTH_BYTES.
"""

from collections.abc import Sequence

WARM_UP_SHARE = 0.2
GROWTH_SHARE = 0.03
GROWTH_BYTES = 1_000_000

Point = tuple[float, float]


def settled(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points (seconds, bytes) after warming up."""
    if not points:
        return ()
    first, last = points[0][0], points[-1][0]
    start = first + (last - first) * WARM_UP_SHARE
    return tuple(point for point in points if point[0] >= start)


def growth(points: Sequence[Point]) -> float:
    """What the line of least squares through them grows by from the first to the last."""
    if len(points) < 2:
        return 0.0
    mean_time = sum(time for time, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    spread = sum((time - mean_time) ** 2 for time, _ in points)
    slope = sum((time - mean_time) * (value - mean) for time, value in points) / spread
    return slope * (points[-1][0] - points[0][0])


def is_flat(points: Sequence[Point]) -> bool:
    """By the rule above, of points that have settled."""
    mean = sum(value for _, value in points) / max(1, len(points))
    return growth(points) <= max(GROWTH_SHARE * mean, GROWTH_BYTES)
