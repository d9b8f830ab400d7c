"""Files that are there whole or not at all, also after a power cut.

Belongs here: writing, and taking away. Never here: what is in them.
"""

import os
from pathlib import Path

_MODE = 0o600


def write_file(path: Path, body: bytes) -> None:
    """Put `body` in place of what was at `path`, mode 0600. Raises OSError; then the old file stands.

    Written beside it, flushed to the disk, and renamed: rename(2) is atomic, and the folder is flushed too,
    as the name is the folder's content.
    """
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
