"""Random conversations, carried by both engines: the same bytes arrive, and the same ending is told.

A script is played step by step, each step only when the one before has got through, so that its outcome
does not hang on timing.
"""

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.relay_wire import open_wire, receive_exactly
from tests.worker.relay.launching import NO_LIMITS, PATIENCE_SECONDS, attended
from worker.relay.engine import Flow
from worker.relay.pure import PureEngine

native = pytest.importorskip("worker.relay.native")

SENDS = st.tuples(st.just("send"), st.sampled_from((1, 2, 700, 20_000, 90_000)))
STEPS = st.one_of(SENDS, SENDS, st.just(("end", 0)), st.just(("reset", 0)))
SCRIPTS = st.lists(st.tuples(st.sampled_from(("client", "upstream")), STEPS), max_size=8)


async def play(wire, script):
    """How many bytes each heard from the other, and what it heard last."""
    peers = {"client": wire.client, "upstream": wire.upstream}
    ended, heard = set(), {"client": 0, "upstream": 0}
    for who, (what, size) in script:
        other = "upstream" if who == "client" else "client"
        if who in ended:
            continue
        if what == "send":
            data = bytes([size % 251]) * size
            async with trio.open_nursery() as both:
                both.start_soon(peers[who].send, data)
                assert await receive_exactly(peers[other], size) == data
            heard[other] += size
        elif what == "end":
            await peers[who].half_close()
            assert await peers[other].receive() == b""
            ended.add(who)
        else:
            peers[who].reset()
            if who not in ended and other not in ended:
                with pytest.raises(ConnectionResetError):
                    await peers[other].receive()
            return heard
    for who in {"client", "upstream"} - ended:
        await peers[who].half_close()
    return heard


async def carried_by(engine, pair, script):
    """What was heard and counted, and the end."""
    wire, flow, ends, over = await open_wire(pair), Flow(), [], trio.Event()

    async def run():
        ends.append(await engine.run(wire.client_leg, wire.upstream_leg, flow, NO_LIMITS))
        over.set()

    with trio.fail_after(PATIENCE_SECONDS):
        async with attended(engine), trio.open_nursery() as nursery:
            nursery.start_soon(run)
            heard = await play(wire, script)
            await over.wait()
    wire.close()
    return heard, flow.up_bytes, flow.down_bytes, ends


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["plain-plain", "tls-plain", "plain-tls", "tls-tls"])
def test_both_engines_carry_alike(pair):
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(SCRIPTS)
    def alike(script):
        pure, quick = (
            trio.run(carried_by, make(), pair, script) for make in (PureEngine, native.NativeEngine)
        )
        assert pure == quick
        assert quick[0] == {"upstream": quick[1], "client": quick[2]}

    alike()
