"""Default deny, allow, and a deny that ends exactly the denied pair's open connections."""

import subprocess
import time

import pytest

from tests.harness.clients import pgbench_init, psql, redis_cli, start_pgbench
from tests.harness.cluster import lockgate
from tests.harness.entries import allow, deny
from tests.harness.programs import program, wait_until

pytestmark = pytest.mark.slow


def test_without_an_intention_nobody_gets_in_and_explain_says_why(tmp_path, outside):
    files = {name: text for name, text in outside.items() if name != "allow-postgres.hcl"}
    with lockgate(tmp_path, files) as cluster, cluster.sidecar("web", ["postgres"]) as sidecar:
        port = sidecar.ports["postgres"]
        refused = psql(port, "select 1")
        assert refused.returncode != 0
        explained = cluster.json("explain", "-source", "web", "-destination", "postgres")
        assert explained["allowed"] is False
        assert explained["decision"]["default"] is True
        denied = {"service": "postgres", "source": "web", "decision": "deny"}
        wait_until(
            "the denial is counted",
            lambda: cluster.metric("lockgate_authorization_decisions_total", **denied),
        )
        ended = {"service": "postgres", "end": "denied"}
        wait_until(
            "and the end is",
            lambda: cluster.metric("lockgate_connections_closed_total", **ended),
        )

        cluster.write("allow.hcl", allow("postgres", "web"))
        wait_until("the intention lets us in", lambda: psql(port, "select 1").stdout == b"1\n")
        explained = cluster.json("explain", "-source", "web", "-destination", "postgres")
        assert explained["allowed"] is True
        assert explained["decision"]["rule"]["SourceName"] == "web"


def test_a_deny_ends_exactly_the_denied_pairs_connections(cluster, sidecar):
    """pgbench runs, a redis client holds a connection; deny web → postgres."""
    assert pgbench_init(sidecar.ports["postgres"]).returncode == 0
    bench = start_pgbench(sidecar.ports["postgres"], seconds=180, clients=4)
    redis = subprocess.Popen(
        [program("redis-cli", "redis-tools"), "-p", str(sidecar.ports["redis"])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        redis.stdin.write(b"SET held 1\n")
        redis.stdin.flush()
        assert redis.stdout.readline() == b"OK\n"
        wait_until("pgbench's connections are open", lambda: _open(cluster, "postgres") >= 4)
        (held,) = [one for one in cluster.connections() if one["destination"] == "redis"]

        cluster.write("deny.hcl", deny("postgres", "web"))
        denied_at = time.monotonic()
        output, _ = bench.communicate(timeout=20)
        took = time.monotonic() - denied_at
        assert bench.returncode != 0, output
        assert took < 10, f"pgbench lived on for {took:.2f} s"
        wait_until("none is left", lambda: _open(cluster, "postgres") == 0)
        ended = {"service": "postgres", "end": "intention_revoked"}
        wait_until(
            "the endings are counted",
            lambda: cluster.metric("lockgate_connections_closed_total", **ended) >= 4,
        )

        redis.stdin.write(b"GET held\n")
        redis.stdin.flush()
        assert redis.stdout.readline() == b"1\n"
        assert held["id"] in [one["id"] for one in cluster.connections()]
        assert redis_cli(sidecar.ports["redis"], "PING").stdout == b"PONG\n"
        revoked = {"service": "redis", "end": "intention_revoked"}
        assert cluster.metric("lockgate_connections_closed_total", **revoked) == 0
    finally:
        redis.kill()
        redis.communicate()
        bench.kill()
        bench.communicate()


def _open(cluster, destination: str) -> int:
    return sum(one["destination"] == destination for one in cluster.connections())


def test_an_operator_closes_one_connection_and_no_other(cluster, sidecar):
    clients = [
        subprocess.Popen(
            [program("redis-cli", "redis-tools"), "-p", str(sidecar.ports["redis"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    try:
        for client in clients:
            client.stdin.write(b"PING\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"PONG\n"
        victim = cluster.connections()[0]
        cluster.ok("connections", "close", victim["id"])
        wait_until("one is left", lambda: _open(cluster, "redis") == 1)
        closed = {"service": "redis", "end": "closed_by_operator"}
        wait_until(
            "it is counted",
            lambda: cluster.metric("lockgate_connections_closed_total", **closed) == 1,
        )
    finally:
        for client in clients:
            client.kill()
            client.communicate()
