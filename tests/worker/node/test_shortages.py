"""Running out of descriptors or disk is told, survived and over when it is over; load notices no death."""

import os
import resource
import signal
from contextlib import asynccontextmanager

import pytest
import trio

from cluster.messages import Ack
from tests.fakes.coordinator import snapshot_for
from tests.fakes.site import client, free_port, who_serves

pytestmark = pytest.mark.slow


async def serving(site, coordinator, *ports, generation=1):
    await coordinator.wait_for_hello()
    id_ = await coordinator.offer(generation, snapshot_for(site.authority, *ports))
    await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)


async def until(condition, at_most_seconds=60):
    with trio.fail_after(at_most_seconds):
        while not condition():  # noqa: ASYNC110  # events of another process
            await trio.sleep(0.01)


async def test_out_of_descriptors_a_listener_and_a_worker_come_later(site, port):
    node = site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        before = site.workers()
        enough = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (3, enough[1]))
        later = free_port()
        await serving(site, coordinator, port, later, generation=2)
        await coordinator.wait_for(lambda: coordinator.status.problems)
        assert "Too many open files" in str(coordinator.status.problems[0])
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: "cannot be started" in site.log())
        assert await who_serves(port) == {1}
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, enough)
        await until(lambda: site.workers().get(0, before[0]) != before[0])
        await coordinator.wait_for(lambda: len(coordinator.status.workers) == 2)
        await coordinator.wait_for(lambda: not coordinator.status.problems)
        assert await who_serves(later) == {0, 1}


async def test_a_state_folder_that_cannot_be_written_does_not_stop_serving(site, port):
    (site.folder / "state" / ".snapshot.new").mkdir(parents=True)
    site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        await until(lambda: "cannot be kept on disk" in site.log())
        assert await who_serves(port) == {0, 1}


@asynccontextmanager
async def load(port, tasks=4):
    """New connections all the time; yields how many answered, and what went wrong."""
    answered, failures, slowest = [0], [], [0.0]

    async def call():
        while True:
            begun = trio.current_time()
            try:
                async with client(port) as one:
                    await one.ask()
                answered[0] += 1
                slowest[0] = max(slowest[0], trio.current_time() - begun)
            except (OSError, ValueError, trio.BrokenResourceError, trio.TooSlowError) as error:
                failures.append(repr(error))

    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(call)
        yield answered, failures, slowest
        nursery.cancel_scope.cancel()


async def test_under_load_a_killed_node_costs_no_connection(site, port):
    node = site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        async with load(port) as (answered, failures, slowest):
            await until(lambda: answered[0] > 200)
            node.kill()
            node.wait()
            await until(lambda: answered[0] > 500)
            again = site.start_node()
            await coordinator.wait_for(lambda: coordinator.status.pid == again.pid)
            seen = answered[0]
            await until(lambda: answered[0] > seen + 300)
        assert not failures
        assert slowest[0] < 10  # who were lost in a queue would wait longer


async def test_under_load_a_killed_worker_costs_only_what_it_held(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        before = site.workers()
        async with load(port) as (answered, failures, slowest):
            await until(lambda: answered[0] > 200)
            os.kill(before[0], signal.SIGKILL)
            await until(lambda: site.workers().get(0, before[0]) != before[0])
            seen = answered[0]
            await until(lambda: answered[0] > seen + 300)
        assert len(failures) <= 4  # one for each caller: what the dead one had accepted
        assert slowest[0] < 10
