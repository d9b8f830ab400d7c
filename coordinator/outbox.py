"""What waits to be sent to one node: in order, bounded, and never two offers.

Belongs here: the queue between those who decide and the one task that writes. Never here: sending.
"""

from collections import deque

import trio

from cluster.messages import Message, Offer

LIMIT = 256


class Outbox:
    """A queue that refuses when it is full, so that a slow node costs a bounded amount of memory."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._waiting: deque[Message] = deque()
        self._limit = limit
        self._filled = trio.Event()

    def put(self, message: Message) -> bool:
        """Take `message` along; False if there is no room. A newer offer takes an older one's place."""
        if isinstance(message, Offer):
            self._waiting = deque(old for old in self._waiting if not isinstance(old, Offer))
        elif len(self._waiting) >= self._limit:
            return False
        self._waiting.append(message)
        self._filled.set()
        return True

    async def take(self) -> Message:
        """The oldest message, when there is one. For one task only."""
        while not self._waiting:
            self._filled = trio.Event()
            await self._filled.wait()
        return self._waiting.popleft()
