"""Thousands of flows of the native engine, whose ends and kills cross; nothing is lost, nothing left."""

import socket

import pytest
import trio

from cluster.reasons import End
from tests.contracts.relay_wire import receive_exactly
from tests.worker.relay.launching import Launched, Upstream, attended, echo

native = pytest.importorskip("worker.relay.native")


@pytest.fixture
async def upstream(nursery):
    made = Upstream()
    nursery.start_soon(made.serve, echo)
    yield made
    nursery.cancel_scope.cancel()
    made.close()


def local_pair():
    outer, inner = socket.socketpair()
    outer.setblocking(False)
    inner.setblocking(False)
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
            with trio.fail_after(10):
                for flow in flows[1::4]:
                    await answers(flow)
                    flow.client.close()
                    await flow.ended()
                for flow in flows:
                    flow.flow.kill(End.CLOSED_BY_OPERATOR)
                    await flow.ended()
                    flow.client.close()
