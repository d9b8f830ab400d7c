"""The distributor over a real bus: every message a node may send, and what it gets for it."""

import pytest
import structlog
import trio

from cluster.bus import BusLimits
from cluster.codec import encode
from cluster.errors import LockgateError, Problem
from cluster.messages import (
    WIRE_VERSION,
    Drain,
    Nack,
    NodeStatus,
    Refusal,
    Register,
    Registered,
    Sign,
    Signed,
)
from cluster.sections import SECTIONS
from coordinator.distributor import NotConnected
from coordinator.rollout import Limits, NodeState, node_state


async def test_a_new_node_gets_the_whole_snapshot_and_then_only_changes(world_of, endpoints):
    async with world_of() as world, world.node() as node:
        first = world.publish(1)
        await node.hello()
        offer = await node.accept()
        assert offer.id == first.id
        assert set(offer.sections) == set(SECTIONS)
        assert offer.committed_at == 1000.0
        await world.until(lambda: world.has("n1", 1))
        world.publish(2, endpoints=endpoints("db", 1))
        assert set((await node.accept()).sections) == {"endpoints"}


async def test_a_node_that_has_it_already_is_offered_nothing(world_of):
    async with world_of() as world, world.node() as node:
        published = world.publish(1)
        await node.hello(have=published.id, held=published.encoded.manifest)
        await world.until(lambda: world.distributor.connected == ("n1",))
        await node.hear_nothing()
        assert world.metric("lockgate_nodes", state="current") == 1


async def test_newest_wins_while_an_answer_is_awaited(world_of, endpoints):
    async with world_of() as world, world.node() as node:
        world.publish(1)
        await node.hello()
        offer = await node.hear()
        for generation in range(2, 10):
            world.publish(generation, endpoints=endpoints("db", generation))
        await node.hear_nothing()
        await node.say(Nack(id=offer.id, problems=(Problem(message="no"),)))
        assert (await node.accept()).id.generation == 9
        await node.hear_nothing()
        assert world.metric("lockgate_snapshot_nacks_total") == 1
        assert world.metric("lockgate_snapshot_generation") == 9


async def test_a_refused_snapshot_comes_again_after_the_back_off(world_of):
    limits = Limits(nack_backoff_seconds=0.1)
    async with world_of(limits=limits) as world, world.node() as node:
        world.publish(1)
        await node.hello()
        offer = await node.hear()
        await node.say(Nack(id=offer.id, problems=(Problem(message="no"),)))
        await node.hear_nothing(0.05)
        assert (await node.accept()).id == offer.id


async def test_convergence_is_measured_when_the_last_node_answers(world_of, endpoints):
    async with world_of() as world, world.node("n1") as one, world.node("n2") as two:
        await one.hello()
        await two.hello()
        await world.until(lambda: world.distributor.connected == ("n1", "n2"))
        world.publish(1, ago=0.2)
        await one.accept()
        await one.hear_nothing()
        assert world.metric("lockgate_convergence_seconds_count") == 0
        await two.accept()
        await world.until(lambda: world.metric("lockgate_convergence_seconds_count") == 1)
        assert 0.2 < world.metric("lockgate_convergence_seconds_sum") < 10


async def test_a_reconnected_node_is_offered_the_newest(world_of, endpoints):
    async with world_of() as world:
        world.publish(1)
        async with world.node() as node:
            await node.hello()
            await node.hear()
        second = world.publish(2, endpoints=endpoints("db", 1))
        async with world.node() as node:
            await node.hello()
            assert (await node.accept()).id == second.id


async def test_a_node_that_left_is_gone_as_soon_as_something_is_sent(world_of, endpoints):
    async with world_of() as world:
        async with world.node() as node:
            await node.hello()
            await world.until(lambda: world.distributor.connected)
        generation = 0
        while world.distributor.connected:
            generation += 1
            world.publish(generation, endpoints=endpoints("db", generation))
            await trio.sleep(0.01)
        assert world.metric("lockgate_nodes", state="gone") == 1
        with pytest.raises(NotConnected, match="'n1' is not connected"):
            world.distributor.send("n1", Drain(grace_seconds=1.0))


async def test_a_silent_node_is_gone_and_a_heartbeat_brings_it_back(world_of):
    limits = Limits(silence_seconds=0.1)
    async with world_of(limits=limits) as world, world.node() as node:
        await node.hello()
        await world.until(lambda: world.distributor.connected)
        await world.until(lambda: not world.distributor.connected)
        published = world.publish(1)
        await node.say(NodeStatus(node="n1", engine="pure"))
        assert (await node.accept()).id == published.id


async def test_a_slow_node_does_not_hold_up_the_others(world_of, endpoints):
    """One node never reads; the other gets all of fifty snapshots of a megabyte."""
    async with world_of() as world, world.node("slow") as slow, world.node("fast") as fast:
        await slow.hello()
        await fast.hello()
        await world.until(lambda: len(world.distributor.connected) == 2)
        for generation in range(1, 51):
            for _ in range(100):
                await slow.say(Sign(request=generation, csr_pem=b"x"))
            world.publish(generation, endpoints=endpoints("d" * 1_000_000, generation))
            assert (await fast.accept()).id.generation == generation
            await world.until(lambda wanted=generation: world.has("fast", wanted))
        rollout = world.distributor.rollout
        assert node_state(rollout, rollout.nodes["slow"]) is NodeState.BEHIND


async def test_a_csr_is_signed_for_the_node_that_asks(world_of):
    async def sign(csr_pem, node, renewal):
        return csr_pem + b" signed for " + node.encode()

    async with world_of(sign=sign) as world, world.node() as node:
        await node.hello()
        await node.say(Sign(request=7, csr_pem=b"CSR"))
        assert await node.hear() == Signed(request=7, chain_pem=b"CSR signed for n1")


async def test_a_message_too_large_to_send_is_told_and_costs_nothing_else(world_of):
    chains = {b"long": bytes(BusLimits().max_message_bytes), b"short": b"CHAIN"}

    async def sign(csr_pem, node, renewal):
        return chains[csr_pem]

    async with world_of(sign=sign) as world, world.node("n1") as node, world.node("n2") as other:
        for one in (node, other):
            await one.hello()
        with structlog.testing.capture_logs() as logs:
            await node.say(Sign(request=1, csr_pem=b"long"))
            await world.until(lambda: any(line["event"] == "too large to send" for line in logs))
        (told,) = (line for line in logs if line["event"] == "too large to send")
        assert (told["node"], told["message"]) == ("n1", "Signed")
        assert f"limit of {BusLimits().max_message_bytes}" in told["reason"]
        for one in (node, other):
            await one.say(Sign(request=2, csr_pem=b"short"))
            assert await one.hear() == Signed(request=2, chain_pem=b"CHAIN")


async def test_a_refused_csr_is_answered_with_the_reason(world_of):
    async with world_of() as world, world.node() as node:
        await node.hello()
        await node.say(Sign(request=7, csr_pem=b"CSR"))
        assert await node.hear() == Signed(request=7, error="no CA here")


async def test_definitions_are_registered_in_the_order_they_came(world_of):
    seen = []

    async def register(node, definitions):
        name = definitions[0]["Name"]
        await trio.sleep(0.05 if name == "first" else 0)
        seen.append((node, name))
        if name == "bad":
            raise LockgateError("a full disk")
        return (Problem(message="odd"),) if name == "odd" else ()

    async with world_of(register=register) as world, world.node() as node:
        await node.hello()
        for name in ("first", "odd", "bad"):
            await node.say(Register(definitions=({"Name": name},)))
        answers = [await node.hear() for _ in range(3)]
    assert seen == [("n1", "first"), ("n1", "odd"), ("n1", "bad")]
    assert answers == [
        Registered(),
        Registered(problems=(Problem(message="odd"),)),
        Registered(problems=(Problem(message="a full disk"),)),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (encode((WIRE_VERSION + 1, {"type": "Hello"})), f"wire version {WIRE_VERSION + 1}"),
        (b"\xc1", "not msgpack"),
        (encode((WIRE_VERSION, {"type": "Surprise"})), "not a known message"),
    ],
)
async def test_what_is_not_understood_is_refused_once_a_second(world_of, body, reason):
    async with world_of() as world, world.node() as node:
        for _ in range(20):
            await node.say(body)
        refusal = await node.hear()
        assert isinstance(refusal, Refusal)
        assert reason in refusal.reason
        await node.hear_nothing()
        assert world.distributor.connected == ()


async def test_a_message_that_is_not_for_a_coordinator_is_refused(world_of):
    async with world_of() as world, world.node() as node:
        await node.hello()
        await node.say(Drain(grace_seconds=1.0))
        assert await node.hear() == Refusal(reason="a coordinator does not take Drain")


async def test_nothing_counts_before_hello(world_of):
    async with world_of() as world, world.node() as node:
        await node.say(Sign(request=1, csr_pem=b"CSR"))
        assert await node.hear() == Refusal(reason="say Hello first")
        assert world.asked == []


async def test_a_key_is_good_for_one_name_only(world_of):
    async with world_of() as world, world.node("n1") as node:
        node.name = "n2"
        await node.hello()
        assert await node.hear() == Refusal(reason="this key is node 'n1''s, not 'n2''s")
        assert world.distributor.connected == ()
