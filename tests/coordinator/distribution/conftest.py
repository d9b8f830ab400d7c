"""A distributor on a real bus with CURVE, and nodes of our own making."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from prometheus_client import CollectorRegistry

from cluster.bus import BusLimits, ClientBus, CurveClient, CurveServer, connect, keygen, serve
from cluster.certs import Root, TrustBundle
from cluster.errors import LockgateError
from cluster.messages import Ack, Hello, Offer, pack, unpack
from cluster.names import ServiceName
from cluster.routes import Endpoint
from cluster.sections import encode_snapshot
from cluster.snapshot import (
    EndpointSet,
    Policy,
    Snapshot,
    SnapshotId,
    Trust,
)
from coordinator.distributor import Distributor
from coordinator.metrics import Metrics
from coordinator.rollout import Limits, Published

HASTY = BusLimits(reconnect_max_seconds=0.1)
TRUST = Trust(
    datacenter="dc1",
    bundle=TrustBundle(trust_domain="1234.consul", roots=(Root(id="r", pem=b"P", active=True),)),
)


@dataclass
class Node:
    """A node's end of the bus: says what it is told to say."""

    name: str
    bus: ClientBus

    async def say(self, message) -> None:
        await self.bus.send(message if isinstance(message, bytes) else pack(message))

    async def hello(self, **more) -> None:
        await self.say(Hello(sender=self.name, incarnation="i", software="test", **more))

    async def hear(self):
        return unpack(await self.bus.receive())

    async def hear_nothing(self, seconds=0.1) -> None:
        with trio.move_on_after(seconds):
            raise AssertionError(f"heard {await self.hear()}")

    async def accept(self) -> Offer:
        offer = await self.hear()
        assert isinstance(offer, Offer), offer
        await self.say(Ack(id=offer.id))
        return offer


@dataclass
class World:
    """A running distributor, and what it was asked for."""

    distributor: Distributor
    endpoint: str
    registry: CollectorRegistry
    server_key: str
    names: dict[str, str]
    asked: list = field(default_factory=list)

    @asynccontextmanager
    async def node(self, name="n1"):
        keys = keygen()
        self.names[keys.public_key] = name
        curve = CurveClient(
            secret_key=keys.secret_key,
            public_key=keys.public_key,
            server_key=self.server_key,
        )
        async with connect(self.endpoint, curve=curve, limits=HASTY) as bus:
            yield Node(name, bus)

    def publish(self, generation, *, ago=0.0, **sections) -> Published:
        now = trio.current_time()
        snapshot = Snapshot(trust=TRUST, **sections)
        encoded = encode_snapshot(snapshot)
        published = Published(
            id=SnapshotId(epoch="e", generation=generation, digest=encoded.digest),
            encoded=encoded,
            committed_at=1000.0,
            committed=now - ago,
        )
        self.distributor.publish(published)
        return published

    async def until(self, condition) -> None:
        """Wait for something that the distributor will have done; `fail_after` bounds it."""
        while not condition():  # noqa: ASYNC110 - the state has no event to wait for
            await trio.sleep(0.005)

    def has(self, node, generation) -> bool:
        have = self.distributor.rollout.nodes[node].have
        return have is not None and have.generation == generation

    def metric(self, name, **labels):
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def endpoints():
    """`endpoints("a", 1)`: an endpoint set, by which one snapshot differs from another."""

    def make(name: str, port: int) -> tuple[EndpointSet, ...]:
        found = (Endpoint(address="10.0.0.1", port=port),)
        return (EndpointSet(name=f"service:{ServiceName(name=name)}", endpoints=found),)

    return make


@pytest.fixture
def policy():
    return Policy


@pytest.fixture
def world_of():
    """`async with world_of(...) as world`: a distributor on loopback, for at most 20 s."""

    @asynccontextmanager
    async def make(sign=None, register=None, limits=None):
        registry, names, server = CollectorRegistry(), {}, keygen()
        asked = []

        async def sign_nothing(csr_pem, node, renewal):
            asked.append((csr_pem, node))
            raise LockgateError("no CA here")

        async def register_all(node, definitions):
            asked.append((node, definitions))
            return ()

        distributor = Distributor(
            sign=sign or sign_nothing,
            register=register or register_all,
            metrics=Metrics(registry, version="0"),
            limits=limits or Limits(),
            tick_seconds=0.02,
        )
        curve = CurveServer(secret_key=server.secret_key, allow=names.get)
        with trio.fail_after(30):
            async with (
                serve("tcp://127.0.0.1:0", curve=curve, limits=HASTY) as bus,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(distributor.run, bus)
                yield World(distributor, bus.endpoint, registry, server.public_key, names, asked)
                nursery.cancel_scope.cancel()

    return make
