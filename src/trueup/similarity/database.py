"""The index's SQLite file: opening, its tables, sharing it between processes, mending it.

Every process that uses it holds a shared lock; setting a damaged file aside takes the exclusive
one, because SQLite's files must not be renamed under somebody.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from trueup.errors import ConfigError

# A change of the tables takes a new name: an older file stays for the older version.
FILE_NAME = "code-v1.sqlite"
LOCK_NAME = "lock"
# The journal is begun by the first to open and removed by the last to close: SQLite answers
# whoever comes at that moment with `database is locked`, whatever it was told to wait.
DOOR_NAME = "door.lock"
BUSY_SECONDS = 60.0
HINT = "set TRUEUP_HOME to a folder that can be written and has room"
SCHEMA = """
CREATE TABLE IF NOT EXISTS birth (mark TEXT NOT NULL);
INSERT INTO birth SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT 1 FROM birth);
CREATE TABLE IF NOT EXISTS model (
  id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, dimensions INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS root (
  id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, used_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS file (
  id INTEGER PRIMARY KEY, root_id INTEGER NOT NULL REFERENCES root ON DELETE CASCADE,
  path BLOB NOT NULL, content BLOB NOT NULL, cut_version INTEGER NOT NULL,
  tiny_count INTEGER NOT NULL, notes TEXT NOT NULL, UNIQUE (root_id, path));
CREATE TABLE IF NOT EXISTS snippet (
  file_id INTEGER NOT NULL REFERENCES file ON DELETE CASCADE, position INTEGER NOT NULL,
  language TEXT, kind TEXT NOT NULL, name TEXT NOT NULL, first_line INTEGER NOT NULL,
  last_line INTEGER NOT NULL, first_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL,
  digest BLOB NOT NULL, PRIMARY KEY (file_id, position));
CREATE INDEX IF NOT EXISTS snippet_digest ON snippet (digest);
CREATE TABLE IF NOT EXISTS text (digest BLOB PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS vector (
  id INTEGER PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL REFERENCES model,
  digest BLOB NOT NULL, used_at INTEGER NOT NULL, data BLOB NOT NULL,
  UNIQUE (model_id, digest));
"""


class DatabaseDamaged(Exception):
    """The file is not what SQLite or the index wrote; met inside the index and shown as a note."""


@contextlib.contextmanager
def open_database(directory: Path) -> Iterator[sqlite3.Connection]:
    """The index in `directory`, made where it is not there, for the length of the block.

    SQLite's errors inside the block come out as:
        DatabaseDamaged: the file is no database, or one that is broken.
        ConfigError: it cannot be opened or written, or another process never lets go of it.
    """
    path = directory / FILE_NAME
    _make(directory)
    with _locked(directory / LOCK_NAME, fcntl.LOCK_SH):
        try:
            with _connected(directory) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise ConfigError(
                f"the index of code cannot be used: {error}", where=str(path), hint=HINT
            ) from error
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
            raise  # ours
        except sqlite3.DatabaseError as error:
            raise DatabaseDamaged(str(error)) from error


def set_aside(directory: Path, seen: int) -> None:
    """Rename the damaged file, whose inode is `seen`, when no other process uses it any more."""
    path = directory / FILE_NAME
    with _locked(directory / LOCK_NAME, fcntl.LOCK_EX):
        if inode_of(directory) != seen:  # another process was quicker
            return
        os.replace(path, path.with_suffix(".damaged"))
        for ending in ("-wal", "-shm"):
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)


def inode_of(directory: Path) -> int:
    """The number of the index's file, 0 where there is none."""
    try:
        return (directory / FILE_NAME).stat().st_ino
    except OSError:
        return 0


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block's changes, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def only_indexer(directory: Path, root: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """One process at a time indexes a root, so that nothing is embedded twice.

    `on_wait` is called once where another has to be waited for. The lock of a process that was
    killed is free at once.
    """
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    with _locked(directory / f"{name}.lock", fcntl.LOCK_EX, on_wait):
        yield


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(error, directory) from error


@contextlib.contextmanager
def _connected(directory: Path) -> Iterator[sqlite3.Connection]:
    """A connection, opened and closed by one process at a time."""
    door = directory / DOOR_NAME
    with _locked(door, fcntl.LOCK_EX):
        connection = _connect(directory / FILE_NAME)
    try:
        yield connection
    finally:
        with _locked(door, fcntl.LOCK_EX):
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        connection.execute("PRAGMA journal_mode = WAL")
        # Nothing that was committed is lost when the process dies; a power cut may take the last
        # batches, which are then embedded again.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.executescript(SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _locked(
    path: Path, operation: int, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(error, path) from error
    try:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


def _unusable(error: OSError, path: Path) -> ConfigError:
    return ConfigError(
        f"the index of code cannot be used: {error.strerror or error}", where=str(path), hint=HINT
    )
