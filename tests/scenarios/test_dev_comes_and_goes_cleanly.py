"""`lockgate dev --format json` prints one object once ready; SIGINT leaves nothing behind."""

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.harness.cluster import lockgate
from tests.harness.echo import echo
from tests.harness.entries import allow, external
from tests.harness.programs import listens, processes_of, wait_until

pytestmark = pytest.mark.slow

GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [ { Name = "echo" } ]\n'


def test_one_object_then_nothing_left_behind(tmp_path):
    with echo() as upstream:
        files = {
            "gateway.hcl": GATEWAY,
            "echo.hcl": external("echo", upstream.port),
            "allow.hcl": allow("echo", "web"),
        }
        with lockgate(tmp_path, files) as cluster:
            ready = cluster.ready
            assert set(ready) >= {"admin", "http", "listeners", "metrics", "pids"}
            (listener,) = ready["listeners"]
            assert listener["gateway"] == "egress"
            assert listener["kind"] == "terminating-gateway"
            assert len(ready["pids"]["workers"]) == 2
            socket_path = Path(ready["admin"].removeprefix("unix://"))
            assert socket_path.is_socket()
            private = socket_path.parent
            for url in ready["metrics"].values():
                assert b"lockgate_build_info" in urllib.request.urlopen(url, timeout=5).read()
            (coordinator,) = cluster.status()["coordinators"]
            assert len(coordinator["bus_key"]) == 40
            with cluster.sidecar("web", ["echo"]):
                pass
            cluster.process.send_signal(signal.SIGINT)
            assert cluster.process.wait(20) == 0
            assert cluster.process.stdout.read() == ""
        assert not private.exists()
        assert processes_of(str(private)) == []
        pids = [ready["pids"]["coordinator"], ready["pids"]["node"], *ready["pids"]["workers"]]
        assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
        _, port = cluster.address("egress")
        assert not listens(port)


def test_what_it_logs_is_no_part_of_its_answer(tmp_path):
    """Whoever reads the object from standard output may read on: nothing else comes."""
    with lockgate(tmp_path, {}) as cluster:
        os.kill(cluster.ready["pids"]["coordinator"], signal.SIGKILL)
        wait_until("its log tells", lambda: "started again" in cluster.log.read_text(), 20)
        cluster.process.send_signal(signal.SIGINT)
        assert cluster.process.wait(20) == 0
        assert cluster.process.stdout.read() == ""


def test_convergence_is_shown_and_fast(tmp_path):
    """Commit to last worker applied: under 100 ms at the median, on this scale."""
    files = {"gateway.hcl": GATEWAY, "echo.hcl": external("echo", 9)}
    with lockgate(tmp_path, files) as cluster:
        for number in range(20):
            cluster.write("allow.hcl", allow("echo", f"web-{number}"))
        shown = cluster.status()["convergence_seconds"]
        assert set(shown) >= {"p50", "p99", "last"}
        assert 0 < shown["p50"] < 0.1, json.dumps(shown)


def test_state_directory_is_kept_when_named(tmp_path):
    files = {"gateway.hcl": GATEWAY, "echo.hcl": external("echo", 9)}
    state = tmp_path / "state"
    with lockgate(tmp_path, files, extra=("--state", str(state))) as cluster:
        cluster.ok("config", "read", "-kind", "terminating-gateway", "-name", "egress")
    with lockgate(tmp_path, {}, extra=("--state", str(state))) as again:
        assert [one["gateway"] for one in again.ready["listeners"]] == ["egress"]
        found = again.json("config", "read", "-kind", "terminating-gateway", "-name", "egress")
        assert found["Name"] == "egress"
