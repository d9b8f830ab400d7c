"""Coordinators for clients that others wrote; each test names its own services."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.harness.coordinator import coordinator, place
from tests.harness.programs import PATIENCE, program

NPM = Path(__file__).with_name("npm")


@pytest.fixture(scope="package")
def server():
    with place() as folder, coordinator(folder) as started:
        yield started


@pytest.fixture(scope="package")
def guarded():
    """One that asks for tokens."""
    acl = {"enabled": True, "default_policy": "deny"}
    with place() as folder, coordinator(folder, acl=acl) as started:
        yield started


@pytest.fixture(scope="package")
def npm():
    """Run one of the tests in `npm/clients.test.js`, where the npm client is as its lock file says."""
    node = program("node", "nodejs")
    if not (NPM / "node_modules/consul").is_dir():
        message = f"the npm package consul is not installed: npm ci --prefix {NPM}"
        if os.environ.get("LOCKGATE_REQUIRE") == "1":
            pytest.fail(message)
        pytest.skip(message)

    def run(started, family, **environment):
        command = [node, "--test", "--test-reporter=tap", f"--test-name-pattern=^{family}$"]
        done = subprocess.run(
            [*command, str(NPM / "clients.test.js")],
            env={**os.environ, "LOCKGATE_PORT": str(started.port), **environment},
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "# pass 1\n" in done.stdout, done.stdout

    return run
