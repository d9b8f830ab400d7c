"""The last snapshot that all workers served, on disk, to start from when no coordinator answers.

Belongs here: its files. Never here: deciding what is good (`worker.node.applier`).

Sections lie one after the other in a file of their own, and `snapshot` says which of them, by digest, make
up the last good one: a change writes what is new behind the others, and then `snapshot` anew, in one piece.
What is behind the last section that `snapshot` names is of no account, so a crash at any point leaves what
was good before. When more than half of them are of no use any more, those in use are written into a new file,
and the old one is taken away: the disk never holds more than three times a snapshot and a MiB.

What is not exactly what was written is not believed: each section must have its digest, and all together
theirs.
"""

import os
from collections.abc import Mapping
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
#: What may be of no use in the file of sections, besides as much as is of use.
SPARE_BYTES = 1 << 20

_log = structlog.get_logger(__name__)

#: Where a section lies: offset and length in bytes.
_Place = tuple[int, int]


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    """`confirmed_at` is when a coordinator last vouched for it, unix seconds. `sections` is the number of the
    file that holds them, `places` where in it, by name; `encoded` is how older versions kept them instead.
    """

    id: SnapshotId
    committed_at: float
    confirmed_at: float
    manifest: dict[str, str] = {}
    places: dict[str, _Place] = {}
    sections: int = 0
    encoded: Encoded | None = None


class LastGood:
    """The file at `path`, and those of its sections beside it. One call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = 0  # none that can be added to
        self._places: Mapping[str, _Place] = {}  # by digest, in that file
        self._size = 0

    def save(self, held: Held, *, confirmed_at: float) -> None:
        """Raises OSError; then what was there before stands."""
        manifest, sections = held.encoded.manifest, held.encoded.sections
        new = {d: sections[name] for name, d in manifest.items() if d not in self._places}
        used = sum(map(len, sections.values()))
        is_full = self._size + sum(map(len, new.values())) > 2 * used + SPARE_BYTES
        file, self._file = self._file, 0  # until all of this is done
        if file and not is_full:
            places = {**self._places, **_placed(new, self._size)}
            self._append(file, b"".join(new.values()))
        else:
            every = {digest: sections[name] for name, digest in manifest.items()}
            file, places = max(self._numbers(), default=0) + 1, _placed(every, 0)
            write_file(self._sections(file), b"".join(every.values()))
        saved = _Saved(
            id=held.id,
            committed_at=held.committed_at,
            confirmed_at=confirmed_at,
            manifest=manifest,
            places={name: places[digest] for name, digest in manifest.items()},
            sections=file,
        )
        write_file(self._path, encode(saved))
        self._become(file, {digest: places[digest] for digest in manifest.values()})

    def load(self) -> tuple[Held, float] | None:
        """The snapshot and when it was confirmed; None, with a log line, if there is none to be believed."""
        try:
            saved = decode(_Saved, self._path.read_bytes())
            encoded = saved.encoded or self._read(saved)
            snapshot = decode_snapshot(encoded, saved.id.digest)
        except FileNotFoundError as error:
            if error.filename != str(self._path):
                self._tell(error)
            return None
        except (OSError, LockgateError) as error:
            self._tell(error)
            return None
        held = Held(
            id=saved.id, encoded=encoded, snapshot=snapshot, committed_at=saved.committed_at
        )
        if saved.encoded is None:
            places = {saved.manifest[name]: place for name, place in saved.places.items()}
            self._become(saved.sections, places)
        return held, saved.confirmed_at

    def _tell(self, error: Exception) -> None:
        _log.error("the last good snapshot is not usable", file=str(self._path), reason=str(error))

    def _become(self, file: int, places: Mapping[str, _Place]) -> None:
        """From here on, on the disk too, these sections are the last good ones."""
        for other in self._numbers():
            if other != file:
                self._sections(other).unlink(missing_ok=True)
        self._file, self._places = file, places
        self._size = max((offset + length for offset, length in places.values()), default=0)

    def _append(self, file: int, body: bytes) -> None:
        """Behind what is of account; whatever a crash left there is written over."""
        if not body:
            return
        descriptor = os.open(self._sections(file), os.O_WRONLY | os.O_CLOEXEC)
        try:
            written = 0
            while written < len(body):
                written += os.pwrite(descriptor, body[written:], self._size + written)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def _read(self, saved: _Saved) -> Encoded:
        """What is not there is empty, and so has not its digest. Raises OSError."""
        body = self._sections(saved.sections).read_bytes()
        cut = {name: body[at : at + length] for name, (at, length) in saved.places.items()}
        return Encoded(manifest=saved.manifest, sections=cut)

    def _sections(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.sections.{number}")

    def _numbers(self) -> tuple[int, ...]:
        """Of the files of sections that are there."""
        found = (
            path.suffix[1:] for path in self._path.parent.glob(f"{self._path.name}.sections.*")
        )
        return tuple(int(number) for number in found if number.isdecimal())


def _placed(sections: Mapping[str, bytes], offset: int) -> dict[str, _Place]:
    """Where these lie, one after the other, the first at `offset`."""
    places: dict[str, _Place] = {}
    for digest, body in sections.items():
        places[digest] = (offset, len(body))
        offset += len(body)
    return places
