"""An intention for a few seconds: what it let in is closed at its end, and it is shown as expired."""

import subprocess
import time

import httpx
import pytest

from tests.harness.clients import redis_cli
from tests.harness.programs import program, wait_until

pytestmark = pytest.mark.slow

#: Long enough for a busy machine to open a connection meanwhile.
SECONDS = 10


def get(cluster, path):
    return httpx.get(f"{cluster.http}/v1/lockgate/{path}", timeout=30).raise_for_status().json()


def to_redis(cluster):
    return [one["id"] for one in get(cluster, "connections") if one["destination"] == "redis"]


def is_known(cluster):
    """Whether every worker decides by what was written last."""
    status = get(cluster, "status")
    workers = [worker for node in status["nodes"] for worker in node["workers"]]
    return all(worker["generation"] == status["generation"] for worker in workers)


def test_what_it_let_in_is_closed_at_its_end_and_nothing_else(cluster, sidecar):
    ports = sidecar.ports
    cluster.ok("intention", "create", "-expires-in", "1h", "batch", "redis")
    assert "allow until" in cluster.ok("intention", "list")
    began = time.monotonic()
    cluster.ok("intention", "create", "-replace", "-expires-in", f"{SECONDS}s", "web", "redis")
    wait_until("it is known", lambda: is_known(cluster))
    client = subprocess.Popen(
        [program("redis-cli", "redis-tools"), "-p", str(ports["redis"])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        client.stdin.write(b"PING\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"PONG\n"
        (held,) = to_redis(cluster)
        wait_until("it is closed", lambda: held not in to_redis(cluster), 2 * SECONDS)
        assert time.monotonic() - began >= SECONDS - 1
        wait_until(
            "the cause is counted",
            lambda: cluster.metric("lockgate_connections_revoked_total", cause="expiry") == 1,
        )
        assert cluster.metric("lockgate_connections_revoked_total", cause="intention") == 0
    finally:
        client.kill()
        client.communicate()
    assert redis_cli(ports["redis"], "PING").stdout != b"PONG\n"
    assert "allow expired" in cluster.ok("intention", "list")
    explained = cluster.json("explain", "-source", "web", "-destination", "redis")
    assert explained["allowed"] is False
    assert [one["SourceName"] for one in explained["decision"]["expired"]] == ["web"]
    assert cluster.run("intention", "check", "web", "redis").returncode == 1
