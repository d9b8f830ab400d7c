"""What a node cannot start with is one line that names it, and the exit status that means: do not retry."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COULD_NOT_BOOT = 78

pytestmark = pytest.mark.slow


@pytest.fixture
def refused(tmp_path):
    """A function from settings to the one line that a node ends with."""

    def start(**settings):
        file = tmp_path / "node.json"
        folders = {"runtime_dir": str(tmp_path / "run"), "state_dir": str(tmp_path / "state")}
        file.write_text(json.dumps(folders | {"metrics_addr": "127.0.0.1:0"} | settings))
        command = [sys.executable, "-m", "worker.node", "--config", str(file)]
        ended = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        assert ended.returncode == COULD_NOT_BOOT, ended.stderr
        (line,) = ended.stderr.splitlines()
        return line

    return start


def test_a_metrics_port_in_use_is_named(refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(metrics_addr=address)
    assert line.startswith(f"metrics_addr {address}: Address already in use")


@pytest.mark.parametrize("folder", ["runtime_dir", "state_dir"])
def test_a_file_where_a_folder_should_be_is_named(refused, tmp_path, folder):
    (tmp_path / "in the way").touch()
    line = refused(**{folder: str(tmp_path / "in the way" / "x")})
    assert str(tmp_path / "in the way") in line
    assert "Not a directory" in line
