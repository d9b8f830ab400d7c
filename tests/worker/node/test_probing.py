"""The node and its prober, a real process: there while it is needed, and nothing that it says harms."""

import socket
import sys

import pytest
import trio

from cluster.catalog import Health
from cluster.probes import Probe, ProbeKind
from tests.fakes.rig import eventually
from worker.node import probing
from worker.node.probing import Probing


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


class Running:
    """Probing, the processes that it started, and what it said."""

    def __init__(self, command):
        self.said, self.processes = [], []
        self.probing = Probing(self._say, command)

    async def _say(self, message):
        await trio.lowlevel.checkpoint()
        self.said += message.verdicts

    def statuses(self, check):
        return [verdict.status for verdict in self.said if verdict.check == check]

    def alive(self):
        return [process for process in self.processes if process.poll() is None]


@pytest.fixture
async def running(monkeypatch, nursery):
    monkeypatch.setattr(probing, "COLLECT_SECONDS", 0.02)
    monkeypatch.setattr(probing, "SPARE_SECONDS", 0.1)
    monkeypatch.setattr(probing, "_FIRST_WAIT_SECONDS", 0.05)
    opened = trio.lowlevel.open_process

    def start(command=probing.COMMAND):
        made = Running(command)

        async def open_process(*arguments, **options):
            process = await opened(*arguments, **options)
            made.processes.append(process)
            return process

        monkeypatch.setattr(trio.lowlevel, "open_process", open_process)
        nursery.start_soon(made.probing.run)
        return made

    return start


def probe(target, name="n/c"):
    return Probe(
        check=name, kind=ProbeKind.TCP, target=target, interval_seconds=0.2, timeout_seconds=30
    )


async def test_there_is_none_until_there_is_something_to_probe(running, listener):
    made = running()
    await trio.sleep(0.2)
    assert made.processes == []
    made.probing.wanted((probe(listener),))
    await eventually(lambda: made.said)
    assert set(made.statuses("n/c")) == {Health.PASSING}
    made.probing.wanted(())
    await eventually(lambda: not made.alive())
    made.probing.wanted((probe(listener, "n/later"),))
    await eventually(lambda: made.statuses("n/later"))
    assert len(made.processes) == 2


async def test_what_is_to_be_probed_changes_under_way(running, listener):
    made = running()
    made.probing.wanted((probe(listener, "n/a"),))
    await eventually(lambda: made.statuses("n/a"))
    made.probing.wanted(())
    made.probing.wanted((probe(listener, "n/b"),))
    await eventually(lambda: made.statuses("n/b"))
    assert len(made.processes) == 1


async def test_a_killed_one_is_replaced(running, listener):
    made = running()
    made.probing.wanted((probe(listener),))
    await eventually(lambda: made.said)
    (process,) = made.processes
    process.kill()
    await eventually(lambda: len(made.processes) == 2)
    made.said.clear()
    await eventually(lambda: made.said)


@pytest.mark.parametrize(
    "program",
    ["print('no verdict', flush=True)", "print('x' * 70000, flush=True)", "raise SystemExit(3)"],
)
async def test_one_that_talks_nonsense_is_ended_and_tried_again(running, program):
    made = running((sys.executable, "-c", f"import time; {program}; time.sleep(100)"))
    made.probing.wanted((probe("h:1"),))
    await eventually(lambda: len(made.processes) >= 3)
    assert len(made.alive()) <= 1
    assert made.said == []


async def test_one_that_cannot_be_started_harms_nobody(running):
    made = running(("/no/such/program",))
    made.probing.wanted((probe("h:1"),))
    await trio.sleep(0.2)
    assert made.processes == []


async def test_it_does_not_outlive_whoever_told_it(running, listener):
    """Its input ends with the node, however that ended."""
    made = running()
    made.probing.wanted((probe(listener),))
    await eventually(lambda: made.said)
    (process,) = made.processes
    await process.stdin.aclose()
    assert await process.wait() == 0
