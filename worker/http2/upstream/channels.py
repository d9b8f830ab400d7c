"""The connections to upstreams that speak HTTP/2: who gets room on which, and when there is one more.

As long as there is room on a connection to an endpoint, nobody dials; while one is being dialled, the others
wait for it and share what becomes of it, so a hundred requests to a new endpoint make one connection.

Belongs here: whose connection is whose, and their tasks. Never here: dialling, choosing an endpoint, or
frames (`connection`).
"""

from collections.abc import Awaitable, Callable

import trio

from worker.http.pool import Key, Pools
from worker.http2.upstream.connection import Connection
from worker.http2.upstream.stream import Stream

#: Dials for one more connection, which may lead elsewhere: then the key is another one. Raises
#: `cluster.errors`.
Dial = Callable[[], Awaitable[tuple[Connection, Key]]]


class TooMany(Exception):
    """There may be no further connection to this endpoint."""


class _Dialling:
    """A connection that several wait for."""

    def __init__(self) -> None:
        self.over = trio.Event()
        self.error: Exception | None = None
        self.made: Connection | None = None


class Channels:
    """All connections of HTTP/2 of one worker. `pools` counts them beside those of HTTP/1.1."""

    def __init__(self, clock: Callable[[], float], pools: Pools) -> None:
        self._clock = clock
        self._pools = pools
        self._open: dict[Key, list[Connection]] = {}
        self._dialling: dict[Key, _Dialling] = {}
        self._number = 0
        self._nursery: trio.Nursery | None = None

    async def attend(self) -> None:
        """For ever: the tasks of all connections."""
        async with trio.open_nursery() as self._nursery:
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def room(self, key: Key, made_with: object, dial: Dial, *, afresh: bool) -> Stream:
        """For one request; with `afresh` on no connection that is there now. Raises `TooMany`, and what
        `dial` raises.
        """
        newer_than = self._number if afresh else 0
        while (found := self._found(key, made_with, newer_than)) is None:
            dialling = self._dialling.get(key)
            if dialling is None:
                return (await self._dial(key, dial)).reserve()
            await dialling.over.wait()
            if dialling.error is not None:
                raise dialling.error
            made = dialling.made
            if made is not None and made.made_with is made_with and made.has_room:
                return made.reserve()
        return found.reserve()

    def _found(self, key: Key, made_with: object, newer_than: int) -> Connection | None:
        for one in self._open.get(key, ()):
            if one.number > newer_than and one.made_with is made_with and one.has_room:
                return one
        return None

    async def _dial(self, key: Key, dial: Dial) -> Connection:
        if not self._pools.may_dial(key):
            raise TooMany
        dialling = self._dialling[key] = _Dialling()
        try:
            made, at = await dial()
        except BaseException as error:
            dialling.error = error if isinstance(error, Exception) else None
            raise
        else:
            self._pools.count(at)
            self._start(at, made)
            dialling.made = made
            return made
        finally:
            self._pools.forget(key)
            del self._dialling[key]
            dialling.over.set()

    def _start(self, key: Key, connection: Connection) -> None:
        assert self._nursery is not None, "Channels.attend is not running"
        self._number += 1
        connection.number = self._number
        self._open.setdefault(key, []).append(connection)
        self._nursery.start_soon(self._run, key, connection)

    async def _run(self, key: Key, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self._pools.forget(key)
            left = self._open[key]
            left.remove(connection)
            if not left:
                del self._open[key]

    def sweep(self) -> None:
        """End what was idle for too long, and ask what is silent; now and then."""
        oldest = self._clock() - self._pools.idle_seconds
        for connections in self._open.values():
            for one in connections:
                if one.is_idle and one.idle_since <= oldest:
                    one.stop()
                one.check()

    def close(self) -> None:
        """End all that is idle."""
        for connections in self._open.values():
            for one in connections:
                if one.is_idle:
                    one.stop()

    def leaving(self) -> int:
        """How many connections only finish what they have begun."""
        return sum(one.is_leaving for found in self._open.values() for one in found)

    def busy(self) -> int:
        """How many connections have requests under way."""
        return sum(not one.is_idle for found in self._open.values() for one in found)

    def __len__(self) -> int:
        """How many connections there are."""
        return sum(len(connections) for connections in self._open.values())
