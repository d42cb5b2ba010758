"""The SQLite file of a crawl's journal: its tables, its transactions, its errors in one line.

One process's own: the standard library's sqlite3 does, and costs a crawl no memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.errors import UserError
from infra.mounts import network_file_system

_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE sources (name TEXT PRIMARY KEY, listed TEXT, params TEXT, ended TEXT, estimate TEXT);
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    host TEXT NOT NULL,
    url TEXT NOT NULL,
    depth INTEGER NOT NULL DEFAULT 0,
    about TEXT,
    status TEXT NOT NULL DEFAULT 'pending',
    error TEXT,
    detail TEXT,
    sha256 TEXT,
    facts TEXT,
    final_url TEXT,
    fetched_at TEXT
);
CREATE UNIQUE INDEX items_once ON items (source, kind, url) WHERE kind <> 'draw';
CREATE INDEX items_pending ON items (source, host, id) WHERE status = 'pending';
CREATE INDEX items_sha256 ON items (sha256) WHERE sha256 IS NOT NULL;
"""
_BUSY_S = 30.0


class JournalError(UserError):
    """The journal cannot be used; the line says what to do."""


class JournalFile:
    """The open file. To be used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make the journal. Raises JournalError."""
        self.path = path
        with self._clear_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            network = network_file_system(path)
            if network:
                raise JournalError(f"{path} lies on a network file system ({network}); set work: to a local folder")
            # Transactions are begun by hand: the module's own way begins none before a SELECT.
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._set_up()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a query finds, all of it."""
        return list(self.each(statement, *parameters))

    def each(self, statement: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
        """What a query finds, row by row."""
        with self._clear_errors():
            yield from self._db.execute(statement, parameters)

    def _set_up(self) -> None:
        version = int(self._value("PRAGMA user_version"))
        if version == 0:
            with self._transaction() as db:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise JournalError(
                f"{self.path} was written by another version of this program; finish with that one, or rename"
            )

    def _value(self, statement: str, *parameters: Any) -> Any:
        with self._clear_errors():
            return self._db.execute(statement, parameters).fetchone()[0]

    def _is_open(self) -> bool:
        """Whether a transaction is open."""
        return self._db.in_transaction

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._is_open():  # of `together`
            yield self._db
            return
        with self._clear_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if self._is_open():  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise JournalError(f"the crawl's journal {self.path} cannot be used: {error}") from None
        except OSError as error:
            raise JournalError(
                f"{self.path.parent} cannot be written: {(error.strerror or str(error)).lower()}"
            ) from None
