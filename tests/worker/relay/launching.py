"""A flow that the native engine dials itself: the two ends that a test drives, and how it went.

Also `counted`, which sees what a flow leaves behind.
"""

import gc
import socket
from collections import Counter
from contextlib import asynccontextmanager

import trio

from tests.contracts.relay_wire import PlainPeer, tcp_pair
from tests.harness.descriptors import open_descriptors
from worker.net.sockets import packed_address
from worker.relay.engine import Flow, RelayLimits

NO_LIMITS = RelayLimits()
PATIENCE_SECONDS = 30


class Launched:
    """`client` is what the test holds; `flow`, `launch` (once it is over) and `calls` are the engine's."""

    def __init__(
        self,
        engine,
        address,
        *,
        dial_seconds=30.0,
        limits=NO_LIMITS,
        pair=None,
        client_ssl=0,
        keep=None,
    ):
        outer, inner = pair or tcp_pair()
        self.client = PlainPeer(outer)
        self.descriptor = inner.detach()
        self.flow = Flow()
        self.launch = None
        self.calls = 0
        self._over = trio.Event()
        engine.launch(
            self.descriptor,
            client_ssl,
            address,
            dial_seconds=dial_seconds,
            elapsed_seconds=0.0,
            flow=self.flow,
            limits=limits,
            on_over=self._is_over,
            keep=keep,
        )
        getattr(engine, "flush", lambda: None)()  # an engine that begins launches in batches

    def _is_over(self, launch):
        self.flow.detach()
        self.calls += 1
        self.launch = launch
        self._over.set()

    @property
    def is_over(self):
        return self._over.is_set()

    async def ended(self):
        with trio.fail_after(PATIENCE_SECONDS):
            await self._over.wait()
        return self.launch.end or self.flow.killed


class Upstream:
    """A listener of the test's."""

    def __init__(self, backlog=4096):
        self._sock = trio.socket.from_stdlib_socket(
            socket.create_server(("127.0.0.1", 0), backlog=backlog)
        )
        self._peers = []
        self.address = packed_address("127.0.0.1", self._sock.getsockname()[1])

    async def accept(self):
        with trio.fail_after(PATIENCE_SECONDS):
            sock, _ = await self._sock.accept()
        self._peers.append(PlainPeer(socket.socket(fileno=sock.detach())))
        return self._peers[-1]

    async def serve(self, handle):
        """`await handle(peer)` for each that calls; resets are the peer's affair."""

        async def one(peer):
            try:
                await handle(peer)
            except OSError:
                pass
            finally:
                peer.close()

        async with trio.open_nursery() as peers:
            while True:
                peers.start_soon(one, await self.accept())

    def close(self):
        """And all that it accepted."""
        for peer in self._peers:
            peer.close()
        self._sock.close()


async def echo(peer):
    """Until its end, which is answered."""
    while data := await peer.receive():
        await peer.send(data)


@asynccontextmanager
async def attended(engine):
    """The engine runs for as long as the block does."""
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.attend)
        yield
        nursery.cancel_scope.cancel()


def descriptors():
    """Those that are open, without those that nobody can reach."""
    gc.collect()
    return open_descriptors()


def counted():
    """How many objects of flows there are."""
    gc.collect()
    kinds = Counter(type(one).__name__ for one in gc.get_objects())
    return {kind: kinds[kind] for kind in ("Flow", "Ticket")}
