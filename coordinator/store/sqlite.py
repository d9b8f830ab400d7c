"""The embedded store: one SQLite file in the state directory, one coordinator.

Belongs here: records in SQL, and opening the state directory. Never here: the file's schema and errors
(`database`), or what a commit means (`settle`).
"""

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import trio

from .database import Database, open_database
from .history import History
from .records import Change, Expect, Loaded, Record, StoreCorrupt, StoreError
from .settle import Effect, decode_value, encode_value, settle
from .state_dir import StateLock, prepare

FILE_NAME = "state.db"


class SqliteStore:
    """A `Store` on disk. `history` keeps the published snapshots in the same file."""

    def __init__(self, database: Database, lock: StateLock, history: History) -> None:
        self._database = database
        self._lock = lock
        self.history = history

    async def load(self) -> Loaded:
        return await self._database.read(_load)

    async def commit(
        self, changes: Sequence[Change], expect: Sequence[Expect] = (), *, beyond: int = 0
    ) -> int:
        return await self._database.write(partial(_commit, tuple(changes), tuple(expect), beyond))

    async def aclose(self) -> None:
        await self._database.aclose()
        self._lock.release()


async def open_store(
    state_dir: Path, *, path: Path | None = None, keep_snapshots: int = 50
) -> SqliteStore:
    """Lock the state directory, then open (or make) `path`, by default `<state_dir>/state.db`.

    Raises StateLocked, StateUnsafe, StoreCorrupt, StoreTooNew, StoreFull or another StoreError.
    """
    return await trio.to_thread.run_sync(_open, state_dir, path, keep_snapshots)


def _open(state_dir: Path, path: Path | None, keep_snapshots: int) -> SqliteStore:
    lock = _lock(state_dir)
    try:
        database = open_database(path or state_dir / FILE_NAME)
    except BaseException:
        lock.release()
        raise
    return SqliteStore(database, lock, History(database, keep=keep_snapshots))


def _lock(state_dir: Path) -> StateLock:
    try:
        prepare(state_dir)
        return StateLock.take(state_dir)
    except OSError as error:
        raise StoreError(f"state directory {state_dir}: {error.strerror or error}") from error


def _load(connection: sqlite3.Connection) -> Loaded:
    rows = connection.execute("SELECT name, key, value, create_index, modify_index FROM records")
    return Loaded(
        revision=_revision(connection),
        records=tuple(_record(row) for row in rows),
        table_indexes=dict(connection.execute("SELECT name, revision FROM table_indexes")),
    )


def _commit(
    changes: tuple[Change, ...],
    expect: tuple[Expect, ...],
    beyond: int,
    connection: sqlite3.Connection,
) -> int:
    revision = _revision(connection)
    lookup = partial(_lookup, connection)
    effect = settle(changes, expect, lookup=lookup, revision=max(revision, beyond) + 1)
    if effect.changes_nothing:
        return revision
    _write(effect, connection)
    return effect.revision


def _write(effect: Effect, connection: sqlite3.Connection) -> None:
    connection.executemany(
        "REPLACE INTO records (name, key, value, create_index, modify_index)"
        " VALUES (?, ?, ?, ?, ?)",
        [
            (r.table, r.key, encode_value(r.value), r.create_index, r.modify_index)
            for r in effect.written
        ],
    )
    connection.executemany(
        "DELETE FROM records WHERE name = ? AND key = ?",
        [(gone.table, gone.key) for gone in effect.deleted],
    )
    connection.executemany(
        "REPLACE INTO table_indexes (name, revision) VALUES (?, ?)",
        [(table, effect.revision) for table in effect.touched()],
    )
    connection.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (effect.revision,))


def _revision(connection: sqlite3.Connection) -> int:
    (revision,) = connection.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
    return int(revision)


def _lookup(connection: sqlite3.Connection, table: str, key: str) -> Record | None:
    row = connection.execute(
        "SELECT name, key, value, create_index, modify_index FROM records"
        " WHERE name = ? AND key = ?",
        (table, key),
    ).fetchone()
    return _record(row) if row else None


def _record(row: tuple[str, str, bytes, int, int]) -> Record:
    table, key, value, create_index, modify_index = row
    try:
        decoded = decode_value(value)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"the value of {table}/{key} is no JSON object: {error}") from error
    return Record(
        table=table, key=key, value=decoded, create_index=create_index, modify_index=modify_index
    )
