"""An intention for a few seconds: what it let in is closed at its end, and it is shown as expired."""

import subprocess
import time

import pytest

from tests.harness.clients import redis_cli
from tests.harness.programs import program, wait_until

pytestmark = pytest.mark.slow

SECONDS = 6


def test_what_it_let_in_is_closed_at_its_end_and_nothing_else(cluster, sidecar):
    ports = sidecar.ports
    began = time.monotonic()
    cluster.ok("intention", "create", "-replace", "-expires-in", f"{SECONDS}s", "web", "redis")
    assert "allow until" in cluster.ok("intention", "list")
    client = subprocess.Popen(
        [program("redis-cli", "redis-tools"), "-p", str(ports["redis"])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        client.stdin.write(b"PING\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"PONG\n"
        (held,) = [one for one in cluster.connections() if one["destination"] == "redis"]
        wait_until(
            "it is closed",
            lambda: held["id"] not in [one["id"] for one in cluster.connections()],
        )
        took = time.monotonic() - began
        assert SECONDS - 1 <= took < SECONDS + 3
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
