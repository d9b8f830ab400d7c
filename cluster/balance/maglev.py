"""`maglev`: a table that endpoints fill in turns, each by an order of its own; a key is a place in it.

Belongs here: the table. Never here: what is hashed.

Each endpoint has as many places as it weighs, to within one, and an endpoint that leaves moves hardly more
than its own keys: of ten 1.0 times as many, of a hundred 1.4, of a thousand 7. That is a property of the
table's size, which is Envoy's: a thousand have 65 places each, and their turns shift. (Ten times the size
makes it 4.) One that is left out for a while hands its keys to whoever has the places after its own.
Source: Eisenbud et al., "Maglev: a fast and reliable software network load balancer", section 3.4; Envoy.
"""

import random
from array import array
from collections.abc import Container, Sequence

from cluster.routes import Endpoint

from .drawn import Drawn
from .hashing import hash64
from .picker import NOBODY

#: A prime.
TABLE_SIZE = 65_537
_TRIES = 8


class Maglev:
    """The table holds numbers of endpoints."""

    __slots__ = ("_drawn", "_healthy", "_table")

    def __init__(self, endpoints: Sequence[Endpoint], size: int = TABLE_SIZE) -> None:
        """`size` is a prime, and more than there are endpoints."""
        self._healthy = sorted(endpoint for endpoint in endpoints if endpoint.healthy)[:size]
        self._table = table(self._healthy, size)
        self._drawn = Drawn(self._healthy)

    def pick(
        self,
        chance: random.Random,
        *,
        key: int | None = None,
        without: Container[Endpoint] = NOBODY,
    ) -> Endpoint | None:
        """The endpoint of the key; without a key any."""
        if key is None or not self._healthy:
            return self._drawn.pick(chance, without=without)
        for place in range(key, key + _TRIES):
            found = self._healthy[self._table[place % len(self._table)]]
            if found not in without:
                return found
        left = [endpoint for endpoint in self._healthy if endpoint not in without]
        return left[key % len(left)] if left else None


def table(endpoints: Sequence[Endpoint], size: int) -> "array[int]":
    """Who has which place. An endpoint of half the greatest weight has a turn every other round."""
    places = array("i", [-1]) * size
    weights = [endpoint.weight for endpoint in endpoints]
    heaviest = max(weights, default=0)
    at = [hash64(f"{endpoint} offset") % size for endpoint in endpoints]
    skips = [hash64(f"{endpoint} skip") % (size - 1) + 1 for endpoint in endpoints]
    saved = [0] * len(endpoints)
    left = size if endpoints else 0
    while left:
        for number, weight in enumerate(weights):
            saved[number] += weight
            if saved[number] < heaviest:
                continue
            saved[number] -= heaviest
            place, skip = at[number], skips[number]
            while places[place] >= 0:
                place = (place + skip) % size
            places[place] = number
            at[number] = place
            left -= 1
            if not left:
                break
    return places
