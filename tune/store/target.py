"""The database under a writer: connected, watched for being swapped under its feet, written in transactions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from infra.database import DatabaseError, clear_errors, is_sqlite, migrate, open_engine
from tune.store import schema
from tune.store.entries import TABLES, Entry
from tune.store.upsert import apply, upsert

# Shorter than a patient command's: while the writer waits for a lock, rows are only in memory.
_BUSY_TIMEOUT_MS = 5_000
_RESCUE_CHUNK = 2_000

# Not the database's fault: one entry that it will never take.
_REFUSED = (DataError, IntegrityError, OverflowError, TypeError, ValueError, KeyError)


class Target:
    """One connection to the database of a result store. For one thread at a time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine: sa.Engine | None = None
        self._connection: sa.Connection | None = None
        self._files: dict[Path, os.stat_result] = {}
        self._sweeps: set[str] = set()

    def connect(self) -> None:
        """Connect and bring the schema up to date, unless that is done. Raises DatabaseError."""
        if self._connection is None:
            self._engine, self._connection = self._open()
            self._files = self._stat_files()
        elif self._was_moved():
            self._follow()

    def write(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        """Write `entries`, all in one transaction; returns those that the database refuses for good, with the reason.

        Raises DatabaseError when the database is away; then nothing was written, or it may be written again.
        """
        self.connect()
        try:
            refused = self._write(entries)
        except DatabaseError:
            if not self._was_moved():
                raise
            self.connect()
            refused = self._write(entries)
        for table, row in entries:
            if table in ("sweeps", "trials"):
                self._sweeps.add(row["id"] if table == "sweeps" else row["sweep_id"])
        self._files = self._stat_files()
        return refused

    def close(self) -> None:
        """Let go of the database. Never raises."""
        with contextlib.suppress(Exception):
            if self._connection is not None:
                self._connection.close()
        with contextlib.suppress(Exception):
            if self._engine is not None:
                self._engine.dispose()
        self._engine = self._connection = None

    def _open(self) -> tuple[sa.Engine, sa.Connection]:
        engine = open_engine(self.url)
        try:
            with clear_errors(engine):
                migrate(engine, schema.STEPS, schema.SCHEMA_NAME)
                connection = engine.connect()
                if is_sqlite(engine):
                    _driver(connection).execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        except BaseException:
            engine.dispose()
            raise
        return engine, connection

    def _write(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        try:
            self._transaction(entries)
            return []
        except _REFUSED:
            pass
        refused = []
        for entry in entries:
            try:
                self._transaction([entry])
            except _REFUSED as error:
                refused.append((entry, " ".join(str(getattr(error, "orig", None) or error).split())))
        return refused

    def _transaction(self, entries: Sequence[Entry]) -> None:
        assert self._engine is not None and self._connection is not None
        try:
            with clear_errors(self._engine), self._connection.begin():
                apply(self._connection, entries)
        except (DatabaseError, SQLAlchemyError) as error:
            if isinstance(error, _REFUSED):
                raise
            # An open SQLite file is kept even so: removed at its path, it is the only place of the rows so far.
            if not is_sqlite(self._engine) or _driver(self._connection).in_transaction:
                self.close()
            if isinstance(error, DatabaseError):
                raise
            raise DatabaseError(str(getattr(error, "orig", None) or error)) from None

    def _stat_files(self) -> dict[Path, os.stat_result]:
        """The SQLite file and its companions that are there; nothing for PostgreSQL."""
        if self._engine is None or not is_sqlite(self._engine):
            return {}
        found = {}
        for suffix in ("", "-wal", "-shm"):
            path = Path(f"{self._engine.url.database}{suffix}")
            with contextlib.suppress(OSError):
                found[path] = path.stat()
        return found

    def _was_moved(self) -> bool:
        """Whether the file that is open is not the one at its path any more: rows would go into the void."""
        if self._engine is None or not is_sqlite(self._engine):
            return False
        path = Path(self._engine.url.database or "")
        try:
            return path not in self._files or not os.path.samestat(path.stat(), self._files[path])
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def _follow(self) -> None:
        """Go over to the file that is at the path now, made when there is none, and take this run's rows along.

        The removed file lives on as long as it is open here, so its rows can still be read.
        """
        old_engine, old_files = self._engine, self._files
        old = self._connection
        assert old is not None and old_engine is not None
        # A log that outlives its database would be taken for the new one's.
        for path, before in old_files.items():
            if path != Path(old_engine.url.database or ""):
                with contextlib.suppress(OSError):
                    if os.path.samestat(path.stat(), before):
                        path.unlink()
        self._engine, self._connection = self._open()
        self._files = self._stat_files()
        try:
            with clear_errors(self._engine), self._connection.begin():
                count = _rescue(old, self._connection, sorted(self._sweeps))
            said = f"{count:,} rows of this run were carried over"
        except (DatabaseError, SQLAlchemyError):
            said = "the rows of this run so far could not be carried over"
        print(f"warning: {old_engine.url.database} was removed or replaced; {said}", file=sys.stderr, flush=True)
        with contextlib.suppress(Exception):
            old.close()
        with contextlib.suppress(Exception):
            old_engine.dispose()


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _rescue(old: sa.Connection, new: sa.Connection, sweep_ids: Sequence[str]) -> int:
    """Copy all rows of the given sweeps; returns how many."""
    trial_ids = sa.select(schema.trials.c.id).where(schema.trials.c.sweep_id.in_(sweep_ids))
    count = 0
    with old.execution_options(read_only=True).begin():
        for name in (*TABLES, "summary"):
            table = schema.metadata.tables[name]
            if table is schema.sweeps:
                mine = table.c.id.in_(sweep_ids)
            elif "sweep_id" in table.c:
                mine = table.c.sweep_id.in_(sweep_ids)
            else:
                mine = table.c.trial_id.in_(trial_ids)
            for chunk in old.execute(sa.select(table).where(mine)).mappings().partitions(_RESCUE_CHUNK):
                new.execute(upsert(name, "sqlite"), [dict(row) for row in chunk])
                count += len(chunk)
    return count
