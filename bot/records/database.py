"""The database under the records: opened, brought forward, read from by many and written to by one at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bot.records import schema
from infra.database import BUSY_TIMEOUT_MS, DatabaseError, clear_errors, is_sqlite, migrate, open_engine, read_only

_Use: TypeAlias = Literal["reading", "writing"]

_WRITERS = 0x626F74  # of the advisory lock; any number will do, if it is always the same


class Database:
    """An open database. Raises DatabaseError, here and wherever it is in trouble."""

    def __init__(self, url: str) -> None:
        self._in_trouble: set[_Use] = set()
        self._erasing, self._counting = threading.Lock(), threading.Lock()
        self._deletions = self._erased = 0
        self._engine = open_engine(url)
        if is_sqlite(self._engine):
            sa.event.listen(self._engine, "connect", _erase_what_is_deleted)
            self._engine.dispose()  # the connection of the first try has not heard of that
        try:
            migrate(self._engine, schema.STEPS, schema.SCHEMA_NAME)
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def is_well(self) -> bool:
        """Whether it was read from when last tried, and written to."""
        return not self._in_trouble

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads; it waits for no writer."""
        engine = read_only(self._engine)
        with self._noting("reading"), clear_errors(engine), engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that may write, all of it or nothing. There is one at a time, of all processes together.

        SQLite has it so; on PostgreSQL a lock does the same, so that what was looked up still holds when it is used: no
        answer is written for a person who is being forgotten, and two of the first answers make one person.
        """
        with self._noting("writing"), clear_errors(self._engine), self._engine.begin() as connection:
            if not is_sqlite(self._engine):
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {BUSY_TIMEOUT_MS}")  # as long as on SQLite
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
            yield connection

    def erase(self) -> None:
        """Let nothing that was deleted be found in SQLite's files. (PostgreSQL's autovacuum sees to its own.)

        Rows are overwritten as they are deleted, but pages that were split keep copies of rows that moved (measured: a
        handful among thousands), and the write-ahead log keeps whole pages. Writers wait meanwhile: a second or two
        for 200,000 answers. So what was deleted while another erases is erased once, for all who wait.
        """
        if not is_sqlite(self._engine):
            return
        with self._counting:
            self._deletions += 1
            mine = self._deletions
        with self._erasing:
            if self._erased >= mine:
                return
            seen = self._deletions
            with clear_errors(self._engine), read_only(self._engine).connect() as connection:
                connection.exec_driver_sql("COMMIT")  # both must stand outside the transaction that has just begun
                connection.exec_driver_sql("VACUUM")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            self._erased = seen

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _noting(self, use: _Use) -> Iterator[None]:
        try:
            yield
        except DatabaseError:
            self._in_trouble.add(use)
            raise
        self._in_trouble.discard(use)


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the connection's dialect."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def upsert(connection: sa.Connection, table: sa.Table, **row: Any) -> None:
    """Write a row in the place of the one with the same key."""
    key = [column.name for column in table.primary_key.columns]
    statement = insert(connection, table).values(row)
    values = {name: value for name, value in row.items() if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values))


def moment(at: float) -> datetime:
    """A Unix time as an aware one."""
    return datetime.fromtimestamp(at, UTC)


def _erase_what_is_deleted(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA secure_delete = ON")
