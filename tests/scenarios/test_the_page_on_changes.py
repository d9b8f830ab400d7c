"""docs/changes.md as an operator types it: each command runs, and prints what the page says."""

import os
import re
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.cluster import LOCKGATE, lockgate
from tests.harness.entries import allow, external
from tests.harness.programs import wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [ { Name = "files" } ]\n'


def typed():
    """The commands of the page, each with the lines that it is said to print."""
    found = []
    text = (ROOT / "docs" / "changes.md").read_text()
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


@pytest.fixture
def shell(tmp_path):
    """The program by its name, as it is installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "lockgate"
    program.write_text(f'#!/bin/sh\nexec {" ".join(LOCKGATE)} "$@"\n')
    program.chmod(0o755)

    def run(command, http):
        path = f"{folder}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", command.replace("/tmp/", f"{tmp_path}/")],
            cwd=ROOT,
            env=os.environ | {"LOCKGATE_HTTP_ADDR": http, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )

    return run


def _is_open(cluster, port, held):
    """Whether a connection is carried; another one is tried if the last was closed at once.

    A sidecar closes what comes before it knows the endpoints of its upstream.
    """
    if not cluster.connections():
        held.close()
        held.enter_context(socket.create_connection(("127.0.0.1", port)))
    return [one["state"] for one in cluster.connections()] == ["relay"]


def test_every_command_does_what_the_page_says(tmp_path, shell):
    with socket.create_server(("127.0.0.1", 0)) as files:
        wanted = {
            "gateway.hcl": GATEWAY,
            "files.hcl": external("files", files.getsockname()[1]),
            "intentions.hcl": allow("files", "web"),
        }
        with (
            lockgate(tmp_path, wanted) as cluster,
            cluster.sidecar("web", ["files"]) as sidecar,
            ExitStack() as held,
        ):
            wait_until("it is open", lambda: _is_open(cluster, sidecar.ports["files"], held))
            (connection,) = cluster.connections()
            generation = cluster.status()["generation"]
            for command, printed in typed():
                said = command.replace("GEN", str(generation)).replace("ID", connection["id"])
                if "-closed" in said or "-connection" in said:
                    wait_until("it is closed", lambda: not cluster.connections())
                done = shell(said, cluster.http)
                assert done.returncode == 0, f"{said}\n{done.stdout}"
                missing = [line for line in printed if line not in done.stdout.splitlines()]
                assert not missing, f"{said}\n{done.stdout}"
