"""The snapshots that were published, newest kept, in the file of the store.

Belongs here: keeping and finding encoded snapshots. Never here: what is in them, or whether to publish one.

A section is kept once, by its digest, for all snapshots that have it: a change writes its manifest and what
is new, not the whole. It goes with the last snapshot that has it.

A snapshot is believed only if its manifest has the SHA-256 that was stored with it, and its sections have
their digests: a damaged one is passed over by `latest` and refused by `get`. The epoch is a random tag made
with the file: generation 1 of a new file is not generation 1 of the one before.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from cluster.codec import decode, encode
from cluster.errors import WireError
from cluster.sections import Encoded, Manifest

from .database import Database
from .records import StoreCorrupt


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What was published when; `at` in seconds since 1970.

    `revision` is the last commit that it takes in; as far as that was not noted, the generation.
    """

    epoch: str
    generation: int
    digest: str
    at: float
    size_bytes: int
    revision: int = 0


class StoredSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A published snapshot with its sections, which are as they were when saved."""

    published: Published
    encoded: Encoded


class History:
    """The last `keep` snapshots. All methods raise StoreError."""

    def __init__(self, database: Database, *, keep: int) -> None:
        self._database = database
        self._keep = keep
        self.epoch = database.epoch
        #: The sections of each snapshot that is kept, by generation; None until somebody has looked.
        self._held: Mapping[int, frozenset[str]] | None = None

    async def save(
        self,
        *,
        generation: int,
        digest: str,
        epoch: str,
        encoded: Encoded,
        at: float,
        revision: int = 0,
    ) -> None:
        """Keep one, and let the oldest go. The same generation again replaces it."""
        manifest = encode(encoded.manifest)
        size = sum(map(len, encoded.sections.values()))
        facts = (generation, epoch, digest, hashlib.sha256(manifest).hexdigest(), at)
        row = (*facts, manifest, revision, max(size, 1))

        def work(connection: sqlite3.Connection) -> Mapping[int, frozenset[str]]:
            before = _held(connection) if self._held is None else self._held
            known = frozenset().union(*before.values())
            connection.execute(
                "REPLACE INTO snapshots"
                " (generation, epoch, digest, sha256, at, body, revision, size_bytes)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            _put_sections(connection, encoded, known)
            held = {**before, generation: frozenset(encoded.manifest.values())}
            kept = {number: held[number] for number in sorted(held)[-self._keep :]}
            _delete(connection, "snapshots WHERE generation", held.keys() - kept.keys())
            gone = frozenset().union(*before.values(), held[generation])
            _delete(connection, "sections WHERE digest", gone.difference(*kept.values()))
            return kept

        self._held = await self._database.write(work)

    async def latest(self) -> StoredSnapshot | None:
        """The newest that is undamaged; None if there is none."""
        return await self._database.read(_latest)

    async def list(self) -> tuple[Published, ...]:
        """All that are kept, newest first, damaged ones too."""
        return await self._database.read(_list)

    async def get(self, generation: int) -> StoredSnapshot | None:
        """One of them; None if it is not kept. Raises StoreCorrupt if it is damaged."""

        def work(connection: sqlite3.Connection) -> StoredSnapshot | None:
            return _get(connection, generation)

        return await self._database.read(work)


#: Rows of an older version have no size of their own: their body is the whole snapshot.
_COLUMNS = (
    "epoch, generation, digest, at, CASE size_bytes WHEN 0 THEN length(body) ELSE size_bytes END,"
    " revision"
)


def _held(connection: sqlite3.Connection) -> Mapping[int, frozenset[str]]:
    """By generation the sections that it has in a table of their own; of a damaged one, none."""
    rows = connection.execute("SELECT generation, size_bytes, CAST(body AS BLOB) FROM snapshots")
    return {generation: _digests(body) if size else frozenset() for generation, size, body in rows}


def _digests(manifest: bytes) -> frozenset[str]:
    try:
        return frozenset(decode(Manifest, manifest).values())
    except WireError:
        return frozenset()


def _put_sections(connection: sqlite3.Connection, encoded: Encoded, known: frozenset[str]) -> None:
    new = {
        digest: encoded.sections[name]
        for name, digest in encoded.manifest.items()
        if digest not in known
    }
    connection.executemany("REPLACE INTO sections (digest, body) VALUES (?, ?)", new.items())


def _delete(connection: sqlite3.Connection, which: str, keys: Iterable[int | str]) -> None:
    connection.executemany(f"DELETE FROM {which} = ?", ((key,) for key in keys))


def _list(connection: sqlite3.Connection) -> tuple[Published, ...]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM snapshots ORDER BY generation DESC")
    return tuple(_published(row) for row in rows)


def _latest(connection: sqlite3.Connection) -> StoredSnapshot | None:
    for published in _list(connection):
        try:
            return _get(connection, published.generation)
        except StoreCorrupt:
            continue
    return None


def _get(connection: sqlite3.Connection, generation: int) -> StoredSnapshot | None:
    row = connection.execute(
        f"SELECT {_COLUMNS}, sha256, size_bytes, CAST(body AS BLOB) FROM snapshots"
        " WHERE generation = ?",
        (generation,),
    ).fetchone()
    if row is None:
        return None
    *facts, sha256, size, body = row
    damaged = StoreCorrupt(f"the stored snapshot of generation {generation} is damaged")
    if hashlib.sha256(body).hexdigest() != sha256:
        raise damaged
    try:
        encoded = _put_together(connection, body) if size else decode(Encoded, body)
    except (KeyError, WireError) as error:
        raise damaged from error
    return StoredSnapshot(published=_published(tuple(facts)), encoded=encoded)


def _put_together(connection: sqlite3.Connection, body: bytes) -> Encoded:
    """Raises KeyError for a section that is not there or not what it was, and WireError."""
    manifest = decode(Manifest, body)
    return Encoded(
        manifest=manifest,
        sections={name: _section(connection, digest) for name, digest in manifest.items()},
    )


def _section(connection: sqlite3.Connection, digest: str) -> bytes:
    found = connection.execute(
        "SELECT CAST(body AS BLOB) FROM sections WHERE digest = ?", (digest,)
    ).fetchone()
    if found is None or hashlib.sha256(found[0]).hexdigest() != digest:
        raise KeyError(digest)
    body: bytes = found[0]
    return body


def _published(row: tuple[str, int, str, float, int, int]) -> Published:
    epoch, generation, digest, at, size_bytes, revision = row
    return Published(
        epoch=epoch,
        generation=generation,
        digest=digest,
        at=at,
        size_bytes=size_bytes,
        revision=revision or generation,
    )
