"""How many signatures at a time: a bounded queue in which those who come first go first.

Belongs here: waiting for one's turn. Never here: what is done then.

With a rate, one turn comes every 1/rate seconds (`CSRMaxPerSecond`); without one, some may go at a time
(`CSRMaxConcurrent`); with neither, all. Unlike Consul, which fails a request after half a second, everybody
who finds room in the queue is answered.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from cluster.errors import LockgateError

QUEUE_LIMIT = 20_000  # with the default rate of 50/s nearly seven minutes


class SigningQueueFull(LockgateError):
    """Too many wait already; come back later."""


class Admission:
    """The queue. The limits are told with each call, because they may change while some wait."""

    def __init__(self, *, queue_limit: int = QUEUE_LIMIT) -> None:
        self._queue_limit = queue_limit
        self._waiting = 0
        self._turn = trio.Lock()  # first come, first served
        self._places = trio.CapacityLimiter(1)  # likewise
        self._free_at = float("-inf")

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._waiting

    @asynccontextmanager
    async def turn(self, *, per_second: float, concurrent: int) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside; 0 is no limit. Raises SigningQueueFull."""
        if per_second > 0:
            with self._queued():
                await self._tick(1 / per_second)
            yield
        elif concurrent > 0:
            place = object()
            self._places.total_tokens = concurrent
            with self._queued():
                await self._places.acquire_on_behalf_of(place)
            try:
                yield
            finally:
                self._places.release_on_behalf_of(place)
        else:
            await trio.lowlevel.checkpoint()
            yield

    @contextmanager
    def _queued(self) -> Iterator[None]:
        if self._waiting >= self._queue_limit:
            raise SigningQueueFull(f"{self._waiting} requests wait for a signature already")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _tick(self, interval_seconds: float) -> None:
        """Wait for the next tick. Who is cancelled while waiting uses none up."""
        async with self._turn:
            await trio.sleep_until(self._free_at)
            now = trio.current_time()
            # count from the tick that was due, or waking late would lower the rate, but save up no idle time
            due = self._free_at if now - self._free_at < interval_seconds else now
            self._free_at = due + interval_seconds
