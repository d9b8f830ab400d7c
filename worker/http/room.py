"""How much is under way to one target of a gateway, and how much may be.

Belongs here: counting requests and those who wait for a connection, and the waiting. Never here: connections
themselves (`pool`), or what a caller is told.

A request that finds the connections used up waits until another one is over; who waits in excess of the bound
is told at once. Limits are of one worker, as Envoy's are of one process; 0 is none but the pool's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from cluster.balance.limits import UpstreamLimits
from cluster.errors import Refused
from cluster.reasons import End
from cluster.routes import Endpoint


class Room:
    """Lives as long as its target does, whatever the limits are meanwhile."""

    __slots__ = ("_active", "_lot", "flows", "requests", "waiting")

    def __init__(self) -> None:
        self.flows = 0
        self.requests = 0
        self.waiting = 0
        self._active: dict[Endpoint, list[int]] = {}  # one number each
        self._lot = trio.lowlevel.ParkingLot()

    def enter(self, limits: UpstreamLimits, endpoint: Endpoint) -> None:
        """One more request. Raises `Refused` (overload); else `leave` is owed."""
        if 0 < limits.requests <= self.requests:
            raise Refused(End.OVERLOAD, f"{self.requests} requests are under way")
        self.requests += 1
        self.under_way(endpoint)[0] += 1

    def under_way(self, endpoint: Endpoint) -> list[int]:
        """The number of an endpoint's requests, to be counted in for as long as it is not 0 (`_plan`)."""
        found = self._active.get(endpoint)
        if found is None:
            found = self._active[endpoint] = [0]
        return found

    def leave(self, endpoint: Endpoint) -> None:
        """A request is over, and its connection is given back or closed."""
        self.requests -= 1
        active = self._active[endpoint]
        active[0] -= 1
        if not active[0]:
            del self._active[endpoint]
        self._lot.unpark()

    def active(self, endpoint: Endpoint) -> int:
        """How many requests an endpoint has under way."""
        found = self._active.get(endpoint)
        return found[0] if found else 0

    @contextmanager
    def flow(self, limits: UpstreamLimits) -> Iterator[None]:
        """While a connection that carries bytes is open. Raises `Refused` (overload)."""
        if 0 < limits.connections <= self.flows:
            raise Refused(End.OVERLOAD, f"{self.flows} connections are open")
        self.flows += 1
        try:
            yield
        finally:
            self.flows -= 1

    @contextmanager
    def pending(self, limits: UpstreamLimits) -> Iterator[None]:
        """While a request has no connection. Raises `Refused` (overload)."""
        if 0 < limits.pending <= self.waiting:
            raise Refused(End.OVERLOAD, f"{self.waiting} requests wait for a connection")
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
            self._lot.unpark()  # who gives up may have been woken instead of another

    async def wait(self) -> None:
        """Until some request is over; there may be room then."""
        await self._lot.park()
