"""Serial numbers are never given twice."""

import pytest
import trio

from coordinator.ca.serials import BLOCK, Serials, first_unused
from coordinator.store.memory import MemoryStore
from coordinator.store.tables import CA_SERIAL
from coordinator.store.wanted import Wanted


@pytest.fixture
async def wanted():
    return await Wanted.open(MemoryStore())


async def test_they_count_and_cost_one_commit_a_block(wanted):
    serials = Serials(wanted)
    numbers = [await serials.next() for _ in range(BLOCK)]
    assert numbers == list(range(1, BLOCK + 1))
    assert wanted.state.revision == 1
    assert await serials.next() == BLOCK + 1
    assert wanted.state.revision == 2


async def test_after_a_restart_none_comes_again(wanted):
    assert await Serials(wanted).next() == 1
    assert await Serials(wanted).next() == BLOCK + 1


async def test_it_begins_where_it_is_told(wanted):
    await wanted.commit([first_unused(2)])
    assert await Serials(wanted).next() == 2


async def test_many_at_once(wanted):
    numbers = []

    async def take(serials):
        numbers.extend([await serials.next() for _ in range(BLOCK)])

    one, other = Serials(wanted), Serials(wanted)
    async with trio.open_nursery() as nursery:
        for serials in (one, one, other):
            nursery.start_soon(take, serials)
    assert len(set(numbers)) == 3 * BLOCK


async def test_a_block_that_another_took_is_not_used(wanted, monkeypatch):
    serials = Serials(wanted)
    commit = wanted.commit

    async def late(changes, expect):
        monkeypatch.setattr(wanted, "commit", commit)
        await commit([first_unused(500)])
        return await commit(changes, expect)

    monkeypatch.setattr(wanted, "commit", late)
    assert await serials.next() == 500
    assert wanted.state.get(CA_SERIAL, "next").value == {"next": 500 + BLOCK}
