"""Deadlines that cost nothing while they are kept, and are kept to when they are not."""

import pytest
import trio

from worker.http.patience import Patience, Phase, Timers


@pytest.fixture
async def timers(nursery):
    made = Timers(trio.current_time)
    nursery.start_soon(made.attend)
    return made


async def lasts(patience):
    """How long until it is late."""
    started = trio.current_time()
    with patience.scope:
        await trio.sleep(1000)
    return trio.current_time() - started


async def test_who_is_late_is_cancelled(autojump_clock, timers):
    patience = Patience(timers)
    patience.wait(Phase.ANSWER, 5)
    assert await lasts(patience) == pytest.approx(5)


@pytest.mark.parametrize(("first", "then"), [(5, 2), (2, 5), (3600, 1)])
async def test_the_last_word_counts(autojump_clock, timers, first, then):
    patience = Patience(timers)
    patience.wait(Phase.IDLE, first)
    patience.wait(Phase.ANSWER, then)
    assert await lasts(patience) == pytest.approx(then)


async def test_time_that_is_given_again_and_again(autojump_clock, timers):
    patience = Patience(timers)
    with patience.scope:
        for _ in range(20):
            patience.wait(Phase.DOWNLOAD, 3)
            await trio.sleep(2)
    assert not patience.scope.cancelled_caught


async def test_moving_a_deadline_on_takes_no_memory(autojump_clock, timers):
    patience = Patience(timers)
    for _ in range(1000):
        patience.wait(Phase.HEAD, 30)
        patience.wait(Phase.ANSWER, 15)
        patience.wait(Phase.IDLE, 3600)
        await trio.sleep(0.01)
    assert len(timers._due) <= 2


async def test_nobody_is_late_once_it_stops(autojump_clock, timers):
    patience = Patience(timers)
    patience.wait(Phase.ANSWER, 1)
    patience.stop()
    assert await lasts(patience) == pytest.approx(1000)


async def test_many_are_late_each_at_its_time(autojump_clock, timers, nursery):
    found = {}

    async def one(seconds):
        patience = Patience(timers)
        patience.wait(Phase.ANSWER, seconds)
        found[seconds] = await lasts(patience)

    for seconds in (7, 1, 3, 2, 9):
        nursery.start_soon(one, seconds)
    await trio.sleep(20)
    assert {wanted: round(took) for wanted, took in found.items()} == {
        n: n for n in (7, 1, 3, 2, 9)
    }


async def test_one_that_rests_between_requests_is_remembered_once(autojump_clock):
    timers = Timers(trio.current_time)
    patience = Patience(timers)
    for _ in range(1000):
        patience.wait(Phase.UPLOAD, 300.0)
        patience.wait(Phase.ANSWER, 15.0)
        patience.rest()
    assert len(timers._due) == 2
    patience.wait(Phase.ANSWER, 20.0)
    with trio.move_on_after(60.0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(timers.attend)
            with patience.scope:
                await trio.sleep_forever()
            assert trio.current_time() == pytest.approx(20.0, abs=0.1)
            nursery.cancel_scope.cancel()
    assert patience.scope.cancelled_caught
