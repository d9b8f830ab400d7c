"""Processes are found again by pid and start time, never mistaken, and watched without being ours."""

import os
import signal
import subprocess
import sys

import pytest
import trio

from worker.node.processes import (
    Identity,
    find,
    identify,
    read_records,
    spawn,
    write_records,
)


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def test_this_process_has_an_identity_and_no_pid_has_none():
    assert identify(os.getpid()) == identify(os.getpid())
    assert identify(2**22 + 1) is None


def test_an_unreaped_rest_is_not_alive(sleeper):
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert identify(sleeper.pid) is None


async def test_a_child_is_waited_for_with_its_status():
    process = spawn([sys.executable, "-I", "-S", "-c", "raise SystemExit(78)"])
    with trio.fail_after(30):
        assert await process.wait() == 78
        assert await process.wait() == 78
    process.send(signal.SIGTERM)  # to nobody: no error, nobody else is hit
    process.close()


async def test_a_child_has_a_session_of_its_own_and_gets_the_descriptors():
    read_end, write_end = os.pipe()
    code = f"import os; os.write({write_end}, b'%d' % (os.getsid(0) == os.getpid()))"
    process = spawn([sys.executable, "-I", "-S", "-c", code], inherit=(write_end,))
    os.close(write_end)
    async with trio.lowlevel.FdStream(read_end) as pipe:
        with trio.fail_after(30):
            assert await pipe.receive_some() == b"1"
            await process.wait()
    process.close()


async def test_a_process_of_somebody_else_is_watched_without_status(sleeper):
    process = find(identify(sleeper.pid))
    process.send(signal.SIGKILL)
    with trio.fail_after(30):
        assert await process.wait() is None
    process.close()


def test_a_recycled_pid_is_not_mistaken(sleeper):
    identity = identify(sleeper.pid)
    assert find(Identity(pid=identity.pid, started=identity.started - 1)) is None
    assert find(Identity(pid=2**22 + 1, started=1)) is None


def test_a_program_that_is_not_there_is_an_error():
    with pytest.raises(OSError, match="No such file"):
        spawn(["/nonexistent/program"])


def test_records_come_back_and_a_broken_file_is_nothing(tmp_path):
    path = tmp_path / "workers.json"
    assert read_records(path) == {}
    records = {0: Identity(pid=1, started=2), 11: Identity(pid=3, started=4)}
    write_records(path, records)
    assert read_records(path) == records
    path.write_bytes(path.read_bytes()[:-3])
    assert read_records(path) == {}
