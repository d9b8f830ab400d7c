"""Choosing endpoints: in which order to try those of a set, by health and weight.

Belongs here: the choice, given chance. Never here: dialling, or keeping score of failures.
"""

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from cluster.routes import Endpoint


def candidates(
    endpoints: Sequence[Endpoint], chance: random.Random, *, limit: int = 3
) -> tuple[Endpoint, ...]:
    """Up to `limit` different healthy endpoints in the order to try them; empty means none is healthy.

    The first is drawn by weight, so is the next one from what is left. An unhealthy set fails closed.
    """
    left = [endpoint for endpoint in endpoints if endpoint.healthy]
    if len(left) < 2:
        return tuple(left)
    picked: list[Endpoint] = []
    while left and len(picked) < limit:
        at = _draw(left, chance)
        picked.append(left.pop(at))
    return tuple(picked)


def _draw(endpoints: Sequence[Endpoint], chance: random.Random) -> int:
    point = chance.random() * sum(endpoint.weight for endpoint in endpoints)
    for at, endpoint in enumerate(endpoints):
        point -= endpoint.weight
        if point < 0:
            return at
    return len(endpoints) - 1


class FirstPick:
    """The first of `candidates`, prepared for asking again and again: the same odds, without the list."""

    __slots__ = ("_healthy", "_sums")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._healthy = tuple(endpoint for endpoint in endpoints if endpoint.healthy)
        self._sums = tuple(accumulate(endpoint.weight for endpoint in self._healthy))

    @property
    def shares(self) -> tuple[tuple[Endpoint, float], ...]:
        """The healthy endpoints, each with the sum of the weights up to it."""
        return tuple(zip(self._healthy, self._sums, strict=True))

    def draw(self, chance: random.Random) -> Endpoint | None:
        """One healthy endpoint, by weight; None if there is none."""
        if len(self._healthy) < 2:
            return self._healthy[0] if self._healthy else None
        point = chance.random() * self._sums[-1]
        return self._healthy[min(bisect(self._sums, point), len(self._healthy) - 1)]
