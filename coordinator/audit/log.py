"""The audit log's file: JSON lines that are only ever appended, mode 0600, rotated by size.

Belongs here: bytes on the disk, and what happens when they cannot be written. Never here: what a line says.

A line that must not be lost is on the disk when `append_durably` returns; what it announces happens after.
When a line cannot be written nothing may be changed until one can be again (`require_writable`): the log is a
promise. A half-written line is taken back, and what a crash left of one is closed with a line end.
"""

import errno
import os
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio

from coordinator.store.records import StoreError

log = structlog.get_logger()

NAME = "audit.jsonl"
MAX_BYTES = 64 << 20
#: Rotated files that are kept: 1 GiB of calls.
KEEP = 16
_MODE = 0o600


class AuditError(StoreError):
    """The audit log cannot be written; nothing was changed."""


class AuditLog:
    """One file. Calls from one task at a time are put in order by a lock."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES, keep: int = KEEP) -> None:
        self.path = folder / NAME
        self._max_bytes = max_bytes
        self._keep = keep
        self._turn = trio.Lock()
        #: Why the last line could not be written; empty as long as all could, or can again.
        self.failed = ""
        self._open()

    def close(self) -> None:
        os.close(self._file)

    async def append_durably(self, line: dict[str, Any]) -> None:
        """The line is on the disk when this returns. Raises AuditError."""
        async with self._turn:
            try:
                await trio.to_thread.run_sync(self._write, _encoded(line), True)
            except OSError as error:
                raise self._broken(error) from error

    async def append(self, line: dict[str, Any]) -> None:
        """The line is with the kernel when this returns. A failure is told in the log, and remembered."""
        async with self._turn:
            try:
                self._write(_encoded(line), False)
            except OSError as error:
                log.error(
                    "a line of the audit log is lost", line=line, error=str(self._broken(error))
                )

    async def require_writable(self) -> None:
        """Raises AuditError while a line could not be written and one still cannot."""
        if not self.failed:
            return
        await self.append_durably({"state": "resumed", "after": self.failed})
        self.failed = ""

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self.path, flags, _MODE)
        os.fchmod(self._file, _MODE)
        self._size = os.fstat(self._file).st_size
        if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
            self._write(b"\n", False)

    def _write(self, data: bytes, durably: bool) -> None:
        if self._size and self._size + len(data) > self._max_bytes:
            self._rotate()
        try:
            written = os.write(self._file, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durably:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _rotate(self) -> None:
        """`audit.jsonl` becomes `.1`, which was becomes `.2`, and so on; the oldest goes.

        Where there is no new file to be had, the next line tries again, and moves nothing twice.
        """
        os.fsync(self._file)
        if self.path.exists():
            for number in range(self._keep - 1, 0, -1):
                older = self._numbered(number)
                if older.exists():
                    older.rename(self._numbered(number + 1))
            self.path.rename(self._numbered(1))
        filled = self._file
        self._open()
        os.close(filled)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{NAME}.{number}")

    def _broken(self, error: OSError) -> AuditError:
        self.failed = error.strerror or str(error)
        log.error("the audit log cannot be written: changes are refused", error=self.failed)
        return AuditError(f"the audit log cannot be written, so nothing was changed: {self.failed}")


def _encoded(line: dict[str, Any]) -> bytes:
    return msgspec.json.encode(line) + b"\n"
