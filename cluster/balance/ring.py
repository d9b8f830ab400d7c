"""`ring_hash`: endpoints own points on a ring, a key belongs to the next point.

Belongs here: the ring. Never here: what is hashed.

How many points an endpoint has depends on its weight, not on how many endpoints there are, so that one that
leaves or comes moves its own share of the keys and no other. Only where the ring would be too long are the
points of all halved; that moves many keys, once. An endpoint that is left out for a while (ejected, or tried
already) hands its keys to whoever is next on the ring.
Source: Envoy, "Ring hash"; Karger et al., "Consistent hashing and random trees".
"""

import math
import random
from bisect import bisect_left
from collections.abc import Container, Sequence

from cluster.routes import Endpoint

from .drawn import Drawn
from .hashing import hashes
from .picker import NOBODY

#: The ring is no longer, unless more points are asked for, and never longer than the second.
USUAL_POINTS, MOST_POINTS = 32_768, 262_144


class RingHash:
    """A sorted list of points, and whose they are."""

    __slots__ = ("_drawn", "_owners", "_points")

    def __init__(self, endpoints: Sequence[Endpoint], minimum_size: int, maximum_size: int) -> None:
        healthy = [endpoint for endpoint in endpoints if endpoint.healthy]
        each = points_each([one.weight for one in healthy], minimum_size, maximum_size)
        ring = sorted(
            (point, at)
            for at, endpoint in enumerate(healthy)
            for point in hashes(str(endpoint), each[at])
        )
        self._points = [point for point, _ in ring]
        self._owners = [healthy[at] for _, at in ring]
        self._drawn = Drawn(healthy)

    def pick(
        self,
        chance: random.Random,
        *,
        key: int | None = None,
        without: Container[Endpoint] = NOBODY,
    ) -> Endpoint | None:
        """The endpoint of the key; without a key any."""
        if key is None:
            return self._drawn.pick(chance, without=without)
        owners = self._owners
        first = bisect_left(self._points, key)
        for at in range(first, first + len(owners)):
            found = owners[at % len(owners)]
            if found not in without:
                return found
        return None


def points_each(weights: Sequence[int], minimum_size: int, maximum_size: int) -> list[int]:
    """How many points endpoints of these weights have; two of weight 1 make a ring of the minimum size."""
    divisor = math.gcd(*weights)
    if not divisor:
        return []
    shares = [weight // divisor for weight in weights]
    most = max(1, min(maximum_size, max(USUAL_POINTS, min(minimum_size, MOST_POINTS))))
    each = min(math.ceil(minimum_size / 2), most)
    while each > 1 and each * sum(shares) > most:
        each = math.ceil(each / 2)
    return [each * share for share in shares]
