"""Ctrl-C of `lockgate dev` while it is still starting: no process, no file, no traceback; status 0."""

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness.cluster import LOCKGATE
from tests.harness.programs import processes_of, wait_until

pytestmark = pytest.mark.slow

GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [ { Name = "echo" } ]\n'
#: What can be seen of a start from outside, in its order.
STAGES = ("node.json", "state/coordinator/lock", "admin.sock", "state/node", "node/node")


@pytest.fixture
def short():
    """A TMPDIR that only this run uses; short, so that `dev` does not take another."""
    with tempfile.TemporaryDirectory(prefix="lg-dev-", dir="/tmp") as name:
        yield Path(name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_while_it_starts_leaves_nothing(short, tmp_path, stage, number):
    file = tmp_path / "gateway.hcl"
    file.write_text(GATEWAY)
    process = subprocess.Popen(
        [*LOCKGATE, "dev", str(file)],
        env={**os.environ, "TMPDIR": str(short)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(f"{stage} is there", lambda: list(short.glob(f"lockgate-*/{stage}")))
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0
    assert "Traceback" not in said
    assert list(short.iterdir()) == []
    assert processes_of(str(short)) == []


def test_a_second_one_on_the_same_relative_state_directory_is_told_so(short, tmp_path):
    """The first keeps serving; the second leaves nothing but its one line of reason."""
    environment = {**os.environ, "TMPDIR": str(short)}
    command = [*LOCKGATE, "dev", "-state", "kept"]
    first = subprocess.Popen(
        [*command, "--format", "json"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert first.stdout.readline().startswith(b'{"admin"')
        before = sorted(short.iterdir())
        second = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert (second.returncode, second.stdout) == (1, "")
        assert f"{tmp_path}/kept/coordinator is in use by process" in second.stderr
        assert sorted(short.iterdir()) == before
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
    assert first.returncode == 0
    assert (tmp_path / "kept/node").is_dir()
