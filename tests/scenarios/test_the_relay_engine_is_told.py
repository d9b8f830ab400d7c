"""Which relay engine runs is told alike by the program, by `status`, and by each worker's metric."""

import pytest

from tests.harness.cluster import lockgate
from tests.harness.entries import external
from tests.harness.programs import wait_until

pytestmark = pytest.mark.slow

GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [ { Name = "echo" } ]\n'


def test_status_metrics_and_version_agree(tmp_path):
    files = {"gateway.hcl": GATEWAY, "echo.hcl": external("echo", 9)}
    with lockgate(tmp_path, files) as cluster:
        engine = cluster.json("--version")["relay_engine"]
        workers = len(cluster.ready["pids"]["workers"])
        wait_until(
            f"{workers} workers say that they run the {engine} engine",
            lambda: cluster.metric("lockgate_relay_engine_info", engine=engine) == workers,
        )
        wait_until(
            f"the node says that its workers run the {engine} engine",
            lambda: [node["engine"] for node in cluster.status()["nodes"]] == [engine],
        )
