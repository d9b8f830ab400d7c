"""Worker processes: starting one, finding one again, watching and ending it by its pidfd.

Belongs here: single processes, our children or not. Never here: when to start one (`worker.node.workers`).

A pid alone names nobody for long. The start time from /proc/PID/stat tells a process from a later one of the
same pid, and a pidfd, once opened and checked against it, can never mean another process (pidfd_open(2)).
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog
import trio

from .durable import write_file

_STATE, _START_TIME = 0, 19  # of the fields after the name, from 0 (proc_pid_stat(5))

_log = structlog.get_logger(__name__)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One process for good: its pid, and when it started, in clock ticks since the host's boot."""

    pid: int
    started: int


def identify(pid: int) -> Identity | None:
    """The process that has this pid now; None if there is none, or only its unreaped rest."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[_STATE] in "ZX" else Identity(pid=pid, started=int(fields[_START_TIME]))


@dataclass(slots=True, kw_only=True)
class Process:
    """A process that is watched. `child` is None for one that an earlier node started."""

    identity: Identity
    descriptor: int
    child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self.identity.pid

    async def wait(self) -> int | None:
        """Wait until it has ended; its exit status, None if it was not our child."""
        await trio.lowlevel.wait_readable(self.descriptor)
        return None if self.child is None else self.child.wait()

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it still lives."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, number)

    def close(self) -> None:
        """Stop watching. The process itself goes on, if it has not ended."""
        os.close(self.descriptor)


def spawn(command: Sequence[str], *, inherit: tuple[int, ...] = ()) -> Process:
    """Start a worker by exec. Raises OSError.

    It has a session of its own, so that Ctrl-C at a terminal reaches the node only, which drains it. Its
    stderr is the node's: a pipe would break when the node is killed.
    """
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, pass_fds=inherit, start_new_session=True
    )
    try:
        identity = identify(child.pid) or Identity(pid=child.pid, started=0)
        return Process(identity=identity, descriptor=os.pidfd_open(child.pid), child=child)
    except OSError:
        child.kill()
        child.wait()
        raise


def find(identity: Identity) -> Process | None:
    """A process that an earlier node started, if it lives. Raises OSError when out of descriptors."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if identify(identity.pid) == identity:
        return Process(identity=identity, descriptor=descriptor)
    os.close(descriptor)
    return None


def write_records(path: Path, processes: Mapping[int, Identity]) -> None:
    """Note who serves which index, for the node after this one. Raises OSError."""
    write_file(path, msgspec.json.encode({str(index): one for index, one in processes.items()}))


def read_records(path: Path) -> dict[int, Identity]:
    """What the last node noted; a file that cannot be read is nothing, and said so."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[int, Identity], strict=False)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        _log.error("the record of workers cannot be read", file=str(path), reason=str(error))
        return {}
