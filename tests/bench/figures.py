"""Medians, ratios and what is promised of them.  ●

Belongs here: arithmetic over figures. Never here: where one comes from (`rows`), how it is printed (`table`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median as _median
from typing import Literal

Against = Literal["better", "haproxy", "nginx", "itself"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound of a ratio to the better peer or to one of them, or of the figure itself."""

    against: Against = "better"
    at_least: float | None = None
    at_most: float | None = None

    def met_by(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )

    def __str__(self) -> str:
        bound = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        name = {"haproxy": " (HAProxy)", "nginx": " (nginx)"}.get(self.against, "")
        return bound + name


def median(values: Sequence[float | None]) -> float | None:
    """Of those that are there; None if none is."""
    found = [value for value in values if value is not None]
    return _median(found) if found else None


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """None where it would say nothing: a side is missing, or theirs is not above zero."""
    return ours / theirs if ours is not None and theirs is not None and theirs > 0 else None


def better(values: Sequence[float | None], *, higher: bool) -> float | None:
    """The best of the figures that are there."""
    found = [value for value in values if value is not None]
    if not found:
        return None
    return max(found) if higher else min(found)
