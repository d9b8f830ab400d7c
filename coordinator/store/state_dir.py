"""The state directory: closed to other users, and held by one process at a time.

Belongs here: making, closing and locking the directory. Never here: what lies in it.

The lock is `flock` on `<state_dir>/lock`, which the kernel lets go of when its holder is gone, however it
went. The number in that file only serves the message to whoever comes second.
"""

import fcntl
import os
import stat
from pathlib import Path

from .records import StateLocked, StateUnsafe

_PID_BYTES = 20


def prepare(state_dir: Path) -> None:
    """Make the directory if it is missing, and see that only its owner may enter it (0700).

    A directory that many share (sticky, as /tmp is) is refused rather than closed. Raises StateUnsafe.
    """
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = stat.S_IMODE(state_dir.stat().st_mode)
    if not mode & 0o077:
        return
    if mode & stat.S_ISVTX:
        raise StateUnsafe(f"state directory {state_dir} is shared by all users (mode {mode:04o})")
    try:
        state_dir.chmod(0o700)
    except PermissionError:
        raise StateUnsafe(
            f"state directory {state_dir} is open to others (mode {mode:04o}) and not ours to close"
        ) from None


class StateLock:
    """The hold on a state directory, until `release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, state_dir: Path) -> "StateLock":
        """Raises StateLocked, with the process that holds the directory."""
        descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, _PID_BYTES, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StateLocked(
                f"state directory {state_dir} is in use by process {holder or 'unknown'}"
            ) from None
        _write_pid(descriptor)
        return cls(descriptor)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write_pid(descriptor: int) -> None:
    """In place and of fixed length: the file is never empty in between, and a full disk is no matter."""
    try:
        os.pwrite(descriptor, f"{os.getpid():<{_PID_BYTES}}".encode("ascii"), 0)
    except OSError:
        return  # only the message to a second coordinator suffers
