"""What outlives what: workers, nodes and coordinators die in turn, and callers notice nothing."""

import json
import os
import signal
from contextlib import suppress

import httpx
import pytest
import trio

from cluster.messages import Ack, Hello, Nack
from tests.fakes.coordinator import snapshot_for
from tests.fakes.site import client, free_port, who_serves
from worker.node.processes import identify

pytestmark = pytest.mark.slow


async def serving(site, coordinator, *ports, generation=1, **changes):
    """Apply a snapshot with these ports on all workers; returns its id."""
    await coordinator.wait_for_hello()
    id_ = await coordinator.offer(generation, snapshot_for(site.authority, *ports, **changes))
    await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)
    return id_


def inodes_of_listeners(pid, port):
    """The sockets that a process listens on at a port of loopback, by what the kernel says."""
    address = f"0100007F:{port:04X}"
    with open(f"/proc/{pid}/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    listening = {row[9] for row in rows if row[1] == address and row[3] == "0A"}
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:[") and target[8:-1] in listening:
                found.add(target[8:-1])
    return found


async def get(site, path):
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{site.metrics_port}", timeout=30
    ) as http:
        return (await http.get(path)).raise_for_status().text


async def until_refused(port):
    """Connect until nobody listens any more."""
    with trio.fail_after(30), suppress(OSError):
        while True:
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            await trio.sleep(0.02)


async def until(condition, at_most_seconds=60):
    with trio.fail_after(at_most_seconds):
        while not condition():  # noqa: ASYNC110  # events of another process
            await trio.sleep(0.01)


async def test_a_snapshot_is_served_by_all_workers_and_acknowledged(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        id_ = await serving(site, coordinator, port)
        assert await who_serves(port) == {0, 1}
        status = await coordinator.wait_for(
            lambda: coordinator.status if coordinator.status.have == id_ else None
        )
        assert [worker.pid for worker in status.workers] == list(site.workers().values())
        # the fakes report as connections how many leaves they were given
        await coordinator.wait_for(
            lambda: [worker.connections for worker in coordinator.status.workers] == [1, 1]
        )
        assert coordinator.status.engine == "native"
        assert await get(site, "/readyz") == "ready\n"
        page = await get(site, "/metrics")
    assert "lockgate_snapshot_generation 1.0" in page
    assert 'lockgate_worker_up{worker="1"} 1.0' in page
    assert "fake_accepted_total" in page


async def test_a_killed_worker_is_covered_at_once_and_its_successor_gets_the_same_socket(
    site, port
):
    site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        before = site.workers()
        (inode,) = inodes_of_listeners(before[0], port)
        (other,) = inodes_of_listeners(before[1], port)
        os.kill(before[0], signal.SIGKILL)
        await who_serves(port)  # half of these would hang in the dead one's queue
        await until(lambda: site.workers().get(0, before[0]) != before[0])
        await until(lambda: inodes_of_listeners(site.workers()[0], port) == {inode})
        await until(lambda: inodes_of_listeners(before[1], port) == {other})
        assert await who_serves(port) == {0, 1}
        restarts = [worker.restarts for worker in coordinator.status.workers]
        assert restarts == [1, 0]


async def test_while_a_worker_cannot_boot_its_sibling_serves_its_share(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        before = site.workers()
        (site.runtime_dir / "cannot-boot").touch()
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: len(inodes_of_listeners(before[1], port)) == 2)
        assert await who_serves(port) == {1}
        await until(lambda: "could not boot" in site.log())
        id_ = await coordinator.offer(2, snapshot_for(site.authority, port, services=("a", "b")))
        await coordinator.wait_for(lambda: Ack(id=id_) in coordinator.heard)


async def test_a_killed_node_takes_over_its_workers_and_their_sockets(site, port):
    node = site.start_node()
    async with site.coordinator() as coordinator:
        id_ = await serving(site, coordinator, port)
        before = site.workers()
        inodes = {index: inodes_of_listeners(pid, port) for index, pid in before.items()}
        async with client(port) as held:
            index, pid, _ = await held.ask()
            node.kill()
            node.wait()
            assert await who_serves(port) == {0, 1}
            await held.ask()
            again = site.start_node()
            hello = (await coordinator.wait_for_hello(2))[-1]
            await coordinator.wait_for(
                lambda: coordinator.status.pid == again.pid and coordinator.status.have == id_
            )
            assert site.workers() == before
            assert hello.incarnation != coordinator.said(Hello)[0].incarnation
            for at, pid_ in before.items():
                assert inodes_of_listeners(pid_, port) == inodes[at]
            assert inodes_of_listeners(again.pid, port) == set.union(*inodes.values())
            assert (await held.ask())[:2] == (index, pid)
        assert await who_serves(port) == {0, 1}
        # and the new node replaces the old one's workers, though they are not its children
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: site.workers().get(0, before[0]) != before[0])
        await until(lambda: inodes_of_listeners(site.workers()[0], port) == inodes[0])


async def test_workers_of_another_version_are_replaced(site, port):
    """After an upgrade and a crash of the node: nobody could bring them another policy."""
    node = site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        before = site.workers()
        node.kill()
        node.wait()
        (site.runtime_dir / "upgraded").touch()
        again = site.start_node()
        await coordinator.wait_for(lambda: coordinator.status.pid == again.pid)
        await until(lambda: site.log().count("a worker of another version has to go") == 2)
        await until(lambda: not any(map(identify, before.values())))
        await serving(site, coordinator, port, generation=2, services=("other",))
        assert await generations(port) == {2}
        assert not set(site.workers().values()) & set(before.values())


async def test_a_worker_that_its_node_had_no_time_to_note_is_taken_up(site, port):
    """Else it is a stranger for ever: no snapshots, an old policy, and its share of the connections."""
    node = site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        before = site.workers()
        node.kill()
        node.wait()
        records = site.runtime_dir / "workers.json"
        records.write_text(json.dumps({"0": json.loads(records.read_text())["0"]}))
        os.kill(before[0], signal.SIGSTOP)  # so the next node waits for its return
        try:
            site.start_node()
            await until(lambda: site.workers() == before)
        finally:
            os.kill(before[0], signal.SIGCONT)
        await coordinator.wait_for_hello(2)
        await serving(site, coordinator, port, generation=2, services=("other",))
        assert await generations(port) == {2}
        assert site.workers() == before


async def test_without_a_coordinator_the_last_good_snapshot_and_the_leaves_are_served(site, port):
    node = site.start_node()
    async with site.coordinator() as coordinator:
        id_ = await serving(site, coordinator, port)
        leaves = site.folder / "state" / "leaves"
        await until(lambda: len(list(leaves.glob("*.leaf"))) == 1)
        await until(lambda: (site.folder / "state" / "snapshot").exists())
    node.terminate()
    assert node.wait(timeout=60) == 0
    assert not site.workers()
    site.start_node()
    await until(lambda: site.log().count("] ready") == 2)
    page = await get(site, "/metrics")
    assert "lockgate_coordinator_up 0.0" in page
    assert "lockgate_certificate_not_after_timestamp_seconds" in page
    assert await who_serves(port) == {0, 1}
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()
        await coordinator.wait_for(lambda: coordinator.status and coordinator.status.have == id_)


async def test_a_corrupt_last_good_snapshot_is_ignored(site, port):
    state = site.folder / "state"
    state.mkdir()
    (state / "snapshot").write_bytes(b"\x93half a snapshot")
    site.start_node()
    async with site.coordinator() as coordinator:
        hello = (await coordinator.wait_for_hello())[0]
        assert hello.have is None
        await serving(site, coordinator, port)
    assert "last good snapshot is not usable" in site.log()


async def test_a_port_in_use_is_told_keeps_nobody_from_the_rest_and_is_tried_again(site, port):
    """What else is in the snapshot may be the withdrawal of a permission."""
    site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        with trio.socket.socket() as theirs:
            await theirs.bind(("127.0.0.1", free_port()))
            theirs.listen()
            taken = theirs.getsockname()[1]
            await serving(site, coordinator, port, taken, generation=2)
            await coordinator.wait_for(lambda: coordinator.status.problems)
            (problem,) = coordinator.status.problems
            assert f"'egress': cannot listen on 127.0.0.1:{taken}" in problem.message
            assert await who_serves(port) == {0, 1}
        await coordinator.wait_for(lambda: not coordinator.status.problems)
        assert await who_serves(taken) == {0, 1}


async def test_what_workers_refuse_is_refused_and_the_next_one_taken(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        bad = snapshot_for(site.authority, port, datacenter="refuse")
        id_ = await coordinator.offer(2, bad)
        await coordinator.wait_for(lambda: coordinator.said(Nack))
        (nack,) = coordinator.said(Nack)
        assert (nack.id, nack.problems[0].message) == (id_, "I refuse")
        await serving(site, coordinator, port, generation=3, services=("other",))


async def test_what_one_worker_refuses_the_other_gives_back(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        bad = snapshot_for(site.authority, port, datacenter="refuse-1")
        await coordinator.offer(2, bad)
        await coordinator.wait_for(lambda: coordinator.said(Nack))
        with trio.fail_after(30):
            while await generations(port) != {1}:
                pass
        await serving(site, coordinator, port, generation=3, services=("other",))
        assert await generations(port) == {3}


async def generations(port):
    """What callers are served by."""
    found = set()
    for _ in range(20):
        async with client(port) as one:
            found.add((await one.ask())[2])
    return found


async def test_listeners_come_and_go_with_snapshots(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        second = free_port()
        await serving(site, coordinator, port, second, generation=2)
        assert await who_serves(second) == {0, 1}
        await serving(site, coordinator, second, generation=3)
        await until(lambda: not inodes_of_listeners(site.workers()[0], port))
        await until_refused(port)
        assert await who_serves(second) == {0, 1}


async def test_a_second_node_on_the_folder_cannot_boot(site, port):
    site.start_node()
    async with site.coordinator() as coordinator:
        await coordinator.wait_for_hello()
        second = site.start_node(metrics_addr="127.0.0.1:0")
        assert await trio.to_thread.run_sync(second.wait) == 78
    assert "another node runs on this folder" in site.log()


async def test_a_cut_tether_ends_everybody(site, port):
    node = site.start_node()
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        pids = tuple(site.workers().values())
        site.cut_tether()
        with trio.fail_after(30):
            assert await trio.to_thread.run_sync(node.wait) == 0
    assert not any(identify(pid) for pid in pids)


async def test_a_drain_lets_connections_finish_and_a_second_signal_does_not(site, port):
    node = site.start_node(limits={"drain_grace_seconds": 60})
    async with site.coordinator() as coordinator:
        await serving(site, coordinator, port)
        async with client(port) as held:
            await held.ask()
            node.terminate()
            await coordinator.wait_for(lambda: coordinator.status.draining)
            await until(lambda: not inodes_of_listeners(node.pid, port))
            await held.ask()
            await until_refused(port)
            await held.ask()
            node.terminate()
            with trio.fail_after(30):
                assert await trio.to_thread.run_sync(node.wait) == 0
