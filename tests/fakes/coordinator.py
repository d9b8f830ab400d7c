"""A coordinator for nodes under test: lets one key in, answers registrations, signs, and offers on demand."""

from contextlib import asynccontextmanager, suppress

import trio

from cluster.bus import CurveServer, PeerGone, serve
from cluster.certs import TrustBundle
from cluster.messages import (
    Hello,
    NodeStatus,
    Offer,
    Register,
    Registered,
    Sign,
    Signed,
    pack,
    unpack,
)
from cluster.names import ServiceName
from cluster.routes import GatewayKind, Listener, TerminatingGateway, TerminatingRoute
from cluster.sections import encode_snapshot
from cluster.snapshot import (
    EndpointSet,
    Snapshot,
    SnapshotId,
    Trust,
)


class Coordinator:
    """`heard` is everything that nodes said, in order; `status` the last NodeStatus."""

    def __init__(self, bus, authority, wall_clock):
        self.bus = bus
        self.authority = authority
        self.wall_clock = wall_clock
        self.signs = True
        self.heard = []
        self.peer = None
        self.status = None

    async def run(self):
        async for incoming in self.bus.incoming:
            self.peer = incoming.peer
            message = unpack(incoming.body)
            if isinstance(message, NodeStatus):
                self.status = message
            else:
                self.heard.append(message)
            match message:
                case Register():
                    await self.say(Registered())
                case Sign() if self.signs:
                    chain = self.authority.sign(message.csr_pem, now=self.wall_clock())
                    await self.say(Signed(request=message.request, chain_pem=chain))
                case Sign():
                    await self.say(Signed(request=message.request, error="not today"))

    async def say(self, message):
        with suppress(PeerGone):
            await self.bus.send(self.peer, pack(message))

    async def offer(self, generation, snapshot, *, epoch="e"):
        """Offer to the node that spoke last; returns the id."""
        encoded = encode_snapshot(snapshot)
        id_ = SnapshotId(epoch=epoch, generation=generation, digest=encoded.digest)
        await self.say(
            Offer(id=id_, manifest=encoded.manifest, sections=encoded.sections, committed_at=1.0)
        )
        return id_

    def said(self, kind):
        return [message for message in self.heard if isinstance(message, kind)]

    async def wait_for(self, condition, *, at_most_seconds=60):
        """What `condition` returns as soon as it is true."""
        with trio.fail_after(at_most_seconds):
            while not (found := condition()):  # noqa: ASYNC110  # events of another process
                await trio.sleep(0.01)
        return found

    async def wait_for_hello(self, count=1):
        return await self.wait_for(lambda: self.said(Hello)[count - 1 :])


@asynccontextmanager
async def coordinator(authority, wall_clock, *, endpoint="tcp://127.0.0.1:0", keys, node_key):
    """Serve at `endpoint` while the body runs."""
    curve = CurveServer(secret_key=keys.secret_key, allow={node_key: "node-a"}.get)
    async with serve(endpoint, curve=curve) as bus, trio.open_nursery() as nursery:
        made = Coordinator(bus, authority, wall_clock)
        nursery.start_soon(made.run)
        yield made
        nursery.cancel_scope.cancel()


def snapshot_for(authority, *ports, datacenter="dc1", services=("db",), node="node-a"):
    """A terminating gateway `egress` on these ports of loopback."""
    return Snapshot(
        trust=Trust(
            datacenter=datacenter,
            bundle=TrustBundle(trust_domain="t.consul", roots=(authority.root(),)),
        ),
        listeners=tuple(
            Listener(
                node=node,
                gateway="egress",
                kind=GatewayKind.TERMINATING,
                address="127.0.0.1",
                port=port,
            )
            for port in ports
        ),
        terminating=(
            TerminatingGateway(
                name="egress",
                routes=tuple(
                    TerminatingRoute(
                        service=ServiceName(name=service),
                        datacenter="dc1",
                        server_names=(f"{service}.default.dc1.internal.t.consul",),
                        endpoints="x",
                    )
                    for service in services
                ),
            ),
        ),
        endpoints=(EndpointSet(name="x", endpoints=()),),
    )
