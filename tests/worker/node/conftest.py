"""Fixtures of the node's tests: one host with its folders and processes, and a free port."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.fakes.site import Site, free_port


@pytest.fixture
def site():
    folder = Path(tempfile.mkdtemp(prefix="lg-"))  # short: unix sockets lie in it
    made = Site(folder)
    yield made
    made.close()
    print(made.log() if (folder / "node.log").exists() else "no log")
    shutil.rmtree(folder)


@pytest.fixture
def port():
    return free_port()
