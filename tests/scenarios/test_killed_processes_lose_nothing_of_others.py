"""SIGKILL of worker, node and coordinator: what the dead process did not carry itself goes on."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.harness.cluster import lockgate
from tests.harness.echo import echo
from tests.harness.entries import allow, external
from tests.harness.programs import wait_until
from tests.harness.stream import attempt, stream

pytestmark = pytest.mark.slow

GATEWAY = """
Kind = "terminating-gateway"
Name = "egress"
Services = [ { Name = "echo" } ]
"""


@pytest.fixture
def upstream():
    with echo() as server:
        yield server


@pytest.fixture
def cluster(tmp_path, upstream):
    files = {
        "gateway.hcl": GATEWAY,
        "echo.hcl": external("echo", upstream.port),
        "allow.hcl": allow("echo", "web"),
    }
    with lockgate(tmp_path, files, workers=3) as found:
        yield found


@pytest.fixture
def port(cluster):
    with cluster.sidecar("web", ["echo"]) as sidecar:
        yield sidecar.ports["echo"]


def kill(pid: int) -> float:
    """SIGKILL; when the process was seen to be gone."""
    os.kill(pid, signal.SIGKILL)
    wait_until(f"{pid} is dead", lambda: not _alive(pid))
    return time.monotonic()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _node_pid(cluster) -> int:
    return int(cluster.status()["nodes"][0]["pid"])


def test_each_worker_killed_in_turn_under_a_stream_of_new_connections(cluster, port):
    with stream(port) as running:
        wait_until("the stream runs", lambda: len(running.attempts) > 20)
        deaths: list[tuple[float, float]] = []
        for index in range(3):
            victim = cluster.worker_pids[index]
            before = time.monotonic()
            deaths.append((before, kill(victim)))
            wait_until(
                "it is replaced", lambda at=index, old=victim: _replaced(cluster, at, old), 20
            )
        seen = len(running.attempts)
        wait_until("the stream goes on", lambda: len(running.attempts) > seen + 20)
    assert len(running.attempts) > 100
    for one in running.attempts:
        in_flight = any(one.started < dead and one.ended > before for before, dead in deaths)
        if not in_flight:
            assert not one.error, one  # it waited for 10 s at most


def _replaced(cluster, index: int, old: int) -> bool:
    status = cluster.status()
    worker = status["nodes"][0]["workers"][index]
    return worker["pid"] != old and worker["generation"] == status["generation"]


def test_killed_node_is_replaced_and_workers_serve_on(cluster, port):
    workers = sorted(cluster.worker_pids)
    node = _node_pid(cluster)
    held = socket.create_connection(("127.0.0.1", port))
    _round_trip(held, b"before")
    with stream(port) as running:
        wait_until("the stream runs", lambda: len(running.attempts) > 20)
        kill(node)
        _round_trip(held, b"while it is away")
        wait_until("a new node has taken over", lambda: _adopted(cluster, node, workers), 20)
        seen = len(running.attempts)
        wait_until("the stream goes on", lambda: len(running.attempts) > seen + 20)
    _round_trip(held, b"after")
    held.close()
    assert [one for one in running.attempts if one.error] == []
    cluster.write("more.hcl", allow("echo", "web", "batch"))
    wait_until("the adopted workers follow new snapshots", lambda: _current(cluster))


def _adopted(cluster, old: int, workers: list[int]) -> bool:
    nodes = cluster.status()["nodes"]
    return (
        len(nodes) == 1
        and nodes[0]["pid"] != old
        and sorted(worker["pid"] for worker in nodes[0]["workers"]) == workers
        and nodes[0]["state"] == "current"
    )


def _current(cluster) -> bool:
    status = cluster.status()
    (node,) = status["nodes"]
    return all(w["generation"] == status["generation"] for w in node["workers"])


def test_killed_coordinator_stops_no_traffic_and_loses_no_write(cluster, port):
    held = socket.create_connection(("127.0.0.1", port))
    _round_trip(held, b"before")
    cluster.write("more.hcl", allow("echo", "web", "written-last"))
    with stream(port) as running:
        wait_until("the stream runs", lambda: len(running.attempts) > 20)
        kill(cluster.ready["pids"]["coordinator"])
        wait_until("the coordinator is back", lambda: cluster.run("status").returncode == 0, 20)
        wait_until("its node is back", lambda: _current_again(cluster), 20)
    assert [one for one in running.attempts if one.error] == []
    _round_trip(held, b"after")
    held.close()
    assert "written-last" in cluster.ok(
        "config", "read", "-kind", "service-intentions", "-name", "echo"
    )


def _current_again(cluster) -> bool:
    nodes = cluster.status()["nodes"]
    return bool(nodes) and nodes[0]["state"] == "current"


def test_node_started_without_a_coordinator_serves_its_last_good_snapshot(cluster, port):
    coordinator, node = cluster.ready["pids"]["coordinator"], _node_pid(cluster)
    workers = cluster.worker_pids
    os.kill(coordinator, signal.SIGSTOP)
    try:
        kill(node)
        for worker in workers:
            if _alive(worker):
                kill(worker)
        wait_until("the new node serves", lambda: not attempt(port, timeout=5).error, 30)
    finally:
        os.kill(coordinator, signal.SIGCONT)
    wait_until("they meet again", lambda: _current_again(cluster), 20)


def test_dev_killed_outright_leaves_no_process(tmp_path, upstream):
    files = {"gateway.hcl": GATEWAY, "echo.hcl": external("echo", upstream.port)}
    with lockgate(tmp_path, files) as cluster:
        pids = [cluster.ready["pids"]["coordinator"], _node_pid(cluster), *cluster.worker_pids]
        kill(cluster.process.pid)
        wait_until("all of them are gone", lambda: not any(_alive(pid) for pid in pids), 15)


def _round_trip(sock: socket.socket, data: bytes) -> None:
    sock.settimeout(30)
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        got += sock.recv(4096)
    assert got == data
