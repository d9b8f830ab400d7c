"""A transaction is whole or absent, whatever ends it half way; and what is confirmed is on the disk."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.store.database import open_database

ROOT = Path(__file__).parents[3]
FULL = 2  # sqlite.org/pragma.html#pragma_synchronous


@pytest.fixture
async def database(tmp_path):
    opened = open_database(tmp_path / "state.db")
    yield opened
    await opened.aclose()


def note(connection):
    connection.execute("INSERT INTO meta VALUES ('first', 1)")


def notes(connection):
    rows = connection.execute("SELECT name FROM meta WHERE name IN ('first', 'second')")
    return {name for (name,) in rows}


async def test_work_that_fails_half_way_leaves_nothing_and_the_next_goes_on(database):
    def fail(connection):
        note(connection)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await database.write(fail)
    assert await database.read(notes) == set()
    await database.write(note)
    assert await database.read(notes) == {"first"}


KILLED_HALF_WAY = """
import os, signal, sys, trio
from pathlib import Path
from coordinator.store.database import open_database

def work(connection):
    connection.execute("INSERT INTO meta VALUES ('first', 1)")
    os.kill(os.getpid(), signal.SIGKILL)

trio.run(open_database(Path(sys.argv[1])).write, work)
"""


@pytest.fixture
def killed_half_way(tmp_path):
    """The file that such a process has left behind."""
    path = tmp_path / "state.db"
    command = [sys.executable, "-c", KILLED_HALF_WAY, str(path)]
    killed = subprocess.run(command, cwd=ROOT, timeout=30, check=False)
    assert killed.returncode == -signal.SIGKILL
    return path


@pytest.mark.slow
async def test_a_process_killed_half_way_leaves_nothing(killed_half_way):
    database = open_database(killed_half_way)
    assert await database.read(notes) == set()
    await database.write(note)
    await database.aclose()


async def test_a_commit_waits_for_the_disk(database):
    """A kill cannot show this, only a power cut could: SQLite says how it was told to write."""

    def how(connection):
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ASKED]

    assert await database.read(how) == ["wal", FULL]


ASKED = ("journal_mode", "synchronous")
