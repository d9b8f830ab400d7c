"""The last snapshot that all workers served, on disk, to start from when no coordinator answers.

Belongs here: one file. Never here: deciding what is good (`worker.node.applier`).
A file that is not exactly what was written is not believed.
"""

from pathlib import Path

import msgspec
import structlog

from cluster.codec import decode, encode
from cluster.errors import LockgateError
from cluster.sections import Encoded, decode_snapshot
from cluster.snapshot import SnapshotId

from .delivery import Held
from .durable import write_file

FILE_NAME = "snapshot"

_log = structlog.get_logger(__name__)


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    """`confirmed_at` is when a coordinator last vouched for it, unix seconds."""

    id: SnapshotId
    encoded: Encoded
    committed_at: float
    confirmed_at: float


def save(path: Path, held: Held, *, confirmed_at: float) -> None:
    """Raises OSError; then what was there before stands."""
    saved = _Saved(
        id=held.id,
        encoded=held.encoded,
        committed_at=held.committed_at,
        confirmed_at=confirmed_at,
    )
    write_file(path, encode(saved))


def load(path: Path) -> tuple[Held, float] | None:
    """The snapshot and when it was confirmed; None, with a log line, if there is none to be believed."""
    try:
        saved = decode(_Saved, path.read_bytes())
        snapshot = decode_snapshot(saved.encoded, saved.id.digest)
    except FileNotFoundError:
        return None
    except (OSError, LockgateError) as error:
        _log.error("the last good snapshot is not usable", file=str(path), reason=str(error))
        return None
    held = Held(
        id=saved.id,
        encoded=saved.encoded,
        snapshot=snapshot,
        committed_at=saved.committed_at,
    )
    return held, saved.confirmed_at
