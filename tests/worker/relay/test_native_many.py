"""Thousands of flows of the native engine, whose ends and kills cross; nothing is lost, nothing left."""

import random
import socket
from array import array
from collections import Counter
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from cluster.reasons import End
from tests.contracts.relay_wire import receive_exactly
from tests.fakes.rig import eventually
from tests.worker.relay.launching import (
    Launched,
    Upstream,
    attended,
    counted,
    descriptors,
    echo,
)

native = pytest.importorskip("worker.relay.native")
Loop = native.engine.Loop


@pytest.fixture
async def upstream(nursery):
    made = Upstream()
    nursery.start_soon(made.serve, echo)
    yield made
    nursery.cancel_scope.cancel()
    made.close()


def local_pair():
    outer, inner = socket.socketpair()
    for sock in (outer, inner):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)  # or as much as there is
    return outer, inner


async def answers(flow):
    await flow.client.send(b"ping")
    assert await receive_exactly(flow.client, 4) == b"ping"


async def test_killing_some_just_handed_over_loses_none_of_the_others(upstream):
    """Both lists of posted flows go through the same memory: a stop must not cut the one being begun."""
    async with attended(engine := native.NativeEngine()):
        for _ in range(20):
            flows = [Launched(engine, upstream.address, pair=local_pair()) for _ in range(100)]
            for flow in flows[::4]:
                flow.flow.kill(End.DRAINED)
                engine.times()  # which may be read at any time too
            with trio.fail_after(30):
                for flow in flows[1::4]:
                    await answers(flow)
                    flow.client.close()
                    await flow.ended()
                for flow in flows:
                    flow.flow.kill(End.CLOSED_BY_OPERATOR)
                    await flow.ended()
                    flow.client.close()


async def use(flow, chance):
    """Talk for a while, then end in one of the ways a client may, or wait to be killed."""
    try:
        for _ in range(chance.randrange(4)):
            await flow.client.send(bytes(chance.choice((1, 1000, 50_000))))
            await flow.client.receive()
        match chance.randrange(4):
            case 0:
                await flow.client.half_close()
                while await flow.client.receive():
                    pass
            case 1:
                flow.client.reset()
            case 2:
                while True:
                    await flow.client.send(bytes(10_000))
                    await flow.client.receive()
            case _:
                await flow.ended()
    except (OSError, trio.ClosedResourceError):
        pass
    finally:
        flow.client.close()


def some_answered(flows, count):
    return sum(flow.flow.down_bytes > 0 for flow in flows) > count


@pytest.mark.slow
async def test_kills_cross_natural_ends_of_two_thousand(upstream):
    """In random order, while bytes move; every flow is told of once, and nothing stays behind."""
    chance = random.Random(11)
    before, open_before = counted(), descriptors()
    async with attended(engine := native.NativeEngine()):
        flows = [Launched(engine, upstream.address) for _ in range(2000)]
        async with trio.open_nursery() as users:
            for flow in flows:
                users.start_soon(use, flow, chance)
            await eventually(partial(some_answered, flows, 200))
            for number, flow in enumerate(chance.sample(flows, len(flows))):
                flow.flow.kill(End.DRAINED)
                if number % 50 == 0:
                    await trio.lowlevel.checkpoint()
            for flow in flows:
                await flow.ended()
        await wait_all_tasks_blocked()
    ends = Counter(flow.launch.end or flow.flow.killed for flow in flows)
    assert {flow.calls for flow in flows} == {1}
    assert set(ends) == {End.DRAINED, End.FINISHED, End.CLIENT_RESET}, ends
    assert ends[End.DRAINED] > 200
    del flow, flows, engine, users
    await eventually(lambda: counted() == before, lambda: (before, counted()))
    assert not descriptors() - open_before


async def test_a_flow_that_never_blocks_lets_fifty_others_go_first():
    """All bytes and ends are there before the loop starts, so only its turns decide who is done when."""
    loop, over, sockets = Loop({}, (), (), 65536), [], []

    def carry(name, data):
        client, upstream = local_pair(), local_pair()
        sockets.extend((*client, *upstream))
        assert client[0].send(data) == len(data)
        client[0].shutdown(socket.SHUT_WR)
        upstream[0].shutdown(socket.SHUT_WR)
        ours = client[1].fileno(), 0, upstream[1].fileno(), 0
        counters = array("Q", (0, 0, 0))
        loop.relay(*ours, counters, 0, 0, 1024, 0, lambda _: over.append(name), None)
        return counters

    size = 128 * 1024
    counters = carry("fast", bytes(size))
    for number in range(50):
        carry(number, b"ping")
    loop.start()
    with trio.fail_after(30):
        while len(over) < 51:
            await trio.lowlevel.wait_readable(loop.told)
            for ticket in loop.reap():
                ticket.on_over(ticket)
    loop.stop()
    assert counters[0] == size
    assert over[-1] == "fast"
    for sock in sockets:
        sock.close()
