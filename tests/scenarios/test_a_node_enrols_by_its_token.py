"""A node that nobody has allowed joins the bus with a one-time token, and is current."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.coordinator import coordinator, place
from tests.harness.programs import free_port, wait_until

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def test_a_node_enrols_and_the_token_is_gone():
    with place() as folder, coordinator(folder, bus_addr=f"127.0.0.1:{free_port()}") as running:
        folder = Path(folder)
        api = f"http://127.0.0.1:{running.port}"

        def lockgate(*arguments):
            command = [sys.executable, "-m", "coordinator.cli", *arguments, "-http-addr", api]
            done = subprocess.run(
                [*command, "--format", "json"], cwd=ROOT, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        (own,) = lockgate("status")["coordinators"]
        token = folder / "gw1.token"
        lockgate("nodes", "token", "gw1", "-ttl", "10m", "-out", str(token))
        settings = {
            "node_name": "gw1",
            "workers": 1,
            "state_dir": str(folder / "node-state"),
            "runtime_dir": str(folder / "node-run"),
            "metrics_addr": "127.0.0.1:0",
            "coordinators": [own["address"]],
            "coordinator_key": own["bus_key"],
            "bus_key_file": str(folder / "node.key"),
            "enrol_token_file": str(token),
        }
        (folder / "node.json").write_text(json.dumps(settings))
        command = [sys.executable, "-m", "worker.node", "--config", str(folder / "node.json")]
        with (folder / "node.log").open("w") as out:
            node = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
        try:
            wait_until(
                "the node is current",
                lambda: (
                    [(n["name"], n["state"]) for n in lockgate("status")["nodes"]]
                    == [("gw1", "current")]
                ),
            )
            wait_until("the token is removed", lambda: not token.exists())
        finally:
            node.terminate()
            node.wait(30)
