"""The SQLite file: made whole, checked when opened, used by one thread at a time.

Belongs here: the file, its schema and version, transactions, and what SQLite's errors mean to us. Never
here: what is stored (`sqlite`, `history`).

A new file is made under another name and renamed when it is complete, so that whatever bears the right name
without being ours, an empty file too, is damage and not a beginning. WAL with `synchronous=FULL`: a commit
is on the disk when it returns. All work runs in threads, one piece at a time; a thread is never abandoned,
so a cancelled caller gets its cancellation after the work is done.
"""

import errno
import os
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from .records import StoreClosed, StoreCorrupt, StoreError, StoreFull, StoreTooNew

_A = TypeVar("_A")
_T = TypeVar("_T")

SCHEMA_VERSION = 3
_APPLICATION_ID = 0x4C4B4754  # "LKGT"
_BUSY_SECONDS = 5.0  # how long to wait for somebody with the sqlite3 program
_WAL_LIMIT_BYTES = 16 << 20

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE records (
    name TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    create_index INTEGER NOT NULL, modify_index INTEGER NOT NULL,
    PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE TABLE table_indexes (name TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshots (
    generation INTEGER PRIMARY KEY, epoch TEXT NOT NULL, digest TEXT NOT NULL,
    sha256 TEXT NOT NULL, at REAL NOT NULL, body BLOB NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0, size_bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE sections (digest TEXT PRIMARY KEY, body BLOB NOT NULL);
"""

#: What takes a file of each older version to the next one.
_UPGRADES = {
    1: ("ALTER TABLE snapshots ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",),
    2: (
        "ALTER TABLE snapshots ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0",
        "CREATE TABLE sections (digest TEXT PRIMARY KEY, body BLOB NOT NULL)",
    ),
}


class Database:
    """One connection. `read` and `write` run a function on it in a thread.

    `epoch`: a random tag made with the file.
    """

    epoch: str

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._path = path
        (self.epoch,) = connection.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()
        self._turn = trio.Lock()

    async def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work`. Raises StoreError of the kind that fits."""
        async with self._turn:
            connection = self._open_connection()
            return await trio.to_thread.run_sync(_translated, work, connection, self._path)

    async def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` as one transaction: durable when this returns, undone when it raises."""
        return await self.read(lambda connection: _transaction(work, connection))

    async def aclose(self) -> None:
        with trio.CancelScope(shield=True):
            async with self._turn:
                connection, self._connection = self._connection, None
                if connection is not None:
                    await trio.to_thread.run_sync(connection.close)

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreClosed(f"{self._path} is closed")
        return self._connection


def open_database(path: Path) -> Database:
    """Open the file, or make it if nothing is there. Blocks.

    Raises StoreCorrupt, StoreTooNew, StoreFull or another StoreError; the file is then as it was.
    """
    return _translated(_open, path, path)


def _open(path: Path) -> Database:
    if not path.exists():
        _create(path)
    elif path.stat().st_size == 0:
        raise StoreCorrupt(f"{path} is empty; restore it from a backup, or remove it to start anew")
    path.chmod(0o600)  # the journal beside it is made with the same permissions
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        version = _check(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        _transaction(lambda open_: _upgrade(open_, version), connection)
        connection.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
        return Database(connection, path)
    except BaseException:
        connection.close()
        raise


def _check(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file's schema. Raises StoreCorrupt, StoreTooNew."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID:
        raise StoreCorrupt(f"{path} is a SQLite file, but not one of Lockgate's")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"{path} has schema version {version}, this program knows up to {SCHEMA_VERSION}:"
            " it was written by a newer Lockgate"
        )
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreCorrupt(f"{path} is damaged: {verdict}")
    return int(version)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Bring an older schema up to date; the rest of the file stays as it is."""
    for step in range(version, SCHEMA_VERSION):
        for statement in _UPGRADES[step]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={step + 1}")


def _create(path: Path) -> None:
    """Make a complete file beside `path`, then rename it."""
    if (journal := path.with_name(path.name + "-wal")).exists():
        # SQLite would replay it over the new file
        raise StoreCorrupt(f"{path} is missing, but its journal {journal} is there")
    new = path.with_name(path.name + ".new")
    for leftover in (new, new.with_name(new.name + "-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(new, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
        facts = [("revision", 0), ("epoch", secrets.token_hex(8))]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", facts)
    finally:
        connection.close()
    new.rename(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _transaction(work: Callable[[sqlite3.Connection], _T], connection: sqlite3.Connection) -> _T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has undone it already after some errors
            connection.execute("ROLLBACK")
        raise
    return result


def _translated(work: Callable[[_A], _T], argument: _A, path: Path) -> _T:
    try:
        return work(argument)
    except sqlite3.ProgrammingError:
        raise  # ours: a bug
    except sqlite3.Error as error:
        raise _meaning(error, path) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path) from error
        raise StoreError(f"{path}: {error.strerror or error}") from error


def _meaning(error: sqlite3.Error, path: Path) -> StoreError:
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    if name == "SQLITE_FULL" or (_may_be_room(name) and _no_room(path.parent)):
        return _full(path)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreCorrupt(f"{path} is damaged or no SQLite file: {error}")
    return StoreError(f"{path}: {error} ({name})")


def _full(path: Path) -> StoreFull:
    return StoreFull(f"no room left to write {path}; nothing was written")


def _may_be_room(name: str) -> bool:
    """A full disk that was met while opening or mapping a file looks like this."""
    return name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN"))


def _no_room(directory: Path) -> bool:
    try:
        disk = os.statvfs(directory)
    except OSError:
        return False
    return disk.f_bavail == 0 or (disk.f_files > 0 and disk.f_favail == 0)
