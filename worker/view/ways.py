"""Where a target can be dialled without looking anything up.

Belongs here: the first endpoint and its packed address. Never here: names to resolve, or a second attempt.
"""

import random
from collections.abc import Sequence

from cluster.pick import FirstPick
from cluster.routes import Endpoint
from worker.net.sockets import packed_address


class Ways:
    """The endpoints of one set, prepared when a view is compiled."""

    __slots__ = ("_first", "_packed")

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._first = FirstPick(endpoints)
        self._packed = {
            endpoint: packed
            for endpoint in endpoints
            if (packed := packed_address(endpoint.address, endpoint.port))
        }

    def first(self, chance: random.Random) -> tuple[Endpoint, bytes] | None:
        """The endpoint to try first and its `sockaddr`; None if it has a name, or if none is healthy."""
        endpoint = self._first.draw(chance)
        if endpoint is None:
            return None
        packed = self._packed.get(endpoint)
        return None if packed is None else (endpoint, packed)
