"""A full disk, a real one of half a megabyte: the commit fails by name, nothing is half written, it heals."""

import os
import subprocess

import pytest

from cluster.sections import Encoded
from coordinator.store.records import Put, StoreFull
from coordinator.store.sqlite import open_store


@pytest.fixture
def small_disk(tmp_path):
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "lockgate-test", str(where)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        if os.environ.get("LOCKGATE_REQUIRE") == "1":
            pytest.fail("mounting a tmpfs is not allowed here")
        pytest.skip("mounting a tmpfs is not allowed here")
    yield where
    # lazily: a test that failed may not have closed its store
    subprocess.run(["umount", "--lazy", str(where)], check=True)


def put(key, size=1000):
    return Put(table="entries", key=key, value={"pad": "x" * size})


def fill(directory):
    """Take all the room there is."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return ballast


async def commit_until_full(store):
    confirmed = 0
    try:
        while True:
            confirmed = await store.commit([put(f"k{confirmed}", 3000)])
    except StoreFull:
        return confirmed


async def test_a_full_disk_fails_the_commit_and_heals(small_disk):
    store = await open_store(small_disk)
    await store.commit([put("before")])
    ballast = fill(small_disk)
    with pytest.raises(StoreFull, match=f"no room left to write {small_disk}/state.db"):
        await store.commit([put(f"k{number}") for number in range(100)])
    loaded = await store.load()
    assert (loaded.revision, [r.key for r in loaded.records]) == (1, ["before"])
    large = Encoded(manifest={"mesh": "m"}, sections={"mesh": b"x" * 100_000})
    with pytest.raises(StoreFull):
        await store.history.save(generation=1, digest="d", epoch="e", encoded=large, at=1.0)
    ballast.unlink()
    assert await store.commit([put("after")]) == 2
    await store.aclose()
    store = await open_store(small_disk)
    assert {r.key for r in (await store.load()).records} == {"before", "after"}
    await store.aclose()


async def test_commits_until_it_is_full_are_all_there(small_disk):
    store = await open_store(small_disk)
    confirmed = await commit_until_full(store)
    assert confirmed > 10
    await store.aclose()
    store = await open_store(small_disk)
    loaded = await store.load()
    assert (loaded.revision, len(loaded.records)) == (confirmed, confirmed)
    await store.aclose()


async def test_a_start_on_a_full_disk_says_so_and_can_be_repeated(small_disk):
    ballast = fill(small_disk)
    with pytest.raises(StoreFull, match=f"{small_disk}/state.db"):
        await open_store(small_disk)
    ballast.unlink()
    store = await open_store(small_disk)
    assert await store.commit([put("a")]) == 1
    await store.aclose()


async def test_a_restart_on_a_full_disk_says_so_and_loses_nothing(small_disk):
    store = await open_store(small_disk)
    await store.commit([put("a")])
    await store.aclose()
    ballast = fill(small_disk)
    try:
        store = await open_store(small_disk)
    except StoreFull:
        pass
    else:
        with pytest.raises(StoreFull):
            await store.commit([put("b", 20_000)])
        await store.aclose()
    ballast.unlink()
    store = await open_store(small_disk)
    assert [r.key for r in (await store.load()).records] == ["a"]
    await store.aclose()
