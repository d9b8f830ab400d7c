"""A real worker says which relay engine it runs, in its metrics and in its log."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cluster.messages import Metrics
from tests.fakes.rig import eventually
from tests.worker.test_worker_process import Node, ended, worker
from worker.relay.probe import choose

#: As `-I -m worker`, where the extension cannot be had.
_WITHOUT_NATIVE = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
sys.modules["worker.relay.native._loop"] = None
"""


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory() as name:  # short: a unix path holds 107 bytes
        yield Path(name)


async def engines(node):
    """What the worker's first account says."""
    await eventually(lambda: node.last(Metrics) is not None)
    return [
        sample.labels["engine"]
        for family in node.last(Metrics).families
        for sample in family.samples
        if sample.name == "lockgate_relay_engine_info"
    ]


async def said(process):
    """All that it wrote by its end."""
    process.terminate()
    text = b"".join([chunk async for chunk in process.stderr])
    assert await ended(process) == 0
    return text.decode()


async def test_the_engine_that_was_installed(place):
    node, (engine, _) = Node(place), choose()
    async with node.open(), worker(place) as process:
        assert await engines(node) == [engine.name]
        assert f"engine={engine.name}" in await said(process)


async def test_without_the_extension_it_is_the_pure_one_and_says_why(place):
    node = Node(place)
    async with node.open(), worker(place, before=_WITHOUT_NATIVE) as process:
        assert await engines(node) == ["pure"]
        log = await said(process)
    assert "engine=pure" in log
    assert "worker.relay.native" in log


def test_the_probe_is_told_apart_too():
    asked = "import runpy; runpy.run_module('worker.relay.probe', run_name='__main__')"
    command = _WITHOUT_NATIVE + asked
    done = subprocess.run([sys.executable, "-I", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "pure\n")
    assert "worker.relay.native._loop" in done.stderr
