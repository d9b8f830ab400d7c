"""Daemons of a development cluster: started, started again, ended, never left behind."""

import os
import signal
import sys

import pytest
import trio

from coordinator.dev import processes
from coordinator.dev.processes import CouldNotBoot, Daemon, Tether


@pytest.fixture
def tether():
    found = Tether()
    yield found
    found.cut()


@pytest.fixture
def daemon(tether):
    """A daemon that runs this program instead of a module."""

    def daemon(program):
        found = Daemon("x", "unused", [], tether)
        found._command = [sys.executable, "-S", "-c", program]
        return found

    return daemon


SLEEP = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(); signal.pause()"


def lives(pid):
    return os.path.exists(f"/proc/{pid}")


async def started_again(one, first):
    while True:
        if one.pid != first:
            return
        await trio.sleep(0.01)


async def test_one_that_dies_is_started_again(daemon, monkeypatch):
    monkeypatch.setattr(processes, "_RESTART_SECONDS", 0.0)
    one = daemon(SLEEP)
    await one.start()
    first = one.pid
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.keep)
        os.kill(first, signal.SIGKILL)
        with trio.fail_after(30):
            await started_again(one, first)
        await one.stop(10)


async def test_one_that_could_not_boot_is_not_started_again(daemon):
    one = daemon("raise SystemExit(78)")
    await one.start()
    with trio.fail_after(30), pytest.raises(CouldNotBoot, match="the x could not start"):
        await one.keep()


async def test_one_that_was_asked_to_end_is_not_started_again(daemon):
    one = daemon(SLEEP)
    await one.start()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.keep)
            await one.stop(20)
    assert not lives(one.pid)


async def test_one_that_does_not_end_is_made_to(daemon):
    one = daemon(DEAF)
    await one.start()
    with trio.fail_after(30):
        await one.stop(0.1)
    assert not lives(one.pid)


async def test_stopping_what_never_started_or_ended_already_is_nothing(daemon):
    one = daemon("pass")
    await one.stop(1)
    assert one.pid == 0
    await one.start()
    await one._process.wait()
    await one.stop(1)


async def test_ctrl_c_in_the_terminal_does_not_reach_it(daemon):
    one = daemon(SLEEP)
    await one.start()
    assert os.getsid(one.pid) == one.pid
    await one.stop(10)


async def test_the_tether_is_inherited_and_its_end_is_seen():
    tether = Tether()
    one = Daemon("x", "unused", [], tether)
    read = "import os, sys; os.read(int(sys.argv[-1]), 1)"
    one._command = [sys.executable, "-S", "-c", read, str(tether.read_end)]
    await one.start()
    tether.cut()
    with trio.fail_after(30):
        assert await one._process.wait() == 0


def test_a_daemon_is_a_module_of_ours_out_of_reach_of_the_working_directory(tether):
    one = Daemon("node", "worker.node", ["--config", "/x"], tether)
    assert one._command == [
        *(sys.executable, "-I", "-m", "worker.node", "--config", "/x"),
        *("--tether", str(tether.read_end)),
    ]
