"""Publishing: what goes out when, on a real store and its history."""

import math
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry

from cluster.certs import Root, TrustBundle
from cluster.errors import Problem, SnapshotRejected
from cluster.sections import MAX_SECTIONS_BYTES, decode_snapshot
from cluster.snapshot import Trust
from coordinator.compose import compose
from coordinator.metrics import Metrics
from coordinator.publisher import Publisher
from coordinator.store.records import Delete, Put, StoreFull
from coordinator.store.sqlite import open_store
from coordinator.store.tables import BUS_KEYS, ENTRIES, SERVICES
from coordinator.store.wanted import Wanted

ROOT = Root(id="r", pem=b"PEM", active=True)
LONG = 5.0


def _service(name, port=80):
    value = {"ID": name, "Service": name, "Port": port, "Connect": {"Native": True}}
    return Put(table=SERVICES, key=f"n1/{name}", value=value | {"Address": "10.0.0.1"})


def _intention(action, destination="db"):
    value = {"Name": destination, "Sources": [{"Name": "web", "Action": action}]}
    return Put(table=ENTRIES, key=f"service-intentions/{destination}", value=value)


def _hostname_gateway():
    value = {"ID": "gw", "Service": "gw", "Kind": "mesh-gateway", "Address": "a.b", "Port": 1}
    return Put(table=SERVICES, key="n1/gw", value=value)


class Desk:
    """A publisher at work; `published` is what it handed on, with the time."""

    def __init__(self, store, wanted, join_seconds, default_allow, max_bytes):
        self.store = store
        self.wanted = wanted
        self.registry = CollectorRegistry()
        self.published = []
        self.composed = 0
        self._arrived = trio.Event()
        bundle = TrustBundle(trust_domain="1234.consul", roots=(ROOT,))
        self.publisher = Publisher(
            wanted=wanted,
            history=store.history,
            compose=partial(self._compose, default_allow),
            trust=lambda: Trust(datacenter="dc1", bundle=bundle),
            publish=self._publish,
            metrics=Metrics(self.registry, version="0"),
            clock=lambda: 1_000_000.0,
            join_seconds=join_seconds,
            max_bytes=max_bytes,
        )

    def _compose(self, default_allow, state, trust):
        try:
            return compose(state, default_allow=default_allow, trust=trust)
        finally:
            self.composed = state.revision

    def _publish(self, event):
        self.published.append((event, trio.current_time()))
        self._arrived.set()

    async def commit(self, *changes):
        return await self.wanted.commit(changes)

    async def arrived(self, count):
        """The event of the count-th publication."""
        while len(self.published) < count:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self.published[count - 1][0]

    async def settled(self):
        """Wait until what is committed has been looked at; nothing more may be published then."""
        seen = self.registry.get_sample_value("lockgate_compose_seconds_count") or 0
        failed = self.registry.get_sample_value("lockgate_compose_failures_total") or 0
        await self.commit(
            Put(table=ENTRIES, key="proxy-defaults/global", value={"n": seen + failed})
        )

        def total():
            get = self.registry.get_sample_value
            return get("lockgate_compose_seconds_count") + get("lockgate_compose_failures_total")

        while total() <= seen + failed:  # noqa: ASYNC110 - a metric has no event to wait for
            await trio.sleep(0.005)

    def count(self):
        return len(self.published)


@pytest.fixture
def desk_of(tmp_path):
    @asynccontextmanager
    async def make(*first, join_seconds=0.05, default_allow=False, max_bytes=MAX_SECTIONS_BYTES):
        with trio.fail_after(30):
            store = await open_store(tmp_path)
            try:
                wanted = await Wanted.open(store)
                if first:
                    await wanted.commit(first)
                desk = Desk(store, wanted, join_seconds, default_allow, max_bytes)
                async with trio.open_nursery() as nursery:
                    await nursery.start(desk.publisher.run)
                    yield desk
                    nursery.cancel_scope.cancel()
            finally:
                await store.aclose()

    return make


async def test_what_is_there_at_the_start_is_published(desk_of):
    async with desk_of(_service("web")) as desk:
        event = await desk.arrived(1)
        assert event.id.generation == 1
        assert event.id.epoch == desk.store.history.epoch
        snapshot = decode_snapshot(event.encoded, event.id.digest)
        assert [route.service.name for route in snapshot.mesh] == ["web"]
        assert desk.publisher.current == event


async def test_a_change_is_published_with_its_revision_after_it_is_in_the_history(desk_of):
    async with desk_of() as desk:
        await desk.arrived(1)
        revision = await desk.commit(_service("web"))
        event = await desk.arrived(2)
        assert event.id.generation == revision
        assert event.committed_at == 1_000_000.0
        stored = await desk.store.history.latest()
        assert (stored.published.generation, stored.published.digest) == (
            revision,
            event.id.digest,
        )


async def test_a_write_that_changes_nothing_of_it_publishes_nothing(desk_of):
    async with desk_of(_service("web")) as desk:
        await desk.arrived(1)
        await desk.commit(Put(table=BUS_KEYS, key="n1", value={"key": "k"}))
        await desk.commit(Put(table=ENTRIES, key="service-defaults/web", value={"Name": "web"}))
        await desk.settled()
        assert desk.count() == 1
        revision = await desk.commit(_service("api"))
        assert (await desk.arrived(2)).id.generation == revision


@pytest.fixture
def still_clock():
    """Time passes by jumps; by itself so slowly that only what never comes is a failure."""
    return trio.testing.MockClock(rate=0.1)


async def test_the_first_goes_out_at_once_and_those_that_follow_are_joined(desk_of, still_clock):
    async with desk_of(join_seconds=LONG) as desk:
        await desk.arrived(1)
        still_clock.jump(LONG)
        began = trio.current_time()
        await desk.commit(_service("a"))
        await desk.arrived(2)
        assert trio.current_time() - began < LONG
        for number in range(10):
            last = await desk.commit(_service(f"b{number}"))
        while desk.composed < last:  # noqa: ASYNC110 - in a thread
            await trio.sleep(0.001)
        assert desk.count() == 2
        still_clock.jump(LONG)
        event = await desk.arrived(3)
        waited = desk.published[2][1] - desk.published[1][1]
        assert waited >= LONG * 0.95
        assert event.id.generation == last
        # Measured from the first of those that were joined.
        assert desk.published[2][1] - event.committed > LONG / 3
        still_clock.jump(LONG)
        await desk.settled()
        assert desk.count() == 3


async def test_a_changed_intention_never_waits(desk_of):
    async with desk_of(_intention("allow"), join_seconds=math.inf) as desk:
        await desk.arrived(1)
        await desk.commit(_service("a"))
        await desk.commit(_intention("deny"))
        event = await desk.arrived(2)
        snapshot = decode_snapshot(event.encoded, event.id.digest)
        assert not snapshot.policy.intentions[0].allows
        assert [route.service.name for route in snapshot.mesh] == ["a"]
        await desk.commit(Delete(table=ENTRIES, key="service-intentions/db"))
        await desk.arrived(3)


async def test_what_is_wrong_is_left_out_and_told_and_the_rest_is_published(desk_of):
    async with desk_of(_service("web")) as desk:
        first = await desk.arrived(1)
        await desk.commit(_hostname_gateway())
        await desk.settled()
        assert desk.publisher.current == first
        (problem,) = desk.publisher.problems
        assert "cannot listen on 'a.b'" in problem.message
        await desk.commit(_service("api"))
        event = await desk.arrived(2)
        snapshot = decode_snapshot(event.encoded, event.id.digest)
        assert [route.service.name for route in snapshot.mesh] == ["api", "web"]
        assert desk.publisher.problems == (problem,)
        await desk.commit(Delete(table=SERVICES, key="n1/gw"))
        await desk.settled()
        assert desk.publisher.problems == ()


@pytest.mark.parametrize(
    "error",
    [SnapshotRejected((Problem(message="it is not whole"),)), ZeroDivisionError("it is not whole")],
)
async def test_a_state_that_no_snapshot_can_be_made_of_keeps_the_old_one(
    desk_of, monkeypatch, error
):
    """A bug in composing too: whoever can still write can take the cause away."""

    def fail(state, trust):
        raise error

    async with desk_of(_service("web")) as desk:
        first = await desk.arrived(1)
        with monkeypatch.context() as broken:
            broken.setattr(desk.publisher, "_compose", fail)
            await desk.commit(_service("api"))
            await desk.settled()
            assert desk.publisher.current == first
            (problem,) = desk.publisher.problems
            assert "it is not whole" in problem.message
        await desk.commit(_service("other"))
        await desk.arrived(2)
        assert desk.publisher.problems == ()


async def test_a_snapshot_too_large_to_send_keeps_the_old_one_and_says_why(desk_of):
    names = [f"service-{number}" for number in range(20)]
    async with desk_of(_service("web"), max_bytes=2000) as desk:
        first = await desk.arrived(1)
        await desk.commit(*map(_service, names))
        await desk.settled()
        assert desk.publisher.current == first
        (problem,) = desk.publisher.problems
        assert "2000 are the limit" in problem.message
        assert (await desk.store.history.latest()).published.digest == first.id.digest
        await desk.commit(*(Delete(table=SERVICES, key=f"n1/{name}") for name in names[1:]))
        event = await desk.arrived(2)
        assert len(decode_snapshot(event.encoded, event.id.digest).mesh) == 2
        assert desk.publisher.problems == ()


async def test_after_a_restart_the_same_content_keeps_its_generation(desk_of):
    async with desk_of(_service("web")) as desk:
        first = await desk.arrived(1)
        await desk.commit(Put(table=ENTRIES, key="service-defaults/web", value={"Name": "web"}))
    async with desk_of() as desk:
        assert (await desk.arrived(1)).id == first.id
        await desk.settled()
        assert desk.count() == 1


async def test_after_a_restart_the_last_one_stands_if_there_is_no_whole_one(desk_of):
    async with desk_of(_service("web")) as desk:
        first = await desk.arrived(1)
        await desk.commit(_hostname_gateway())
        await desk.settled()
    async with desk_of() as desk:
        assert (await desk.arrived(1)).id == first.id
        assert desk.publisher.problems


async def test_after_a_restart_content_of_another_digest_is_not_believed(desk_of):
    async with desk_of(_service("web")) as desk:
        first = await desk.arrived(1)
        history = desk.store.history
        stored = await history.latest()
        await history.save(
            generation=first.id.generation,
            digest="0" * 64,
            epoch=first.id.epoch,
            encoded=stored.encoded,
            at=stored.published.at,
        )
    async with desk_of(max_bytes=1) as desk:  # no new one can be made either
        assert (desk.published, desk.publisher.current) == ([], None)
        assert "1 are the limit" in str(desk.publisher.problems)


async def test_other_content_of_the_same_revision_gets_a_larger_generation(desk_of):
    async with desk_of(_service("web")) as desk:
        first = await desk.arrived(1)
    async with desk_of(default_allow=True) as desk:
        second = await desk.arrived(1)
        assert second.id.generation == first.id.generation + 1
        revision = await desk.commit(_service("api"))
        third = await desk.arrived(2)
        assert third.id.generation > second.id.generation >= revision


async def test_what_cannot_be_kept_is_not_published_until_it_can(desk_of, monkeypatch):
    monkeypatch.setattr("coordinator.publisher.RETRY_SECONDS", 0.05)
    async with desk_of() as desk:
        await desk.arrived(1)
        save = desk.store.history.save
        tries = []

        async def full(**row):
            tries.append(row["generation"])
            raise StoreFull("no space left on device")

        desk.store.history.save = full
        revision = await desk.commit(_service("web"))
        while len(tries) < 2:  # noqa: ASYNC110 - nothing is told of a failed save
            await trio.sleep(0.005)
        assert desk.count() == 1
        assert "no space left" in desk.publisher.problems[0].message
        desk.store.history.save = save
        assert (await desk.arrived(2)).id.generation == revision
        assert desk.publisher.problems == ()
