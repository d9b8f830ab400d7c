"""The snapshots that were published, newest kept, in the file of the store.

Belongs here: keeping and finding encoded snapshots. Never here: what is in them, or whether to publish one.

A row is believed only if its bytes have the SHA-256 that was stored with them: a damaged one is passed over
by `latest` and refused by `get`. The epoch is a random tag made with the file: generation 1 of a new file
is not generation 1 of the one before.
"""

import hashlib
import sqlite3

import msgspec

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
    """A published snapshot with its bytes, which are as they were when saved."""

    published: Published
    body: bytes


class History:
    """The last `keep` snapshots. All methods raise StoreError."""

    def __init__(self, database: Database, *, keep: int) -> None:
        self._database = database
        self._keep = keep
        self.epoch = database.epoch

    async def save(
        self,
        *,
        generation: int,
        digest: str,
        epoch: str,
        body: bytes,
        at: float,
        revision: int = 0,
    ) -> None:
        """Keep one, and let the oldest go. The same generation again replaces it."""
        row = (generation, epoch, digest, hashlib.sha256(body).hexdigest(), at, body, revision)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "REPLACE INTO snapshots (generation, epoch, digest, sha256, at, body, revision)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            connection.execute(
                "DELETE FROM snapshots WHERE generation NOT IN"
                " (SELECT generation FROM snapshots ORDER BY generation DESC LIMIT ?)",
                (self._keep,),
            )

        await self._database.write(work)

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


_COLUMNS = "epoch, generation, digest, at, length(body), revision"


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
        f"SELECT {_COLUMNS}, sha256, CAST(body AS BLOB) FROM snapshots WHERE generation = ?",
        (generation,),
    ).fetchone()
    if row is None:
        return None
    *facts, sha256, body = row
    if hashlib.sha256(body).hexdigest() != sha256:
        raise StoreCorrupt(f"the stored snapshot of generation {generation} is damaged")
    return StoredSnapshot(published=_published(tuple(facts)), body=body)


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
