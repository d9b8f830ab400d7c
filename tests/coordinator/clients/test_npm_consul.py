"""`consul`, the npm client that others wrote, against a real coordinator; its tests are in `npm/`."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.harness.programs import PATIENCE, program

FOLDER = Path(__file__).with_name("npm")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node():
    """The interpreter, with the client installed beside the tests as the lock file says."""
    found = program("node", "nodejs")
    if not (FOLDER / "node_modules/consul").is_dir():
        message = f"the npm package consul is not installed: npm ci --prefix {FOLDER}"
        if os.environ.get("LOCKGATE_REQUIRE") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.mark.parametrize("family", ["catalog", "agent", "health", "watch", "kv"])
def test_the_client_works(node, server, family):
    command = [node, "--test", "--test-reporter=tap", f"--test-name-pattern=^{family}$"]
    done = subprocess.run(
        [*command, str(FOLDER / "clients.test.js")],
        env={**os.environ, "LOCKGATE_PORT": str(server.port)},
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 1\n" in done.stdout, done.stdout
