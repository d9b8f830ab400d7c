"""Who gets room on which connection, and who dials."""

import contextlib
import socket

import pytest
import trio

from cluster.errors import UpstreamFault
from cluster.reasons import End
from tests.fakes.asked import ENDPOINT, KEY
from tests.fakes.rig import eventually
from worker.http.pool import PoolLimits, Pools
from worker.http2.upstream import connection
from worker.http2.upstream.channels import Channels, TooMany
from worker.net.leg import PlainLeg


class Site:
    """Channels by a clock of its own, and what is dialled, when the test lets it."""

    def __init__(self, stack):
        self.now = 0.0
        limits = PoolLimits(connections=2, idle_seconds=60.0)
        self.pools = Pools(lambda: self.now, limits)
        self.channels = Channels(lambda: self.now, self.pools)
        self.stack = stack
        self.dialled = 0
        self.gate = trio.Event()
        self.error = None
        self.at = KEY
        self.made_with = None

    async def dial(self):
        self.dialled += 1
        made_with = self.made_with
        await self.gate.wait()
        if self.error:
            raise self.error
        near, far = socket.socketpair()
        near.setblocking(False)
        self.stack.enter_context(far)
        leg = PlainLeg(near)
        made = connection.Connection(
            leg, ENDPOINT, lambda: self.now, scheme=b"http", made_with=made_with
        )
        return made, self.at

    async def room(self, afresh=False, made_with=None):
        return await self.channels.room(KEY, made_with, self.dial, afresh=afresh)


@pytest.fixture
async def site(nursery):
    with contextlib.ExitStack() as stack:
        made = Site(stack)
        nursery.start_soon(made.channels.attend)
        await trio.testing.wait_all_tasks_blocked()
        yield made


async def test_one_is_dialled_for_all(site):
    found = []

    async def one():
        found.append(await site.room())

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one)
        await trio.testing.wait_all_tasks_blocked()
        site.gate.set()
    assert (len(found), site.dialled, len(site.channels), len(site.pools)) == (50, 1, 1, 1)


async def test_what_becomes_of_a_dial_is_told_to_all(site):
    site.error = UpstreamFault(End.DIAL_REFUSED, "nobody")
    told = []

    async def one():
        with pytest.raises(UpstreamFault):
            await site.room()
        told.append(True)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)
        await trio.testing.wait_all_tasks_blocked()
        site.gate.set()
    assert (len(told), site.dialled, len(site.pools)) == (5, 1, 0)


async def test_who_waits_for_a_dial_that_is_given_up_dials(site):
    found = []

    async def one(scope):
        with scope:
            found.append(await site.room())

    async with trio.open_nursery() as nursery:
        scopes = [trio.CancelScope() for _ in range(3)]
        for scope in scopes:
            nursery.start_soon(one, scope)
            await trio.testing.wait_all_tasks_blocked()
        scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        site.gate.set()
    assert (len(found), site.dialled, len(site.pools)) == (2, 2, 1)


async def test_a_full_connection_has_a_second_beside_it_and_no_third(site, monkeypatch):
    monkeypatch.setattr(connection, "MOST_STREAMS", 2)
    site.gate.set()
    places = [await site.room() for _ in range(4)]
    assert site.dialled == 2
    with pytest.raises(TooMany):
        await site.room()
    places[0].give_back(reusable=True)
    await site.room()
    assert site.dialled == 2


async def test_afresh_is_on_a_newer_connection_or_one_that_is_dialled_now(site):
    site.gate.set()
    await site.room()
    await site.room(afresh=True)
    assert site.dialled == 2
    await site.room()
    assert site.dialled == 2


async def test_a_connection_made_with_another_context_is_not_used(site):
    site.gate.set()
    await site.room()
    await site.room(made_with="new")
    assert site.dialled == 2


async def test_a_dial_that_led_elsewhere_is_kept_there(site):
    site.gate.set()
    site.at = ("127.0.0.1", 81, None)
    await site.room()
    await site.room()  # nobody is at the first place still
    assert site.dialled == 2
    assert site.pools.count_of(site.at) == 2
    assert site.pools.count_of(KEY) == 0


async def test_the_idle_end_and_others_stay(site):
    site.gate.set()
    place = await site.room()
    site.now = 1000.0
    site.channels.sweep()
    assert len(site.channels) == 1
    place.give_back(reusable=True)
    site.now += 59
    site.channels.sweep()
    assert len(site.channels) == 1
    site.now += 2
    site.channels.sweep()
    await eventually(lambda: not len(site.channels))
    assert len(site.pools) == 0


async def test_who_wants_another_context_dials_for_itself(site):
    """What others dial with roots that are replaced meanwhile is not for requests of the new ones."""
    found = []

    async def one():
        found.append(await site.room(made_with="new"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.room)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(one)
        await trio.testing.wait_all_tasks_blocked()
        site.made_with = "new"  # of the next dial
        site.gate.set()
    assert site.dialled == 2
    assert found[0]._carrier.made_with == "new"
