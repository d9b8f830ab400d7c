"""Coordinators come, go, fall silent and speak strangely; the node finds one that answers."""

import json
from contextlib import asynccontextmanager

import msgpack
import msgspec
import pytest
import trio

from cluster.bus import CurveServer, serve
from cluster.intentions import Intention
from cluster.messages import (
    WIRE_VERSION,
    Ack,
    Answer,
    Close,
    Drain,
    Hello,
    Nack,
    Offer,
    Query,
    Refusal,
    Register,
    Sign,
)
from cluster.names import ServiceName
from cluster.sections import SECTIONS
from cluster.snapshot import Policy
from tests.fakes.coordinator import snapshot_for
from tests.fakes.site import free_port, who_serves
from worker.node.processes import identify

pytestmark = pytest.mark.slow

DENY = Intention(source=ServiceName(name="web"), destination=ServiceName(name="db"))


async def test_a_restarted_coordinator_knows_the_node_at_once(site, port):
    site.start_node(service=[{"name": "egress", "kind": "terminating-gateway", "port": port}])
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()
        await coordinator.wait_for(lambda: coordinator.said(Register))
        (register,) = coordinator.said(Register)
        assert register.definitions[0]["name"] == "egress"
        id_ = await coordinator.offer(1, snapshot_for(site.authority, port))
        await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)
    async with site.coordinator() as coordinator:
        await coordinator.wait_for(lambda: coordinator.said(Hello))
        hello = coordinator.said(Hello)[0]
        assert hello.have == id_
        assert hello.held.keys() == set(SECTIONS)
        await coordinator.wait_for(lambda: coordinator.status)
        assert coordinator.status.have == id_


async def test_a_dead_coordinator_is_left_for_the_next(site, port):
    dead = free_port()
    site.start_node(coordinators=[f"127.0.0.1:{dead}", f"127.0.0.1:{site.bus_port}"])
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()


@asynccontextmanager
async def mute_coordinator(site):
    """Lets the node in, and says nothing."""
    curve = CurveServer(
        secret_key=site.coordinator_keys.secret_key,
        allow={site.node_keys.public_key: "node-a"}.get,
    )
    async with serve("tcp://127.0.0.1:0", curve=curve) as bus:
        yield bus


async def test_a_node_whose_key_is_refused_says_what_would_let_it_in(site):
    curve = CurveServer(secret_key=site.coordinator_keys.secret_key, allow=lambda _: None)
    async with serve("tcp://127.0.0.1:0", curve=curve) as bus:
        site.start_node(coordinators=[bus.endpoint.removeprefix("tcp://")])
        with trio.fail_after(60):
            while "coordinator silent" not in site.log():  # noqa: ASYNC110 - another process's
                await trio.sleep(0.1)
    assert "it refuses our key" in site.log()
    assert f"lockgate nodes allow node-a '{site.node_keys.public_key}'" in site.log()


async def test_a_mute_coordinator_is_left_for_the_next(site):
    async with mute_coordinator(site) as mute, site.coordinator() as coordinator:
        site.start_node(
            coordinators=[mute.endpoint.removeprefix("tcp://"), f"127.0.0.1:{site.bus_port}"]
        )
        with trio.fail_after(30):
            await mute.incoming.receive()
        await coordinator.wait_for(lambda: coordinator.said(Hello), at_most_seconds=40)


async def test_another_wire_version_is_refused_once_and_serving_goes_on(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()
        for _ in range(3):
            await coordinator.bus.send(
                coordinator.peer, msgpack.packb([WIRE_VERSION + 1, {"type": "Offer"}])
            )
        await coordinator.wait_for(lambda: coordinator.said(Refusal))
        id_ = await coordinator.offer(1, snapshot_for(site.authority, port))
        await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)
        (refusal,) = coordinator.said(Refusal)
        assert f"version {WIRE_VERSION + 1}" in refusal.reason
    assert site.log().count("the coordinator sent something unknown") == 1


async def test_snapshots_that_come_too_fast_are_refused_but_for_denials(site, port):
    """As from a coordinator that has gone mad. What it serves the node keeps, and says so."""
    site.start_node(max_changes_per_second=1)
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()
        first = await coordinator.offer(1, snapshot_for(site.authority, port))
        await coordinator.wait_for(lambda: Ack(id=first) in coordinator.heard)
        generation = 1
        while not coordinator.said(Nack):
            generation += 1
            wanted = snapshot_for(site.authority, port, services=(f"db-{generation}",))
            await coordinator.offer(generation, wanted)
            await trio.sleep(0.1)
        (nack, *_) = coordinator.said(Nack)
        (problem,) = nack.problems
        assert nack.unread
        assert "11 different snapshots came within 10 s, and 1 a second are the limit" in str(
            problem
        )
        await coordinator.wait_for(lambda: problem.path in str(coordinator.status.problems))
        assert coordinator.status.have in [ack.id for ack in coordinator.said(Ack)]

        denying = msgspec.structs.replace(wanted, policy=Policy(intentions=(DENY,)))
        id_ = await coordinator.offer(generation + 1, denying)
        await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)
        await coordinator.wait_for(lambda: not coordinator.status.problems)
        assert coordinator.status.have == id_


async def test_a_refusal_is_answered_with_hello(site):
    site.start_node()
    async with site.coordinator() as coordinator:
        await coordinator.wait_for(lambda: coordinator.status)
        await trio.sleep(1.1)  # not a Hello for each refusal
        await coordinator.say(Refusal(reason="who are you?"))
        await coordinator.wait_for_hello(2)


async def test_broken_and_stale_offers_are_refused(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()
        id_ = await coordinator.offer(5, snapshot_for(site.authority, port))
        await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)
        await coordinator.say(Offer(id=id_, manifest={}, sections={}))
        await coordinator.wait_for(lambda: coordinator.said(Ack)[1:])  # served already
        old = await coordinator.offer(4, snapshot_for(site.authority, port, services=("x",)))
        await coordinator.wait_for(lambda: coordinator.said(Nack))
        newer = type(id_)(epoch="e", generation=6, digest="nonsense")
        await coordinator.say(Offer(id=newer, manifest={}, sections={}))
        await coordinator.wait_for(lambda: coordinator.said(Nack)[1:])
        stale, broken = coordinator.said(Nack)
        assert (stale.id, broken.id) == (old, newer)
        assert (stale.unread, broken.unread) == (True, False)
        assert "not newer" in str(stale.problems[0])
        assert "digest" in str(broken.problems[0])


async def test_the_newest_offer_wins(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()
        for generation in range(1, 6):
            services = (f"s{generation}",)
            id_ = await coordinator.offer(
                generation, snapshot_for(site.authority, port, services=services)
            )
        await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)
        await coordinator.wait_for(lambda: coordinator.status.have == id_)
        assert not coordinator.said(Nack)


async def test_a_certificate_that_is_refused_is_asked_for_again(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        coordinator.signs = False
        await coordinator.wait_for_hello()
        id_ = await coordinator.offer(1, snapshot_for(site.authority, port))
        await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)
        await coordinator.wait_for(lambda: coordinator.said(Sign)[1:])
        assert not any(sign.renewal for sign in coordinator.said(Sign))
        coordinator.signs = True
        await coordinator.wait_for(
            lambda: [worker.connections for worker in coordinator.status.workers] == [1, 1]
        )
    assert "PRIVATE" not in json.dumps([str(message) for message in coordinator.heard])


async def test_queries_are_answered_from_all_workers_and_closes_forwarded(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()
        id_ = await coordinator.offer(1, snapshot_for(site.authority, port))
        await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)
        await coordinator.say(Query(request=9, what="connections", limit=4))
        await coordinator.wait_for(lambda: coordinator.said(Answer))
        (answer,) = coordinator.said(Answer)
        assert [item["worker"] for item in answer.items] == [0, 0, 0, 1]
        await coordinator.say(Query(request=10, what="connections", limit=4, cursor=answer.cursor))
        await coordinator.wait_for(lambda: coordinator.said(Answer)[1:])
        last = coordinator.said(Answer)[1]
        assert ([item["n"] for item in last.items], last.cursor) == ([1, 2], "")
        await coordinator.say(Close(connections=("node-a/0/1",)))
        assert await who_serves(port) == {0, 1}


async def test_a_drained_node_stays_connected(site, port):
    node = site.start_node()
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()
        id_ = await coordinator.offer(1, snapshot_for(site.authority, port))
        await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)
        pids = tuple(site.workers().values())
        await coordinator.say(Drain(grace_seconds=0.2))
        await coordinator.wait_for(
            lambda: coordinator.status.draining and not coordinator.status.workers
        )
        assert not any(identify(pid) for pid in pids)
        coordinator.status = None
        await coordinator.wait_for(lambda: coordinator.status)
        assert node.poll() is None
        node.terminate()
        with trio.fail_after(30):
            assert await trio.to_thread.run_sync(node.wait) == 0
