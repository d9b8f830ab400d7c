"""A deny is planned, then made: what the plan named is closed, and nothing else."""

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.harness.clients import pgbench_init, start_pgbench
from tests.harness.cluster import LOCKGATE
from tests.harness.entries import deny
from tests.harness.programs import program, wait_until

pytestmark = pytest.mark.slow


def test_exactly_the_planned_connections_are_closed(cluster, sidecar):
    """pgbench holds connections to postgres, redis-cli one to redis; deny web → postgres."""
    assert pgbench_init(sidecar.ports["postgres"]).returncode == 0
    bench = start_pgbench(sidecar.ports["postgres"], seconds=180, clients=2)
    redis = subprocess.Popen(
        [program("redis-cli", "redis-tools"), "-p", str(sidecar.ports["redis"])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    monitor = subprocess.Popen(
        [*LOCKGATE, "-http-addr", cluster.http, "-format=json", "monitor"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "listening" in monitor.stdout.readline()
        redis.stdin.write(b"SET held 1\n")
        redis.stdin.flush()
        assert redis.stdout.readline() == b"OK\n"
        wait_until("both are open", lambda: len(_open(cluster)) == 3)
        before = cluster.json("history")[0]["generation"]
        file = cluster.directory / "deny.hcl"
        file.write_text(deny("postgres", "web"))

        planned = cluster.json("plan", str(file))
        assert planned["newly_denied"] == [{"source": "web", "destination": "postgres"}]
        assert planned["closes"]["complete"] is True
        doomed = {one["id"] for one in planned["closes"]["connections"]}
        live = {one["id"]: one["destination"] for one in cluster.connections()}
        assert doomed == {one for one, where in live.items() if where == "postgres"}
        assert cluster.run("plan", "-detailed-exitcode", str(file)).returncode == 2
        assert bench.poll() is None
        assert cluster.json("history")[0]["generation"] == before

        cluster.ok("config", "write", str(file))
        seen = {event["event"]: event for event in _until(monitor, "revoked")}
        assert seen["commit"]["names"] == ["entries/service-intentions/postgres"]
        generation = seen["published"]["generation"]
        assert seen["offer"]["generation"] == seen["ack"]["generation"] == generation
        assert seen["converged"]["generation"] == generation
        assert 0 < seen["revoked"]["connections"] <= len(doomed)
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(30) == 0
        bench.communicate(timeout=30)
        assert bench.returncode != 0
        wait_until("only they are closed", lambda: _open(cluster) == live.keys() - doomed)
        redis.stdin.write(b"GET held\n")
        redis.stdin.flush()
        assert redis.stdout.readline() == b"1\n"

        gone = min(doomed)
        explained = cluster.json("explain", "-connection", gone)
        assert explained["connection"]["end"] == "intention_revoked"
        assert explained["then"]["rule"]["SourceName"] == "web"
        assert explained["then"]["allowed"] is True
        assert explained["allowed"] is False
        closed = {one["id"] for one in cluster.json("connections", "list", "-closed")}
        assert doomed <= closed
        same = cluster.run("simulate", str(file))
        assert same.returncode == 2, same.stdout + same.stderr

        back = cluster.json("rollback", str(before))
        assert back["newly_allowed"] == [{"source": "web", "destination": "postgres"}]
        assert pgbench_init(sidecar.ports["postgres"]).returncode == 0
    finally:
        for client in (redis, bench, monitor):
            client.kill()
            client.communicate()


def _until(monitor, event: str) -> Iterator[dict]:
    """What the monitor prints, up to the first of these events."""
    for line in monitor.stdout:
        told = json.loads(line)
        yield told
        if told["event"] == event:
            return


def _open(cluster) -> set[str]:
    return {one["id"] for one in cluster.connections()}
