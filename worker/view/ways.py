"""Where a target can be dialled without looking anything up.

Belongs here: the first endpoint and its packed address, and keeping what did not change. Never here: names to
resolve, or a second attempt.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.pick import FirstPick
from cluster.routes import Endpoint
from cluster.shards import Sharded
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
        self._sets: tuple[EndpointSet, ...] | None = None
        self._parts: dict[int, tuple[EndpointSet, ...]] = {}
        self._kept: dict[str, tuple[tuple[Endpoint, ...], Ways]] = {}
        self._ways: dict[str, Ways] = {}

    def of(self, sets: tuple[EndpointSet, ...]) -> Mapping[str, Ways]:
        """By the sets' names; the very same mapping for the very same sets."""
        if sets is not self._sets:
            parts = dict(sets.parts) if isinstance(sets, Sharded) else {0: sets}
            kept: dict[str, tuple[tuple[Endpoint, ...], Ways]] = {}
            for number, part in parts.items():
                is_same = self._parts.get(number) is part
                kept |= {
                    one.name: self._kept[one.name] if is_same else self._made(one) for one in part
                }
            self._sets, self._parts, self._kept = sets, parts, kept
            self._ways = {name: ways for name, (_, ways) in kept.items()}
        return self._ways

    def _made(self, one: EndpointSet) -> tuple[tuple[Endpoint, ...], Ways]:
        known = self._kept.get(one.name)
        if known is not None and known[0] == one.endpoints:
            return known
        return one.endpoints, Ways(one.endpoints)
