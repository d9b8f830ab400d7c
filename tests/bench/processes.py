"""Processes of the benchmark: each is started here, and ended by its id.

Belongs here: starting, waiting, ending, ports. Never here: what a process is for, or anything of
`tests.harness`, which needs pytest: the benchmark runs with the product's own install.
"""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_given: set[int] = set()


class BenchError(Exception):
    """The benchmark cannot go on with this; one line that says why."""


def end_with_parent() -> None:
    """Run in a child before exec: SIGTERM when the driver dies, however it does (prctl(2))."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    *,
    stdout: int | IO[bytes] | None = None,
    stdin: int = subprocess.DEVNULL,
    stop_seconds: float = 15,
) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, so that Ctrl-C reaches the driver alone; ended at the end."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdout=stdout if stdout is not None else out,
            stderr=out,
            stdin=stdin,
            text=True,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    try:
        yield process
    finally:
        stop(process, stop_seconds)


def stop(process: subprocess.Popen[str], seconds: float) -> None:
    """SIGTERM; after so long SIGKILL, to its group as well, so that no child of it stays."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def pause(seconds: float) -> None:
    """Between two looks at something, or while something settles."""
    time.sleep(seconds)  # noqa: TID251 -- the driver is one thread that waits for other processes


def wait_until(
    what: str, check: Callable[[], bool], of: subprocess.Popen[str], seconds: float = 15
) -> None:
    """Raises BenchError, which names `what`, after so long, or once the process `of` has ended."""
    deadline = time.monotonic() + seconds
    while not check():
        if of.poll() is not None:
            raise BenchError(f"ended with status {of.returncode}: {what}")
        if time.monotonic() > deadline:
            raise BenchError(f"after {seconds:g} s still not: {what}")
        pause(0.02)


def listens(port: int) -> bool:
    """Whether somebody accepts connections on 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A free port of loopback, below the range of outgoing connections; each is given once."""
    for port in random.sample(range(20_000, 32_000), 500):
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise BenchError("no free port between 20000 and 32000")


def program(name: str, package: str) -> str:
    """The path of a program. Raises BenchError, which names the Debian package."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise BenchError(f"{name} is not installed: apt-get install {package}")
    return found
