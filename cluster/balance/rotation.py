"""`round_robin`: one endpoint after the other, heavier ones more often, spread evenly over a round.

Belongs here: the order of a round, and the place in it, which is all that any picker remembers. Never here:
another policy.
"""

import math
import random
from collections.abc import Container, Iterator, Sequence

from cluster.routes import Endpoint

from .picker import NOBODY

#: A round is no longer, unless there are more endpoints; then weights are kept to about a part in this.
MAX_TURNS = 4096


class RoundRobin:
    """Workers begin at a place of their own, so that they do not all come to one endpoint at once."""

    __slots__ = ("_at", "_turns")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._turns = tuple(turns([endpoint for endpoint in endpoints if endpoint.healthy]))
        self._at: int | None = None

    def pick(
        self,
        chance: random.Random,
        *,
        key: int | None = None,
        without: Container[Endpoint] = NOBODY,
    ) -> Endpoint | None:
        """The next one; `chance` is asked the first time only."""
        turns = self._turns
        at = int(chance.random() * len(turns)) if self._at is None else self._at
        for _ in turns:
            found, at = turns[at], (at + 1) % len(turns)
            if found not in without:
                self._at = at
                return found
        return None


def turns(endpoints: Sequence[Endpoint]) -> Iterator[Endpoint]:
    """One round: each endpoint as often as it weighs, and as far from itself as can be."""
    weights = _small([endpoint.weight for endpoint in endpoints])
    places = sorted(
        ((turn + 0.5) / weight, at) for at, weight in enumerate(weights) for turn in range(weight)
    )
    return (endpoints[at] for _, at in places)


def _small(weights: Sequence[int]) -> list[int]:
    """The same proportions in smaller numbers."""
    divisor = math.gcd(*weights)
    shares = [weight // divisor for weight in weights] if divisor else []
    total = sum(shares)
    if total <= MAX_TURNS:
        return shares
    return [max(1, round(share * MAX_TURNS / total)) for share in shares]
