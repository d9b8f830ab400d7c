"""Where a target can be dialled without looking anything up.

Belongs here: the first endpoint and its packed address, and keeping what did not change. Never here: names to
resolve, or a second attempt.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.pick import FirstPick
from cluster.routes import Endpoint
from cluster.snapshot import EndpointSet
from worker.net.sockets import packed_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A healthy endpoint.

    `up_to` is the sum of the weights so far, its own included; `packed` None is one that has a name.
    """

    endpoint: Endpoint
    up_to: float
    packed: bytes | None


class Ways:
    """The endpoints of one set, prepared when a view is compiled."""

    __slots__ = ("_first", "_packed", "shares")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._first = FirstPick(endpoints)
        self._packed = {
            endpoint: packed
            for endpoint in endpoints
            if (packed := packed_address(endpoint.address, endpoint.port))
        }
        #: The healthy endpoints, for an engine that draws by itself.
        self.shares = tuple(
            Share(endpoint=endpoint, up_to=up_to, packed=self._packed.get(endpoint))
            for endpoint, up_to in self._first.shares
        )

    def draw(self, chance: random.Random) -> Endpoint | None:
        """The endpoint to try first, by weight; None if none is healthy."""
        return self._first.draw(chance)

    def first(self, chance: random.Random) -> tuple[Endpoint, bytes] | None:
        """The endpoint to try first and its `sockaddr`; None if it has a name, or if none is healthy."""
        endpoint = self._first.draw(chance)
        if endpoint is None:
            return None
        packed = self._packed.get(endpoint)
        return None if packed is None else (endpoint, packed)


class KeptWays:
    """The ways of every endpoint set. A set that did not change since the view before keeps its own."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Endpoint, ...], Ways]] = {}

    def of(self, sets: Iterable[EndpointSet]) -> dict[str, Ways]:
        """By the sets' names."""
        self._kept = {one.name: (one.endpoints, self._ways(one)) for one in sets}
        return {name: ways for name, (_, ways) in self._kept.items()}

    def _ways(self, one: EndpointSet) -> Ways:
        endpoints, ways = self._kept.get(one.name, (None, None))
        return ways if ways is not None and endpoints == one.endpoints else Ways(one.endpoints)
