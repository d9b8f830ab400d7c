"""The serving end: a ROUTER that knows its peers by the names that ZAP gave them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import msgspec
import zmq

from cluster.errors import LockgateError

from . import curve as keys
from .curve import CurveServer
from .endpoint import bind
from .limits import BusLimits
from .pump import Inbox, Pump
from .sockets import open_context, pumping, set_options

_FRAMES = 2  # routing id, body


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of a client.

    `identity` is the name that the key list gives its key, '' without CURVE. `routing_id` says where
    to send and proves nothing; a client that reconnects has another one.
    """

    identity: str
    routing_id: bytes
    public_key: str = ""

    def __str__(self) -> str:
        return self.identity or f"peer {self.routing_id.hex()}"


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A message and who sent it."""

    peer: Peer
    body: bytes


class PeerGone(LockgateError):
    """A message cannot be sent: the peer has disconnected, or its key is no longer allowed."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(f"{peer} is gone")
        self.peer = peer


class ServerBus:
    """What `serve` yields: read `incoming` with `async for`, answer with `send`.

    Counted for metrics: `dropped_malformed` (not exactly one body frame), `dropped_revoked` (the key
    was taken off the list after its handshake).
    """

    def __init__(
        self, socket: zmq.Socket[bytes], limits: BusLimits, curve: CurveServer | None
    ) -> None:
        self.endpoint = ""
        self.dropped_malformed = 0
        self.dropped_revoked = 0
        self._curve = curve
        self._pump = Pump(socket, limits, self._accept)

    @property
    def incoming(self) -> Inbox[Incoming]:
        return self._pump.inbox

    async def send(self, peer: Peer, body: bytes) -> None:
        """Send one message; waits while this peer's queue is full (no other peer is held up).

        Raises PeerGone, MessageTooLarge, and trio.ClosedResourceError after the end of `serve`.
        """
        if not self._is_allowed(peer) or not await self._pump.send(peer.routing_id, body):
            raise PeerGone(peer)

    def _accept(self, frames: Sequence[zmq.Frame]) -> Incoming | None:
        if len(frames) != _FRAMES:
            self.dropped_malformed += 1
            return None
        peer = self._peer(frames)
        if not self._is_allowed(peer):
            self.dropped_revoked += 1
            return None
        return Incoming(peer=peer, body=frames[1].bytes)

    def _peer(self, frames: Sequence[zmq.Frame]) -> Peer:
        routing_id, body = frames[0].bytes, frames[1]
        if self._curve is None:  # then nothing vouches for a User-Id that the peer may have sent
            return Peer(identity="", routing_id=routing_id)
        return Peer(
            identity=str(body.get(keys.USER_ID)),
            routing_id=routing_id,
            public_key=str(body.get(keys.PUBLIC_KEY)),
        )

    def _is_allowed(self, peer: Peer) -> bool:
        return self._curve is None or self._curve.allow(peer.public_key) == peer.identity


@asynccontextmanager
async def serve(
    endpoint: str, *, curve: CurveServer | None = None, limits: BusLimits | None = None
) -> AsyncIterator[ServerBus]:
    """Bind and serve until the body ends. Port 0 takes a free port, which `bus.endpoint` tells.

    An `ipc://` path lies in a folder of mode 0700 that the caller has made: without CURVE the folder
    is the only thing that keeps others out. Raises EndpointError, and ConfigError for a bad key.
    """
    limits = limits or BusLimits()
    async with open_context(limits) as context, AsyncExitStack() as stack:
        handshakes = []
        if curve is not None:  # before bind: who comes first must find the door kept
            zap = context.socket(zmq.REP)
            zap.bind(keys.ZAP_ENDPOINT)
            handshakes.append(partial(keys.answer_handshakes, zap, curve))
        socket = context.socket(zmq.ROUTER)
        set_options(socket, endpoint, limits)
        socket.router_mandatory = True
        # A second client of the same routing id replaces the first, which may be a connection that
        # died unnoticed. Not with CURVE: one node could then take over another one's stream.
        socket.router_handover = curve is None
        if curve is not None:
            keys.be_server(socket, curve)
        bus = ServerBus(socket, limits, curve)
        bus.endpoint = bind(socket, endpoint)
        await stack.enter_async_context(pumping(bus._pump, limits, *handshakes))
        yield bus
