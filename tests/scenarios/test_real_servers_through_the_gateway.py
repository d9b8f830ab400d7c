"""Programs that know nothing of the mesh reach real servers outside it.

The way is: client, plain → sidecar of `web`, mutual TLS → terminating gateway → server, plain or TLS.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.clients import fetch, pgbench, pgbench_init, redis_cli
from tests.harness.cluster import lockgate
from tests.harness.programs import wait_until

pytestmark = pytest.mark.slow
TEN_MEGABYTES = 10 * 1024 * 1024


def _bench_postgres(port: int) -> None:
    made = pgbench_init(port)
    assert made.returncode == 0, made.stderr
    done = pgbench(port, seconds=10)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"number of failed transactions: 0" in done.stdout


def _store_and_read(port: int) -> None:
    value = os.urandom(TEN_MEGABYTES).hex().encode()[:TEN_MEGABYTES]
    stored = redis_cli(port, "-x", "SET", "big", stdin=value)
    assert stored.stdout.strip() == b"OK"
    assert redis_cli(port, "--raw", "GET", "big").stdout.rstrip(b"\n") == value


def _fetch_large(port: int, web, into) -> None:
    status, checksum = fetch(port, "large.bin", into)
    assert status == 0
    assert checksum == web.checksum


def test_pgbench_runs_ten_seconds(cluster, sidecar):
    _bench_postgres(sidecar.ports["postgres"])


def test_redis_stores_and_reads_ten_megabytes(cluster, sidecar):
    _store_and_read(sidecar.ports["redis"])


def test_curl_fetches_a_hundred_megabytes_over_tls_origination(cluster, sidecar, web, tmp_path):
    _fetch_large(sidecar.ports["files"], web, tmp_path / "got.bin")
    down = {"service": "files", "direction": "down"}
    wait_until(
        "all of it is counted",
        lambda: (
            cluster.metric("lockgate_connection_bytes_total", **down) > web.large.stat().st_size
        ),
    )


def test_all_three_at_once_with_four_workers(tmp_path, outside, web):
    with (
        lockgate(tmp_path, outside, workers=4) as cluster,
        cluster.sidecar("web", ["postgres", "redis", "files"]) as sidecar,
        ThreadPoolExecutor(3) as pool,
    ):
        work = [
            pool.submit(_bench_postgres, sidecar.ports["postgres"]),
            pool.submit(_store_and_read, sidecar.ports["redis"]),
            pool.submit(_fetch_large, sidecar.ports["files"], web, tmp_path / "got.bin"),
        ]
        for one in work:
            one.result()
        assert len(cluster.worker_pids) == 4
