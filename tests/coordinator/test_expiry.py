"""Intentions that end: told on the second, also right after a start, and cleared away a day later."""

import pytest
import trio

from cluster.moments import format_moment
from coordinator.compose.policy import policy
from coordinator.expiry import KEPT_SECONDS, Expiry, expiries
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Put
from coordinator.store.versions import versions
from coordinator.store.wanted import Wanted

KEY = "service-intentions/db"
START = 1_900_000_000.0


def clock():
    return START + trio.current_time() - BEGAN[0]


BEGAN = [0.0]


def source(name, after=None):
    found = {"Name": name, "Action": "allow", "Type": "consul", "Precedence": 9}
    if after is None:
        return found
    return found | {"ExpiresAt": format_moment(START + after)}


def put(*sources, key=KEY):
    name = key.partition("/")[2]
    value = {"Kind": "service-intentions", "Name": name, "Sources": list(sources)}
    return Put(table="entries", key=key, value=value)


@pytest.fixture
async def wanted():
    BEGAN[0] = trio.current_time()
    return await Wanted.open(MemoryStore(), clock)


@pytest.fixture
def told(wanted, nursery):
    """When something was said to have expired, in seconds since the start."""
    found = []
    expiry = Expiry(wanted, trio.Lock(), clock=clock, expired=lambda: found.append(clock() - START))
    nursery.start_soon(expiry.run)
    return found


def sources(wanted):
    record = wanted.state.get("entries", KEY)
    return [one["Name"] for one in record.value["Sources"]] if record else None


async def test_it_is_told_at_the_second_and_not_before(autojump_clock, wanted, told):
    await wanted.commit([put(source("web", 100), source("api", 7200), source("cron"))])
    await trio.sleep(99)
    assert told == []
    assert len(policy(wanted.state, default_allow=False, now=clock()).intentions) == 3
    await trio.sleep(2)
    (at,) = told
    assert 100 <= at < 101
    left = policy(wanted.state, default_allow=False, now=clock())
    assert [str(one.source) for one in left.intentions] == ["api", "cron"]
    await trio.sleep(7200)
    assert len(told) == 2


async def test_an_earlier_end_that_is_written_later_counts(autojump_clock, wanted, told):
    await wanted.commit([put(source("web", 1000))])
    await trio.sleep(10)
    await wanted.commit([put(source("api", 20), key="service-intentions/other")])
    await trio.sleep(11)
    assert [round(at) for at in told] == [20]


async def test_it_is_shown_for_a_day_then_removed_as_a_commit_of_its_own(
    autojump_clock, wanted, told
):
    await wanted.commit([put(source("web", 100), source("api"))])
    await trio.sleep(100 + KEPT_SECONDS - 2)
    assert sources(wanted) == ["web", "api"]
    await trio.sleep(4)
    assert sources(wanted) == ["api"]
    assert versions(wanted.state)[0].note == "expired intentions removed"
    await wanted.commit([put(source("api", 200 + KEPT_SECONDS))])
    await trio.sleep(100 + KEPT_SECONDS + 4)
    assert sources(wanted) is None
    assert list(expiries(wanted.state)) == []


async def test_what_ended_while_nobody_ran_is_removed_at_the_start(autojump_clock, wanted, nursery):
    await wanted.commit([put(source("web", -KEPT_SECONDS - 1), source("api", -5))])
    nursery.start_soon(Expiry(wanted, trio.Lock(), clock=clock, expired=lambda: None).run)
    await trio.sleep(1)
    assert sources(wanted) == ["api"]
    nothing = policy(wanted.state, default_allow=False, now=clock())
    assert nothing.intentions == ()
