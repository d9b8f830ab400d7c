"""How many connections one address may have to the API over TCP.

Belongs here: counting. Never here: the unix socket, on which only those speak who may. A query that waits
holds its connection for minutes, and each takes memory and a descriptor, also that of somebody without a
token: one address is not to take all that there are.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

#: Consul allows 200; here a host's programs may share one address behind a translation.
MOST_FROM_ONE_ADDRESS = 1_000


class Crowd:
    """The connections that are open, by address."""

    def __init__(self, most: int = MOST_FROM_ONE_ADDRESS) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def joined_from(self, address: str) -> Iterator[bool]:
        """Whether there is room for one more from here; it counts until the block ends."""
        if self._open[address] >= self._most:
            yield False
            return
        self._open[address] += 1
        try:
            yield True
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
