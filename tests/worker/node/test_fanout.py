"""What workers say to their node, over a real bus: understood, or refused by name and nobody the worse."""

import tempfile
from types import SimpleNamespace

import pytest
import trio

from cluster.bus import connect, serve
from cluster.codec import encode
from cluster.messages import WIRE_VERSION, Drain, Hello, Keys, Refusal, WorkerStatus, pack, unpack
from worker.node import fanout
from worker.node.changes import Changes
from worker.node.fanout import Fanout
from worker.node.fleet import Fleet

NEXT_VERSION = WIRE_VERSION + 1


@pytest.fixture
def fleet():
    return Fleet(size=1, changes=Changes(), clock=trio.current_time)


@pytest.fixture
async def endpoint(fleet):
    """Of a node with one worker, which has no snapshot and no leaves to give."""
    ring = SimpleNamespace(version=0, leaves=(), is_complete=True, has_received=True)
    with tempfile.TemporaryDirectory() as folder:
        async with serve(f"ipc://{folder}/w") as bus, trio.open_nursery() as nursery:
            made = Fanout(bus, fleet, ring, lambda: None, print, grace_seconds=0)
            nursery.start_soon(made.run)
            yield bus.endpoint
            nursery.cancel_scope.cancel()


def hello(sender="0"):
    return pack(Hello(sender=sender, incarnation="i", software="test"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (encode((NEXT_VERSION, {"type": "Hello"})), f"version {NEXT_VERSION}"),
        (b"\xc1", "not msgpack"),
        (encode((WIRE_VERSION, {"type": "Surprise"})), "not a known message"),
        (pack(WorkerStatus(index=0, pid=1)), "say Hello first"),
        (hello("node-a"), "'node-a' is not a worker's index"),
    ],
    ids=["another version", "garbage", "unknown", "no hello", "no worker"],
)
async def test_what_is_not_understood_is_refused_once_and_costs_no_worker(
    endpoint, body, reason, monkeypatch
):
    monkeypatch.setattr(fanout, "_REFUSAL_EVERY_SECONDS", 3600.0)
    async with connect(endpoint) as stranger, connect(endpoint) as worker:
        with trio.fail_after(30):
            for _ in range(3):
                await stranger.send(body)
            refusal = unpack(await stranger.receive())
            await worker.send(hello())
            assert isinstance(unpack(await worker.receive()), Keys)
        assert isinstance(refusal, Refusal)
        assert reason in refusal.reason
        with trio.move_on_after(0.1):  # the next one would come after an hour
            pytest.fail(f"told again: {unpack(await stranger.receive())}")


async def test_a_worker_that_comes_when_the_node_leaves_is_told_to_leave_too(endpoint, fleet):
    """It was still starting when all were told, and would otherwise be waited for, and killed."""
    fleet.leaving = True
    async with connect(endpoint) as worker:
        with trio.fail_after(30):
            await worker.send(hello())
            assert isinstance(unpack(await worker.receive()), Drain)
