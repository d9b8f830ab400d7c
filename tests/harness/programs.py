"""Programs from Debian packages that scenarios talk to: found, or the test says which package is missing."""

import contextlib
import os
import random
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

#: Where Debian keeps servers that are not on everybody's path.
_PLACES = ("/usr/sbin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/17/bin")
#: One factor for slow machines, on waits alone, which are bounds. What is promised is not scaled.
PATIENCE = float(os.environ.get("LOCKGATE_PATIENCE", "1"))


def program(name: str, package: str) -> str:
    """The path of a program. Without it the test is skipped, or fails if LOCKGATE_REQUIRE=1."""
    found = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], *_PLACES)))
    if found is None:
        lacking(name, package)
    return found


def lacking(name: str, package: str) -> NoReturn:
    """Skip the test, or fail it if LOCKGATE_REQUIRE=1, and say which Debian package has what it needs."""
    message = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("LOCKGATE_REQUIRE") == "1":
        pytest.fail(message)
    pytest.skip(message)


def wait_until(what: str, check: Callable[[], object], seconds: float = 10.0) -> object:
    """Ask `check` until it gives something true; what it gave. Fails naming `what` after so long."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        if found := check():
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds * PATIENCE:g} s still not: {what}")
        time.sleep(0.02)  # noqa: TID251 -- between two looks at something observable


def free_port() -> int:
    """A port of loopback that is free for TCP and UDP, below the range of outgoing connections.

    Each is given once, so that two servers of one test never get the same; test processes that run side by
    side (pytest-xdist) give out different ones.
    """
    for port in random.sample(_OURS, 1000):
        if port in _given:
            continue
        with (
            contextlib.suppress(OSError),
            socket.socket() as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise OSError("no free port")


_given: set[int] = set()
_OURS = range(
    12_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
    20_000,
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def processes_of(marker: str) -> list[int]:
    """Pids of living processes whose command line mentions `marker`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in line:
                found.append(int(entry.name))
    return found
