"""Published snapshots: the newest are kept, a damaged one is never believed."""

import sqlite3

import pytest

from coordinator.store.history import Published
from coordinator.store.records import StoreCorrupt
from coordinator.store.sqlite import open_store


@pytest.fixture
async def store(tmp_path):
    store = await open_store(tmp_path / "state", keep_snapshots=3)
    yield store
    await store.aclose()


async def save(history, generation, body=None, digest=None):
    await history.save(
        generation=generation,
        digest=digest or f"digest-{generation}",
        epoch="e1",
        body=f"body {generation}".encode() if body is None else body,
        at=1000.5 + generation,
    )


def damage(tmp_path, generation):
    with sqlite3.connect(tmp_path / "state" / "state.db") as other:
        other.execute("UPDATE snapshots SET body = 'bodx' WHERE generation = ?", (generation,))
    other.close()


async def test_a_new_history_is_empty(store):
    assert await store.history.latest() is None
    assert await store.history.list() == ()
    assert await store.history.get(1) is None


async def test_what_was_saved_comes_back(store):
    body = bytes(range(256)) * 10
    await save(store.history, 7, body)
    found = await store.history.get(7)
    assert found.body == body
    assert found.published == Published(
        epoch="e1", generation=7, digest="digest-7", at=1007.5, size_bytes=2560, revision=7
    )
    assert await store.history.latest() == found


async def test_the_newest_are_kept(store):
    for generation in (1, 2, 4, 5, 9):
        await save(store.history, generation)
    assert [p.generation for p in await store.history.list()] == [9, 5, 4]
    assert (await store.history.latest()).body == b"body 9"
    assert await store.history.get(2) is None


async def test_the_same_generation_again_replaces_it(store):
    await save(store.history, 3)
    await save(store.history, 3, b"new", "new-digest")
    assert [p.digest for p in await store.history.list()] == ["new-digest"]
    assert (await store.history.get(3)).body == b"new"


async def test_a_damaged_one_is_never_believed(store, tmp_path):
    await save(store.history, 1)
    await save(store.history, 2)
    damage(tmp_path, 2)
    assert (await store.history.latest()).published.generation == 1
    with pytest.raises(StoreCorrupt, match="generation 2 is damaged"):
        await store.history.get(2)
    damage(tmp_path, 1)
    assert await store.history.latest() is None


async def test_history_is_there_after_reopening(tmp_path):
    store = await open_store(tmp_path / "state")
    await save(store.history, 1)
    before = await store.history.latest()
    await store.aclose()
    store = await open_store(tmp_path / "state")
    assert await store.history.latest() == before
    await store.aclose()
