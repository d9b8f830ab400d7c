"""How many signatures at a time: a bounded queue, newcomers first, and otherwise in the order of coming.

Belongs here: waiting for one's turn. Never here: what is done then.

With a rate, one turn comes every 1/rate seconds (`CSRMaxPerSecond`); without one, some may go at a time
(`CSRMaxConcurrent`); with neither, all. Unlike Consul, which fails a request after half a second, everybody
who finds room in the queue is answered. A newcomer has no certificate at all and serves nothing until it
has one; a renewal replaces one that is valid for hours yet, so it lets newcomers pass, and renewals
alone never fill the queue.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from cluster.errors import LockgateError

QUEUE_LIMIT = 20_000  # with the default rate of 50/s nearly seven minutes
NEWCOMERS_SHARE = 0.5  # of the queue, which renewals cannot take


class SigningQueueFull(LockgateError):
    """Too many wait already; come back later."""


class _Gate:
    """Places that are given to those who wait: newcomers first, each kind in its order of coming."""

    def __init__(self, places: int) -> None:
        self._places = self._free = places
        self._newcomers: dict[trio.Event, None] = {}
        self._others: dict[trio.Event, None] = {}

    def resize(self, places: int) -> None:
        """So many places from now on; those that are taken stay taken."""
        self._free += places - self._places
        self._places = places
        self._give()

    async def enter(self, *, newcomer: bool) -> None:
        """Wait for a place. Who is cancelled while waiting takes none."""
        line = self._newcomers if newcomer else self._others
        called = trio.Event()
        line[called] = None
        self._give()
        try:
            await called.wait()
        except trio.Cancelled:
            if called in line:
                del line[called]
            else:  # it was given the place before it could take it
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back."""
        self._free += 1
        self._give()

    def _give(self) -> None:
        while self._free > 0 and (line := self._newcomers or self._others):
            called = next(iter(line))
            del line[called]
            self._free -= 1
            called.set()


class Admission:
    """The queue. The limits are told with each call, because they may change while some wait."""

    def __init__(self, *, queue_limit: int = QUEUE_LIMIT) -> None:
        self._limits = {True: queue_limit, False: int(queue_limit * (1 - NEWCOMERS_SHARE))}
        self._waiting = 0
        self._turn = _Gate(1)
        self._places = _Gate(1)
        self._free_at = float("-inf")

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._waiting

    @asynccontextmanager
    async def turn(
        self, *, per_second: float, concurrent: int, newcomer: bool = True
    ) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside; 0 is no limit. Raises SigningQueueFull."""
        if per_second > 0:
            with self._queued(newcomer):
                await self._tick(1 / per_second, newcomer)
            yield
        elif concurrent > 0:
            self._places.resize(concurrent)
            with self._queued(newcomer):
                await self._places.enter(newcomer=newcomer)
            try:
                yield
            finally:
                self._places.leave()
        else:
            await trio.lowlevel.checkpoint()
            yield

    @contextmanager
    def _queued(self, newcomer: bool) -> Iterator[None]:
        if self._waiting >= self._limits[newcomer]:
            raise SigningQueueFull(f"{self._waiting} requests wait for a signature already")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _tick(self, interval_seconds: float, newcomer: bool) -> None:
        """Wait for the next tick. Who is cancelled while waiting uses none up."""
        await self._turn.enter(newcomer=newcomer)
        try:
            await trio.sleep_until(self._free_at)
            now = trio.current_time()
            # count from the tick that was due, or waking late would lower the rate, but save up no idle time
            due = self._free_at if now - self._free_at < interval_seconds else now
            self._free_at = due + interval_seconds
        finally:
            self._turn.leave()
