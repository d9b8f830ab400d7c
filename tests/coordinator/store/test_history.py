"""Published snapshots: the newest are kept, a damaged one is never believed."""

import hashlib
import sqlite3
import tempfile
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.codec import encode
from cluster.sections import Encoded
from coordinator.store.history import Published
from coordinator.store.records import StoreCorrupt
from coordinator.store.sqlite import open_store


@pytest.fixture
async def store(tmp_path):
    store = await open_store(tmp_path / "state", keep_snapshots=3)
    yield store
    await store.aclose()


def encoded(**sections):
    """A snapshot of these sections."""
    bodies = {name: body.encode() for name, body in sections.items()}
    manifest = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    return Encoded(manifest=manifest, sections=bodies)


async def save(history, generation, snapshot=None, digest=None):
    await history.save(
        generation=generation,
        digest=digest or f"digest-{generation}",
        epoch="e1",
        encoded=encoded(mesh=f"mesh {generation}") if snapshot is None else snapshot,
        at=1000.5 + generation,
    )


def on_disk(tmp_path, statement, *values):
    with sqlite3.connect(tmp_path / "state" / "state.db") as other:
        found = other.execute(statement, values).fetchall()
    other.close()
    return found


def damage(tmp_path, generation):
    """Its manifest, or what is an older version's whole."""
    on_disk(tmp_path, "UPDATE snapshots SET body = 'bodx' WHERE generation = ?", generation)


async def test_a_new_history_is_empty(store):
    assert await store.history.latest() is None
    assert await store.history.list() == ()
    assert await store.history.get(1) is None


async def test_what_was_saved_comes_back(store):
    snapshot = encoded(mesh="m" * 2000, policy="p" * 500, trust="")
    await save(store.history, 7, snapshot)
    found = await store.history.get(7)
    assert found.encoded == snapshot
    assert found.published == Published(
        epoch="e1", generation=7, digest="digest-7", at=1007.5, size_bytes=2500, revision=7
    )
    assert await store.history.latest() == found


async def test_the_newest_are_kept(store):
    for generation in (1, 2, 4, 5, 9, 3):
        await save(store.history, generation)
    assert [p.generation for p in await store.history.list()] == [9, 5, 4]
    assert (await store.history.latest()).encoded == encoded(mesh="mesh 9")
    assert await store.history.get(2) is None


async def test_a_section_is_kept_once_and_goes_with_the_last_that_has_it(store, tmp_path):
    for generation in range(1, 7):
        changing = encoded(mesh="same", policy=f"policy {generation // 2}", twice="same")
        await save(store.history, generation, changing)
        if generation == 3:  # whoever has just started knows no more than the file says
            await store.aclose()
            store = await open_store(tmp_path / "state", keep_snapshots=3)
    kept = on_disk(tmp_path, "SELECT CAST(body AS TEXT) FROM sections ORDER BY 1")
    assert kept == [("policy 2",), ("policy 3",), ("same",)]
    for generation in (4, 5, 6):
        found = await store.history.get(generation)
        assert found.encoded.sections["policy"] == f"policy {generation // 2}".encode()
    await store.aclose()


@given(
    writes=st.lists(
        st.tuples(
            st.integers(1, 9), st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))
        ),
        max_size=12,
    )
)
@settings(max_examples=30, deadline=None)
def test_whatever_is_saved_each_is_whole_and_nothing_is_left_over(writes):
    async def run():
        with tempfile.TemporaryDirectory() as folder:
            store = await open_store(Path(folder) / "state", keep_snapshots=3)
            expected = {}
            for generation, sections in writes:
                expected[generation] = encoded(**sections)
                await save(store.history, generation, expected[generation])
                expected = {one: expected[one] for one in sorted(expected)[-3:]}
                for one, snapshot in expected.items():
                    assert (await store.history.get(one)).encoded == snapshot
            await store.aclose()
            found = {one for (one,) in on_disk(Path(folder), "SELECT digest FROM sections")}
            assert found == {d for one in expected.values() for d in one.manifest.values()}

    trio.run(run)


async def test_the_same_generation_again_replaces_it(store):
    await save(store.history, 3)
    await save(store.history, 3, encoded(mesh="new"), "new-digest")
    assert [p.digest for p in await store.history.list()] == ["new-digest"]
    assert (await store.history.get(3)).encoded == encoded(mesh="new")


async def test_a_damaged_one_is_never_believed(store, tmp_path):
    await save(store.history, 1)
    await save(store.history, 2)
    damage(tmp_path, 2)
    assert (await store.history.latest()).published.generation == 1
    with pytest.raises(StoreCorrupt, match="generation 2 is damaged"):
        await store.history.get(2)
    damage(tmp_path, 1)
    assert await store.history.latest() is None


@pytest.mark.parametrize("how", ["UPDATE sections SET body = 'mesx 2'", "DELETE FROM sections"])
async def test_a_section_that_is_damaged_or_gone_is_never_believed(store, tmp_path, how):
    await save(store.history, 1)
    await save(store.history, 2)
    digest = hashlib.sha256(b"mesh 2").hexdigest()
    on_disk(tmp_path, f"{how} WHERE digest = ?", digest)
    assert (await store.history.latest()).published.generation == 1
    with pytest.raises(StoreCorrupt, match="generation 2 is damaged"):
        await store.history.get(2)


async def test_a_save_that_fails_leaves_what_was_there(store, monkeypatch):
    await save(store.history, 1)
    with monkeypatch.context() as patched:
        patched.setattr(store.history, "_keep", None)  # noticed after the rows were written
        with pytest.raises(TypeError):
            await save(store.history, 2)
    await save(store.history, 2)
    assert [p.generation for p in await store.history.list()] == [2, 1]
    assert (await store.history.latest()).encoded == encoded(mesh="mesh 2")


async def test_history_is_there_after_reopening(tmp_path):
    store = await open_store(tmp_path / "state")
    await save(store.history, 1)
    before = await store.history.latest()
    await store.aclose()
    store = await open_store(tmp_path / "state")
    assert await store.history.latest() == before
    await store.aclose()


async def test_what_an_older_version_kept_whole_is_read(store, tmp_path):
    body = encode(encoded(mesh="old"))
    digest = hashlib.sha256(body).hexdigest()
    on_disk(
        tmp_path,
        "INSERT INTO snapshots (generation, epoch, digest, sha256, at, body, revision)"
        " VALUES (1, 'e1', 'd', ?, 1.0, ?, 1)",
        digest,
        body,
    )
    found = await store.history.latest()
    assert (found.encoded, found.published.size_bytes) == (encoded(mesh="old"), len(body))
    for generation in (2, 3, 4):
        await save(store.history, generation)
    assert [p.generation for p in await store.history.list()] == [4, 3, 2]
