"""The ring gets leaves, renews them in time, follows roots, and survives refusals and a full disk."""

import random
from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from cluster.certs import TrustBundle
from tests.fakes.authority import Authority
from worker.node.changes import Changes
from worker.node.keys.ring import KeyRing, SignError
from worker.node.keys.store import LeafStore

EPOCH = 1_000_000_000.0
A, B = "spiffe://t/ns/default/dc/dc1/svc/a", "spiffe://t/ns/default/dc/dc1/svc/b"
HOUR = 3600.0


def wall_clock():
    return EPOCH + trio.current_time()


async def at_once(write):
    """A clock that jumps does not wait for threads."""
    write()


class Signer:
    """A coordinator whose mood the test sets."""

    def __init__(self):
        self.authority = Authority(now=EPOCH)
        self.life = HOUR
        self.mood = ""
        self.asked = []

    async def __call__(self, csr_pem, renewal):
        self.asked.append((trio.current_time(), renewal))
        await trio.lowlevel.checkpoint()
        if self.mood:
            raise SignError(self.mood)
        return self.authority.sign(csr_pem, now=wall_clock(), life=self.life)


@pytest.fixture
def signer():
    return Signer()


@pytest.fixture
def changes():
    return Changes()


@pytest.fixture
def ring(tmp_path, signer, changes):
    return new_ring(tmp_path, signer, changes)


def new_ring(tmp_path, signer, changes):
    made = KeyRing(
        LeafStore(tmp_path / "leaves"),
        signer,
        changes,
        chance=random.Random(7),
        wall_clock=wall_clock,
        in_thread=at_once,
    )
    made.load()
    return made


def bundle(*authorities):
    roots = tuple(
        authority.root(active=at == 0, id_=str(at)) for at, authority in enumerate(authorities)
    )
    return TrustBundle(trust_domain="t", roots=roots)


async def until(changes, condition):
    with trio.fail_after(200 * HOUR):
        while not condition():
            await changes.after(changes.version)


def test_knows_what_is_missing(ring, signer, autojump_clock):
    assert not ring.is_complete

    async def look():
        ring.want(frozenset({A}), bundle(signer.authority))
        return ring.missing, ring.is_complete

    assert trio.run(look) == ({A}, False)


async def test_gets_each_wanted_leaf_and_keeps_it(
    ring, signer, changes, tmp_path, nursery, autojump_clock
):
    nursery.start_soon(ring.run)
    ring.want(frozenset({A, B}), bundle(signer.authority))
    await until(changes, lambda: ring.is_complete)
    assert {leaf.uri for leaf in ring.leaves} == {A, B}
    assert {renewal for _, renewal in signer.asked} == {False}
    await wait_all_tasks_blocked()
    again = new_ring(tmp_path, signer, changes)
    assert {leaf.digest for leaf in again.leaves} == {leaf.digest for leaf in ring.leaves}


async def test_renews_between_60_and_90_percent(ring, signer, changes, nursery, autojump_clock):
    nursery.start_soon(ring.run)
    ring.want(frozenset({A}), bundle(signer.authority))
    await until(changes, lambda: len(signer.asked) == 4)
    times = [at for at, _ in signer.asked]
    assert [renewal for _, renewal in signer.asked] == [False, True, True, True]
    for earlier, later in pairwise(times):
        assert 0.6 * HOUR <= later - earlier + 60 <= 0.9 * HOUR + 1


async def test_a_refusal_is_retried_and_the_old_leaf_stays(
    ring, signer, changes, nursery, autojump_clock
):
    nursery.start_soon(ring.run)
    ring.want(frozenset({A}), bundle(signer.authority))
    await until(changes, lambda: ring.is_complete)
    old = ring.leaves
    signer.mood = "rate limited"
    with trio.move_on_after(0.92 * HOUR):
        await trio.sleep_forever()
    assert ring.leaves == old
    assert 2 <= len(signer.asked) <= 0.4 * HOUR
    signer.mood = ""
    await until(changes, lambda: ring.leaves != old)
    assert ring.is_complete


async def test_a_new_root_brings_new_leaves_within_30_seconds(
    ring, signer, changes, nursery, autojump_clock
):
    nursery.start_soon(ring.run)
    old = signer.authority
    ring.want(frozenset({A, B}), bundle(old))
    await until(changes, lambda: ring.is_complete)
    digests = {leaf.digest for leaf in ring.leaves}
    signer.authority = Authority("new", now=EPOCH)
    ring.want(frozenset({A, B}), bundle(signer.authority, old))
    changed_at = trio.current_time()
    await until(changes, lambda: not digests & {leaf.digest for leaf in ring.leaves})
    assert trio.current_time() - changed_at <= 31
    assert len(signer.asked) == 4


async def test_what_is_unlinked_is_dropped_and_no_longer_tended(
    ring, signer, changes, tmp_path, nursery, autojump_clock
):
    nursery.start_soon(ring.run)
    ring.want(frozenset({A, B}), bundle(signer.authority))
    await until(changes, lambda: ring.is_complete)
    ring.want(frozenset({B}), bundle(signer.authority))
    assert {leaf.uri for leaf in ring.leaves} == {A, B}
    await trio.sleep(1)
    await ring.drop_others()
    assert {leaf.uri for leaf in ring.leaves} == {B}
    assert LeafStore(tmp_path / "leaves").load().keys() == {B}
    asked = len(signer.asked)
    await trio.sleep(0.95 * HOUR)
    assert len(signer.asked) == asked + 1


async def test_a_full_disk_does_not_stop_serving(
    ring, signer, changes, nursery, autojump_clock, monkeypatch
):
    def full(leaf):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ring._store, "save", full)
    nursery.start_soon(ring.run)
    ring.want(frozenset({A}), bundle(signer.authority))
    await until(changes, lambda: ring.is_complete)
    await trio.sleep(1)
    assert ring.write_failures == 1


async def test_an_expired_leaf_is_missing(ring, signer, changes, nursery, autojump_clock):
    nursery.start_soon(ring.run)
    ring.want(frozenset({A}), bundle(signer.authority))
    await until(changes, lambda: ring.is_complete)
    signer.mood = "no"
    await trio.sleep(2 * HOUR)
    assert ring.missing == {A}


async def test_other_dns_names_are_another_leaf_and_the_old_one_stays_until_then(
    ring, signer, changes, tmp_path, nursery, autojump_clock
):
    nursery.start_soon(ring.run)
    ring.want(frozenset({A, B}), bundle(signer.authority), dns_names={A: ("a.example",)})
    await until(changes, lambda: ring.is_complete)
    assert {leaf.uri: leaf.dns_names for leaf in ring.leaves} == {A: ("a.example",), B: ()}
    before = {leaf.uri: leaf.digest for leaf in ring.leaves}
    signer.mood = "rate limited"
    names = ("b.example", "a.example")
    ring.want(frozenset({A, B}), bundle(signer.authority), dns_names={A: names})
    await wait_all_tasks_blocked()
    assert {leaf.uri: leaf.digest for leaf in ring.leaves} == before
    assert ring.is_complete
    signer.mood = ""
    await until(changes, lambda: any(len(leaf.dns_names) == 2 for leaf in ring.leaves))
    assert len(signer.asked) == 4
    ring.want(frozenset({A, B}), bundle(signer.authority), dns_names={A: names[::-1]})
    await wait_all_tasks_blocked()
    again = new_ring(tmp_path, signer, changes)
    again.want(frozenset({A, B}), bundle(signer.authority), dns_names={A: names})
    nursery.start_soon(again.run)
    await wait_all_tasks_blocked()
    assert len(signer.asked) == 4


async def test_a_leaf_without_the_names_that_were_asked_for_is_not_taken(
    ring, signer, nursery, autojump_clock, monkeypatch
):
    sign = signer.authority.issue
    monkeypatch.setattr(
        signer.authority, "issue", lambda *a, **k: sign(*a, **{**k, "dns_names": ("x.example",)})
    )
    nursery.start_soon(ring.run)
    ring.want(frozenset({A}), bundle(signer.authority), dns_names={A: ("a.example",)})
    with trio.move_on_after(60):
        await trio.sleep_forever()
    assert ring.leaves == ()
    assert 2 <= len(signer.asked) <= 12
