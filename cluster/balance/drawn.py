"""`random` and `least_request`: endpoints drawn by weight, and of several drawn the one with least to do.

Belongs here: those two. Never here: counting requests.
Source: Envoy, "Supported load balancers"; Mitzenmacher, "The power of two choices".
"""

import random
from collections.abc import Container, Sequence

from cluster.pick import FirstPick
from cluster.routes import Endpoint

from .picker import NOBODY, Active

_TRIES = 3


class Drawn:
    """`random`, by weight."""

    __slots__ = ("_all", "_healthy")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._healthy = tuple(endpoint for endpoint in endpoints if endpoint.healthy)
        self._all = FirstPick(self._healthy)

    def pick(
        self,
        chance: random.Random,
        *,
        key: int | None = None,
        without: Container[Endpoint] = NOBODY,
    ) -> Endpoint | None:
        """Any endpoint; those left out are few as a rule, so drawing again is cheaper than a list."""
        for _ in range(_TRIES):
            found = self._all.draw(chance)
            if found is None or found not in without:
                return found
        left = [endpoint for endpoint in self._healthy if endpoint not in without]
        return FirstPick(left).draw(chance)


class LeastRequest:
    """`least_request`: of `choices` that are drawn by weight the one with the fewest requests under way."""

    __slots__ = ("_active", "_choices", "_drawn")

    def __init__(self, endpoints: Sequence[Endpoint], choices: int, active: Active) -> None:
        self._drawn = Drawn(endpoints)
        self._choices = choices
        self._active = active

    def pick(
        self,
        chance: random.Random,
        *,
        key: int | None = None,
        without: Container[Endpoint] = NOBODY,
    ) -> Endpoint | None:
        """The first drawn wins a tie."""
        drawn = (self._drawn.pick(chance, without=without) for _ in range(self._choices))
        found = [endpoint for endpoint in drawn if endpoint is not None]
        return min(found, key=self._active, default=None)
