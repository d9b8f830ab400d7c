"""The file: who may open it, what happens to a damaged, foreign or newer one, and what survives a kill."""

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.store.records import (
    Put,
    StateLocked,
    StateUnsafe,
    StoreCorrupt,
    StoreError,
    StoreTooNew,
)
from coordinator.store.sqlite import open_store

ROOT = Path(__file__).parents[3]


def put(key, value):
    return Put(table="entries", key=key, value=value)


@pytest.fixture
def state_dir(tmp_path):
    return tmp_path / "state"


async def filled(state_dir, count=1):
    store = await open_store(state_dir)
    for number in range(count):
        await store.commit([put(f"k{number}", {"n": number, "pad": "x" * 200})])
    await store.aclose()
    return state_dir / "state.db"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


async def test_what_was_committed_is_there_after_reopening(state_dir):
    store = await open_store(state_dir)
    await store.commit([put("a", {"x": 1})])
    await store.commit([put("a", {"x": 2}), put("b", {})])
    before = await store.load()
    epoch = store.history.epoch
    await store.aclose()
    store = await open_store(state_dir)
    assert await store.load() == before
    assert store.history.epoch == epoch
    await store.aclose()


async def test_each_new_file_has_an_epoch_of_its_own(tmp_path):
    epochs = set()
    for name in ("a", "b"):
        store = await open_store(tmp_path / name)
        epochs.add(store.history.epoch)
        await store.aclose()
    assert len(epochs) == 2


async def test_file_and_directory_are_closed_to_others(state_dir):
    old = os.umask(0)
    try:
        store = await open_store(state_dir)
        await store.commit([put("a", {})])
    finally:
        os.umask(old)
    assert mode(state_dir) == 0o700
    names = {path.name for path in state_dir.iterdir()}
    assert names == {"lock", "state.db", "state.db-shm", "state.db-wal"}
    assert {mode(path) for path in state_dir.iterdir()} == {0o600}
    await store.aclose()


async def test_an_open_directory_is_closed_and_a_shared_one_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    await (await open_store(tmp_path / "open")).aclose()
    assert mode(tmp_path / "open") == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(StateUnsafe, match="shared by all users"):
        await open_store(shared)
    assert mode(shared) == 0o1777
    assert list(shared.iterdir()) == []


async def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "state").write_text("not a directory")
    with pytest.raises(StoreError, match=f"{tmp_path}/state"):
        await open_store(tmp_path / "state")


async def test_another_path_for_the_file(state_dir, tmp_path):
    store = await open_store(state_dir, path=tmp_path / "elsewhere.db")
    await store.commit([put("a", {})])
    assert (tmp_path / "elsewhere.db").exists()
    await store.aclose()


async def test_a_second_opener_is_told_who_holds_the_directory(state_dir):
    store = await open_store(state_dir)
    with pytest.raises(StateLocked, match=f"{state_dir} is in use by process {os.getpid()}$"):
        await open_store(state_dir)
    await store.commit([put("a", {})])
    await store.aclose()
    await (await open_store(state_dir)).aclose()


async def test_a_failed_opening_lets_go_of_the_directory(state_dir):
    file = await filled(state_dir)
    whole = file.read_bytes()
    file.write_bytes(b"x" * len(whole))
    with pytest.raises(StoreCorrupt):
        await open_store(state_dir)
    file.write_bytes(whole)
    await (await open_store(state_dir)).aclose()


def _first_page(whole):
    return b"garbage " * 512 + whole[4096:]


def _cut(whole):
    return whole[: len(whole) // 2]


def _inner_page(whole):
    return whole[: 4096 * 3] + random.Random(1).randbytes(4096 * 4) + whole[4096 * 7 :]


@pytest.mark.parametrize("damage", [_first_page, _cut, _inner_page, lambda whole: b""])
async def test_a_damaged_file_is_refused_and_left_alone(state_dir, damage):
    file = await filled(state_dir, count=100)
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    with pytest.raises(StoreCorrupt, match=str(file)):
        await open_store(state_dir)
    assert file.read_bytes() == damaged


async def test_a_value_that_is_no_json_is_named(state_dir):
    file = await filled(state_dir)
    with sqlite3.connect(file) as other:
        other.execute("UPDATE records SET value = x'7b' WHERE key = 'k0'")
    other.close()
    store = await open_store(state_dir)
    with pytest.raises(StoreCorrupt, match="entries/k0"):
        await store.load()
    await store.aclose()


async def test_a_foreign_sqlite_file_is_refused(state_dir):
    state_dir.mkdir(mode=0o700)
    other = sqlite3.connect(state_dir / "state.db")
    other.execute("CREATE TABLE recipes (name)")
    other.close()
    with pytest.raises(StoreCorrupt, match="not one of Lockgate's"):
        await open_store(state_dir)


async def test_a_newer_file_is_refused(state_dir):
    file = await filled(state_dir)
    other = sqlite3.connect(file)
    other.execute("PRAGMA user_version=9")
    other.close()
    with pytest.raises(StoreTooNew, match="schema version 9, this program knows up to 3"):
        await open_store(state_dir)


async def test_a_file_of_the_first_version_is_brought_up_to_date(state_dir):
    file = await filled(state_dir)
    other = sqlite3.connect(file)
    other.execute("DROP TABLE sections")
    for column in ("revision", "size_bytes"):
        other.execute(f"ALTER TABLE snapshots DROP COLUMN {column}")
    other.execute("INSERT INTO snapshots VALUES (3, 'e', 'd', 's', 1.0, 'b')")
    other.execute("PRAGMA user_version=1")
    other.commit()
    other.close()
    for _ in range(2):
        store = await open_store(state_dir)
        (published,) = await store.history.list()
        assert (published.generation, published.revision) == (3, 3)
        await store.aclose()


async def test_a_journal_without_its_file_is_not_replayed_over_a_new_one(state_dir):
    file = await filled(state_dir)
    file.rename(state_dir / "state.db-wal")
    with pytest.raises(StoreCorrupt, match="missing, but its journal"):
        await open_store(state_dir)
    assert not file.exists()


async def test_a_start_that_was_killed_while_making_the_file_can_be_repeated(state_dir):
    state_dir.mkdir(mode=0o700)
    (state_dir / "state.db.new").write_bytes(b"half")
    (state_dir / "state.db.new-journal").write_bytes(b"half")
    store = await open_store(state_dir)
    assert await store.commit([put("a", {})]) == 1
    await store.aclose()


async def test_a_reader_from_outside_does_not_stop_a_commit(state_dir):
    store = await open_store(state_dir)
    await store.commit([put("a", {})])
    outside = sqlite3.connect(f"file:{state_dir}/state.db?mode=ro", uri=True)
    reading = outside.execute("SELECT key FROM records")
    assert await store.commit([put("b", {})]) == 2
    reading.close()
    outside.close()
    await store.aclose()


COMMITTER = """
import sys, trio
from pathlib import Path
from coordinator.store.records import Put
from coordinator.store.sqlite import open_store

async def main():
    store = await open_store(Path(sys.argv[1]))
    number = (await store.load()).revision
    while True:
        number += 1
        pair = [Put(table="t", key=f"{side}{number}", value={"n": number}) for side in "ab"]
        print(await store.commit(pair), flush=True)

trio.run(main)
"""


def _start_committing(state_dir):
    return subprocess.Popen(
        [sys.executable, "-c", COMMITTER, str(state_dir)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )


def _commit_until_killed(state_dir, after):
    with _start_committing(state_dir) as child:
        printed = [int(child.stdout.readline()) for _ in range(after)]
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
    # a last line may have been cut by the kill
    return printed + [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.slow
async def test_a_kill_in_mid_commit_loses_nothing_that_was_confirmed(state_dir):
    confirmed = []
    for after in (1, 7, 40):
        confirmed += _commit_until_killed(state_dir, after)
        store = await open_store(state_dir)
        loaded = await store.load()
        await store.aclose()
        keys = {r.key for r in loaded.records}
        assert {f"{side}{number}" for side in "ab" for number in confirmed} <= keys
        assert loaded.revision in (confirmed[-1], confirmed[-1] + 1)
        assert len(keys) == 2 * loaded.revision, "half a commit"


@pytest.mark.slow
async def test_the_lock_of_a_killed_process_is_free(state_dir):
    with _start_committing(state_dir) as child:
        child.stdout.readline()
        with pytest.raises(StateLocked, match=f"process {child.pid}"):
            await open_store(state_dir)
        child.kill()
        child.stdout.read()
    await (await open_store(state_dir)).aclose()
