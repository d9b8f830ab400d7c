"""A small local file that is asked often and read only when it changed.

Belongs here: noticing. Never here: what the file means. The calls are synchronous: one stat(2) of a
local file takes about a microsecond.
"""

import os
from pathlib import Path


class WatchedFile:
    """Compares inode, size and modification time; a missing file counts as an empty one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._fresh = True

    def changed(self) -> bool:
        """Whether the file is another than at the last call; True at the first."""
        now = self._identity()
        changed = self._fresh or now != self._seen
        self._fresh, self._seen = False, now
        return changed

    def read(self) -> str:
        """The text of the file; empty if it cannot be read."""
        try:
            return Path(self.path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _identity(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns
