"""The queue for signatures: its rate, its order, its bounds, and who goes first."""

import pytest
import trio
import trio.testing

from coordinator.ca.admission import Admission, SigningQueueFull


async def queue(admission, count, *, per_second=0.0, concurrent=0, work_seconds=0.0):
    """(who, when) in the order in which they had their turn."""
    turns = []

    async def one(number):
        async with admission.turn(per_second=per_second, concurrent=concurrent):
            turns.append((number, trio.current_time()))
            await trio.sleep(work_seconds)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)
            for _ in range(10):  # so that they come one after another, at one time
                await trio.lowlevel.checkpoint()
    return turns


async def test_a_rate_is_kept_and_first_come_is_first_served(autojump_clock):
    turns = await queue(Admission(), 5, per_second=4)
    assert turns == [(0, 0), (1, 0.25), (2, 0.5), (3, 0.75), (4, 1)]


async def test_slow_work_does_not_slow_the_rate(autojump_clock):
    turns = await queue(Admission(), 4, per_second=4, work_seconds=10)
    assert [when for _, when in turns] == [0, 0.25, 0.5, 0.75]


async def test_an_idle_time_is_not_saved_up(autojump_clock):
    admission = Admission()
    await queue(admission, 1, per_second=4)
    await trio.sleep(100)
    turns = await queue(admission, 3, per_second=4)
    assert [when - 100 for _, when in turns] == [0, 0.25, 0.5]


async def test_some_at_a_time(autojump_clock):
    turns = await queue(Admission(), 5, concurrent=2, work_seconds=1)
    assert dict(turns) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2}


async def test_no_limit(autojump_clock):
    turns = await queue(Admission(), 5, work_seconds=1)
    assert {when for _, when in turns} == {0}


async def test_one_who_gives_up_uses_nothing_up(autojump_clock):
    admission = Admission()
    await queue(admission, 1, per_second=1)
    with trio.move_on_after(0.5):
        async with admission.turn(per_second=1, concurrent=0):
            pytest.fail("it was not yet time")
    assert admission.waiting == 0
    assert await queue(admission, 1, per_second=1) == [(0, 1)]


@pytest.mark.parametrize("limits", [{"per_second": 1.0}, {"concurrent": 1}])
async def test_a_full_queue_says_so_and_recovers(autojump_clock, limits):
    admission = Admission(queue_limit=3)
    limits = {"per_second": 0.0, "concurrent": 0, **limits}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: queue(admission, 4, work_seconds=1, **limits))
        await trio.sleep(0.5)
        assert admission.waiting == 3
        with pytest.raises(SigningQueueFull, match="3 requests wait"):
            await queue_one(admission, limits)
    assert admission.waiting == 0
    await queue_one(admission, limits)


async def queue_one(admission, limits):
    async with admission.turn(**limits):
        pass


async def test_an_error_in_a_turn_frees_its_place(autojump_clock):
    admission = Admission()
    with pytest.raises(ValueError, match="mine"):
        async with admission.turn(per_second=0, concurrent=1):
            raise ValueError("mine")
    with trio.fail_after(1):
        await queue(admission, 2, concurrent=1)


async def arrive(admission, names, *, per_second=0.0, concurrent=0):
    """Who had a turn, in order; renewals are those whose names begin with r."""
    turns = []

    async def one(name):
        async with admission.turn(
            per_second=per_second, concurrent=concurrent, newcomer=not name.startswith("r")
        ):
            turns.append(name)
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(one, name)
            await trio.testing.wait_all_tasks_blocked()
    return turns


async def test_newcomers_pass_renewals_that_wait_for_a_place(autojump_clock):
    turns = await arrive(Admission(), ["r1", "r2", "r3", "n1", "n2"], concurrent=1)
    assert turns == ["r1", "n1", "n2", "r2", "r3"]


async def test_newcomers_pass_renewals_but_the_one_that_has_the_next_tick(autojump_clock):
    turns = await arrive(Admission(), ["r1", "r2", "r3", "n1", "n2"], per_second=1)
    assert turns == ["r1", "r2", "n1", "n2", "r3"]


async def test_renewals_leave_room_for_newcomers(autojump_clock):
    admission = Admission(queue_limit=4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: arrive(admission, ["r1", "r2", "r3"], concurrent=1))
        await trio.sleep(0.5)
        assert admission.waiting == 2
        with pytest.raises(SigningQueueFull):
            async with admission.turn(per_second=0, concurrent=1, newcomer=False):
                pass
        async with admission.turn(per_second=0, concurrent=1, newcomer=True):
            pass


async def test_a_larger_limit_counts_at_once_for_those_who_wait(autojump_clock):
    admission = Admission()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: arrive(admission, ["a", "b", "c"], concurrent=1))
        await trio.sleep(0.5)
        assert admission.waiting == 2
        async with admission.turn(per_second=0, concurrent=4):
            await trio.testing.wait_all_tasks_blocked()
            assert admission.waiting == 0


async def test_giving_up_while_waiting_takes_no_place(autojump_clock):
    admission = Admission()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: arrive(admission, ["a"], concurrent=1))
        await trio.sleep(0.25)
        with trio.move_on_after(0.5):
            await arrive(admission, ["b"], concurrent=1)
    with trio.fail_after(1.5):
        assert await arrive(admission, ["c"], concurrent=1) == ["c"]
