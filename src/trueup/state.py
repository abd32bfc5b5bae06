"""State that outlives a process or is shared by several: values by namespace and key.

SQLite under TRUEUP_HOME. What is kept here can be learned again: a file that cannot be used is
put aside, and where nothing can be written it is kept in memory for the length of the process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.config.home import trueup_home
from trueup.errors import ConfigError

log = logging.getLogger(__name__)

FILE_NAME = "state.sqlite"
BUSY_SECONDS = 2.0
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
TABLE = (
    "CREATE TABLE IF NOT EXISTS state (namespace TEXT, key TEXT, value TEXT, expires_at REAL, "
    "PRIMARY KEY (namespace, key)) WITHOUT ROWID"
)
LIVE = "(expires_at IS NULL OR expires_at > ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A value with its key; `expires_at` is of `time.time`, None for never."""

    key: str
    value: Any
    expires_at: float | None


class StateStore:
    """Values that can be written as JSON. Every call is short, and none of them raises.

    `path` None is the file of this user; opened at the first use.
    """

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._database: sqlite3.Connection | None = None

    def get(self, namespace: str, key: str) -> Any:
        """The value, None where there is none or its time is over."""
        for entry in self._rows(namespace, key):
            return entry.value
        return None

    def entries(self, namespace: str) -> list[Entry]:
        """All that a namespace has, by key."""
        return list(self._rows(namespace))

    def put(
        self, namespace: str, key: str, value: Any, *, ttl_seconds: float | None = None
    ) -> None:
        """Keep a value, for a while or for ever."""
        expires_at = None if ttl_seconds is None else self._clock() + ttl_seconds
        self._write(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)",
            (namespace, key, json.dumps(value), expires_at),
        )

    def increment(self, namespace: str, key: str, *, ttl_seconds: float | None = None) -> int:
        """Add one to a count, which begins at 0 and with its time; the new count."""
        now = self._clock()
        expires_at = None if ttl_seconds is None else now + ttl_seconds
        rows = self._write(
            "INSERT INTO state VALUES (?1, ?2, '1', ?3) ON CONFLICT DO UPDATE SET "
            "value = CASE WHEN expires_at <= ?4 THEN '1' ELSE CAST(value + 1 AS TEXT) END, "
            "expires_at = CASE WHEN expires_at <= ?4 THEN ?3 ELSE expires_at END "
            "RETURNING value",
            (namespace, key, expires_at, now),
        )
        return int(rows[0][0]) if rows else 1

    def remove(self, namespace: str, key: str) -> None:
        """Forget a value."""
        self._write("DELETE FROM state WHERE namespace = ? AND key = ?", (namespace, key))

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _rows(self, namespace: str, key: str | None = None) -> Iterator[Entry]:
        where, values = "namespace = ?", [namespace]
        if key is not None:
            where, values = f"{where} AND key = ?", [namespace, key]
        rows = self._run(
            f"SELECT key, value, expires_at FROM state WHERE {where} AND {LIVE} ORDER BY key",
            (*values, self._clock()),
        )
        for found, value, expires_at in rows:
            with contextlib.suppress(ValueError):
                yield Entry(key=found, value=json.loads(value), expires_at=expires_at)

    def _write(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        rows = self._run(statement, values)
        self._run("DELETE FROM state WHERE expires_at <= ?", (self._clock(),))
        return rows

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._opened().execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            if _is(error, *BUSY):
                log.warning("the state is locked by another process: %s", error)
                return []
            return self._opened_anew(error).execute(statement, values).fetchall()

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            try:
                path = self._file()
                path.parent.mkdir(parents=True, exist_ok=True)
                self._database = _open(str(path))
            except (OSError, ConfigError) as error:
                self._database = self._in_memory(error)
        return self._database

    def _opened_anew(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """After a damaged file was put aside; in memory where that does not help."""
        self.close()
        if _is(error, *DAMAGED):
            path = self._file()
            with contextlib.suppress(OSError):
                path.replace(path.with_suffix(".damaged"))
                log.warning("`%s` cannot be read (%s): a new one is begun", path, error)
                for rest in (f"{path}-wal", f"{path}-shm"):
                    Path(rest).unlink(missing_ok=True)
            with contextlib.suppress(sqlite3.DatabaseError):
                self._database = _open(str(path))
                return self._database
        self._database = self._in_memory(error)
        return self._database

    def _file(self) -> Path:
        return self._path or trueup_home() / FILE_NAME

    def _in_memory(self, error: Exception) -> sqlite3.Connection:
        told: object = error
        if isinstance(error, OSError):
            told = f"`{error.filename}`: {error.strerror} (TRUEUP_HOME names another folder)"
        log.warning("state is kept in memory only: %s", told)
        return _open(":memory:")


def _is(error: sqlite3.DatabaseError, *codes: int) -> bool:
    # The lower byte is what happened, the rest says where.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in codes


def _open(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(TABLE)
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database
