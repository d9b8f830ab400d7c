"""The whole wanted state as one file, and back: what `/v1/snapshot` gives and takes. Pure.

Belongs here: the file, and which changes put its content in place. Never here: I/O, or who may.

The file is one line, `lockgate-snapshot 1 <sha256>`, and the compressed records that the digest is of. It
holds the CA's private keys and the hashes of tokens, so it is as secret as the state directory.

To restore is an ordinary commit: records that differ get new indexes, those that are equal keep theirs, and
so nobody who waits is passed over and no index goes back. Not put back are the history of the entries, which
gets the restoration as one more version that can be rolled back, and the counter of serial numbers, which
skips so many that none is given twice.
"""

import hashlib
import zlib
from collections.abc import Iterable

import msgspec

from cluster.errors import LockgateError

from .records import Change, Delete, Put, Record
from .state import State
from .tables import CA, CA_SERIAL, VERSIONS

MAX_BYTES = 256 * 1024 * 1024
_MAX_UNPACKED_BYTES = 2 * 1024 * 1024 * 1024
_FORMAT = 1
_MAGIC = b"lockgate-snapshot "
_HEAD_BYTES = 120
_KEPT = (VERSIONS,)
# Whoever saved the file may have signed on afterwards, in a place that is lost now.
_SERIALS_SKIPPED = 2**32


class SavedError(LockgateError):
    """The file is damaged, of a newer version, or none of ours. One sentence."""


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds; `at` in seconds since 1970, `lockgate` the version that wrote it."""

    datacenter: str
    revision: int
    at: float
    lockgate: str
    records: tuple[Record, ...]


def saved_state(state: State, *, datacenter: str, at: float, lockgate: str) -> Saved:
    """The present as it goes into a file."""
    records = sorted(state.records(), key=lambda record: (record.table, record.key))
    return Saved(
        datacenter=datacenter,
        revision=state.revision,
        at=at,
        lockgate=lockgate,
        records=tuple(record for record in records if record.table not in _KEPT),
    )


def encode_saved(saved: Saved) -> bytes:
    """The file."""
    body = zlib.compress(msgspec.msgpack.encode(saved))
    return b"%s%d %s\n%s" % (_MAGIC, _FORMAT, digest(body).encode(), body)


def decode_saved(content: bytes) -> Saved:
    """What the file holds, if it is whole. Raises SavedError."""
    head, newline, body = content.partition(b"\n")
    if not content.startswith(_MAGIC) or not newline or len(head) > _HEAD_BYTES:
        raise SavedError("this is no snapshot of Lockgate")
    version, _, expected = head.removeprefix(_MAGIC).decode("ascii", "replace").partition(" ")
    if version != str(_FORMAT):
        raise SavedError(f"the snapshot has format {version[:20]!r}, this program knows {_FORMAT}")
    if digest(body) != expected:
        raise SavedError("the snapshot is damaged: its content does not have the digest it names")
    try:
        saved = msgspec.msgpack.decode(_unpacked(body), type=Saved)
    except (zlib.error, msgspec.DecodeError) as error:
        raise SavedError(f"the snapshot cannot be read: {error}") from None
    if not any(record.table == CA for record in saved.records):
        raise SavedError("the snapshot holds no certificate authority")
    return saved


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def restoring(saved: Saved, state: State) -> list[Change]:
    """The changes after which the state is the saved one."""
    wanted = {(record.table, record.key) for record in saved.records}
    changes: list[Change] = [
        Delete(table=present.table, key=present.key)
        for present in state.records()
        if (present.table, present.key) not in wanted and present.table not in _KEPT
    ]
    return changes + [_put(record, state) for record in saved.records]


def counts(records: Iterable[Record]) -> dict[str, int]:
    """How many records there are of each table."""
    found: dict[str, int] = {}
    for record in records:
        found[record.table] = found.get(record.table, 0) + 1
    return dict(sorted(found.items()))


def _put(record: Record, state: State) -> Put:
    value, present = record.value, state.get(record.table, record.key)
    if record.table == CA_SERIAL:
        ours = present.value if present else {}
        value = {n: max(number, ours.get(n, 0)) + _SERIALS_SKIPPED for n, number in value.items()}
    return Put(table=record.table, key=record.key, value=value)


def _unpacked(body: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(body, _MAX_UNPACKED_BYTES)
    if not unpacking.eof:
        raise SavedError("the snapshot is too large, or cut off")
    return found
