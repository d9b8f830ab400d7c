"""The calling end: a DEALER that connects, and connects again, by itself."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import zmq

from . import curve as keys
from .curve import CurveClient
from .endpoint import connect as connect_socket
from .endpoint import redial as redial_socket
from .limits import BusLimits
from .link import Link
from .pump import Inbox, Pump
from .sockets import open_context, pumping, set_options

_SERVER = b""  # a DEALER has one peer, which needs no address


class ClientBus:
    """What `connect` yields: read it with `async for`, write with `send`.

    `dropped_malformed` counts messages that were not exactly one frame; `link` tells whether somebody
    is there.
    """

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str, limits: BusLimits) -> None:
        self.dropped_malformed = 0
        redial = partial(redial_socket, socket, endpoint)
        self.link = Link(socket, redial, limits.reconnect_max_seconds)
        self._pump = Pump(socket, limits, self._accept)

    async def send(self, body: bytes) -> None:
        """Send one message; waits while the queues are full, and then while no server is there.

        Raises MessageTooLarge, and trio.ClosedResourceError after the end of `connect`.
        """
        await self._pump.send(_SERVER, body)

    async def receive(self) -> bytes:
        """The next message. Raises trio.ClosedResourceError after the end of `connect`."""
        return await self._pump.inbox.receive()

    async def wait_connected(self, after: int = 0) -> int:
        """Wait until the server has let us in more than `after` times; returns how many times.

        A loop that passes the last answer as `after` introduces itself anew on each connection.
        """
        return await self.link.wait_connected(after)

    def __aiter__(self) -> Inbox[bytes]:
        return self._pump.inbox

    def _accept(self, frames: Sequence[zmq.Frame]) -> bytes | None:
        if len(frames) != 1:
            self.dropped_malformed += 1
            return None
        return frames[0].bytes


@asynccontextmanager
async def connect(
    endpoint: str,
    *,
    curve: CurveClient | None = None,
    identity: bytes | None = None,
    limits: BusLimits | None = None,
) -> AsyncIterator[ClientBus]:
    """Connect until the body ends; the server may come later, go, and come back.

    `identity` is a routing id of the caller's choice, for endpoints without CURVE only: with CURVE the
    key tells who it is, and a chosen id would lock a reconnecting client out while the server has not
    noticed that its last connection is dead. Raises EndpointError, and ConfigError for a bad key.
    """
    if curve is not None and identity is not None:
        raise ValueError("with CURVE the key is the identity: leave the routing id to the server")
    limits = limits or BusLimits()
    async with open_context(limits) as context:
        socket = context.socket(zmq.DEALER)
        set_options(socket, endpoint, limits)
        if identity is not None:
            socket.routing_id = identity
        if curve is not None:
            keys.be_client(socket, curve)
        bus = ClientBus(socket, endpoint, limits)
        connect_socket(socket, endpoint)
        async with pumping(bus._pump, limits, bus.link.watch):
            yield bus
