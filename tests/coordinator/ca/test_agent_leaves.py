"""Leaves with keys made here: shared, renewed in time, kept while a renewal fails, bounded."""

import random

import pytest
import trio

from coordinator.ca import agent_leaves
from coordinator.ca.agent_leaves import AgentLeaves
from coordinator.ca.authority import Authority
from coordinator.ca.sign import SigningRefused
from coordinator.store.memory import MemoryStore
from coordinator.store.wanted import Wanted

START = 1_700_000_000.0


@pytest.fixture(autouse=True)
def no_threads(monkeypatch):
    """A clock that jumps when everybody waits would jump while a thread signs."""

    async def inline(work):
        return work()

    monkeypatch.setattr(trio.to_thread, "run_sync", inline)


@pytest.fixture
def now():
    """Wall clock time that passes with trio's."""
    return lambda: START + trio.current_time()


@pytest.fixture
async def wanted():
    return await Wanted.open(MemoryStore())


@pytest.fixture
async def authority(wanted, now):
    config = {"LeafCertTTL": "1h", "CSRMaxPerSecond": 0}
    return await Authority.open(
        wanted, datacenter="dc1", config=config, now=now, chance=random.Random(1)
    )


@pytest.fixture
def leaves(wanted, authority, now):
    return AgentLeaves(wanted, authority, now=now, chance=random.Random(2))


@pytest.fixture
def uri(authority):
    return lambda name: f"spiffe://{authority.trust_domain}/ns/default/dc/dc1/svc/{name}"


async def test_it_is_renewed_between_60_and_90_percent_of_its_life(leaves, uri, autojump_clock):
    first = await leaves.get(uri("web"))
    second = await leaves.after(uri("web"), first.index, timeout_seconds=7200)
    assert 0.6 * 3600 - 60 <= trio.current_time() <= 0.9 * 3600
    assert (second.index > first.index, second.key_pem != first.key_pem) == (True, True)


async def test_waiting_ends_with_its_time(leaves, uri, autojump_clock):
    first = await leaves.get(uri("web"))
    assert await leaves.after(uri("web"), first.index, timeout_seconds=60) == first
    assert trio.current_time() == 60


async def test_a_rotation_renews_it_within_30_seconds(leaves, uri, authority, autojump_clock):
    first = await leaves.get(uri("web"))
    await authority.rotate()
    second = await leaves.after(uri("web"), first.index, timeout_seconds=600)
    assert trio.current_time() <= 30
    assert second.root == authority.roots()["ActiveRootID"] != first.root


async def test_the_old_leaf_stays_while_a_renewal_fails(
    leaves, uri, authority, monkeypatch, autojump_clock
):
    first = await leaves.get(uri("web"))

    async def refuse(csr_pem, *, newcomer=True):
        raise SigningRefused("not today")

    monkeypatch.setattr(authority, "sign", refuse)
    await trio.sleep(0.95 * 3600)
    assert (await leaves.get(uri("web"))).key_pem == first.key_pem
    with pytest.raises(SigningRefused):
        await leaves.get(uri("api"))
    await trio.sleep(3600)
    with pytest.raises(SigningRefused):
        await leaves.get(uri("web"))


async def test_a_crowd_gets_one_leaf(leaves, uri):
    found = []

    async def ask():
        found.append(await leaves.get(uri("web")))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    assert len({leaf.key_pem for leaf in found}) == 1


async def test_the_least_lately_asked_for_is_dropped(leaves, uri, monkeypatch):
    monkeypatch.setattr(agent_leaves, "MOST_SERVICES", 2)
    first = {name: await leaves.get(uri(name)) for name in ("a", "b")}
    assert await leaves.get(uri("a")) == first["a"]
    await leaves.get(uri("c"))
    assert await leaves.get(uri("a")) == first["a"]
    assert await leaves.get(uri("b")) != first["b"]
