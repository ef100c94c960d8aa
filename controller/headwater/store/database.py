"""One SQLite file of keys and documents."""

import logging
import os
import sqlite3
from contextlib import suppress
from itertools import count
from pathlib import Path

from headwater.errors import HeadwaterError, Stalled, Transient
from headwater.store.directory import prepared, unwritable

logger = logging.getLogger("headwater.store")

_VERSION = 1
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Database:
    """Used from one thread. Opened by the first use; nothing happens before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.moved_aside: Path | None = None
        """Where an unreadable file went when a new one was begun; the log says so, too."""
        self._connection: sqlite3.Connection | None = None

    def load(self) -> dict[str, str]:
        """Every key and its document. Raises as `save`."""
        try:
            return dict(self._open().execute("SELECT key, document FROM documents ORDER BY key"))
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def save(self, key: str, document: str | None) -> None:
        """None removes. It survives this process when it returns; a power cut may undo the newest.

        Raises Transient while the disk is full, Stalled where the directory cannot be written to.
        """
        try:
            if document is None:
                self._open().execute("DELETE FROM documents WHERE key = ?", (key,))
            else:
                self._open().execute(
                    "INSERT INTO documents VALUES (?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET document = excluded.document",
                    (key, document),
                )
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            prepared(self.path.parent)
            try:
                self._connection = _connected(self.path)
            except sqlite3.Error as error:
                if _code(error) not in _CORRUPT:
                    raise
                self.moved_aside = _move_aside(self.path)
                logger.warning("store.began_anew", extra={"unreadable": str(self.moved_aside)})
                self._connection = _connected(self.path)
        return self._connection

    def _translated(self, error: sqlite3.Error) -> HeadwaterError:
        if _code(error) in _PASSING:
            return Transient(f"cannot write to {self.path}: {error}; free some space")
        if _code(error) in _CORRUPT:
            self.close()
            return Transient(f"{self.path} became unreadable: {error}; it is begun anew")
        return Stalled(
            f"cannot use {self.path}: {error}; make the state directory writable, "
            "or choose another one with --state"
        )


def _connected(path: Path) -> sqlite3.Connection:
    """An open, checked database with our table. Raises sqlite3.Error; Stalled if it is too new."""
    try:
        # SQLite gives its side files the permissions of the database itself.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise unwritable(path, error) from error
    connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        _set_up(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        error = sqlite3.DatabaseError("the check of the database failed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    if (version := connection.execute("PRAGMA user_version").fetchone()[0]) > _VERSION:
        raise Stalled(
            f"{path} was written by a newer Headwater (format {version}): "
            "upgrade this one, or choose another state directory with --state"
        )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS documents (key TEXT PRIMARY KEY, document TEXT NOT NULL) "
        "WITHOUT ROWID"
    )
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _code(error: sqlite3.Error) -> int:
    """The primary result code; the extended ones keep it in their lowest byte."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _move_aside(path: Path) -> Path:
    """Keep what cannot be read for a person to look at, with its side files."""
    aside = next(p for n in count(1) if not (p := Path(f"{path}-corrupt-{n}")).exists())
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
    return aside
