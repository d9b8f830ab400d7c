"""The real program in a process of its own, against a real API over a unix socket in this one."""

import json
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio

from coordinator.api.serve import serve
from tests.fakes.api import make_services

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-m", "coordinator.cli"]


@dataclass
class Ended:
    """What a run of the program left."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


async def run_lockgate(*arguments, address="unix:///nowhere/admin.sock", stdin="", env=None):
    """Run the program to its end."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("CONSUL_", "LOCKGATE_"))}
    environment = clean | {"LOCKGATE_HTTP_ADDR": address} | (env or {})
    with trio.fail_after(60):
        done = await trio.run_process(
            [*PROGRAM, *map(str, arguments)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            stdin=stdin.encode(),
            cwd=ROOT,
            env=environment,
        )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def alone():
    """The program without a coordinator."""
    return run_lockgate


@pytest.fixture
async def services():
    return await make_services()


@pytest.fixture
async def admin(services, tmp_path, nursery):
    """The address of the API."""
    bound = await nursery.start(partial(serve, services, unix_path=tmp_path / "admin.sock"))
    return bound.unix


@pytest.fixture
def lockgate(admin):
    """The program with a coordinator; whatever it is asked must succeed unless `status` says else."""

    async def lockgate(*arguments, status=0, stdin=""):
        ended = await run_lockgate(*arguments, address=admin, stdin=stdin)
        assert ended.status == status, ended
        return ended

    return lockgate


@pytest.fixture
def file(tmp_path):
    """Write a file and give its path."""

    def file(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return file
