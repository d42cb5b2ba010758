"""Opening a result store to read it: nothing is created, changed or waited for, also while a sweep writes."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from infra.database import DatabaseError, clear_errors, open_engine, redact
from tune.store import schema

DEFAULT_URL = "sqlite:///runs/results.db"
URL_VARIABLE = "RESULT_STORE"
BEGIN = "run a sweep first: python tune/run.py --params params/demo.yaml"


class NoStore(DatabaseError):  # noqa: N818 – says what it is
    """There is no result store at the URL, or nothing in it: no sweep has been run yet."""


def store_url(given: str | None = None) -> str:
    """The store to read: the one given, else that of the environment, else the default."""
    return given or os.environ.get(URL_VARIABLE) or DEFAULT_URL


def open_reader(url: str) -> sa.Engine:
    """An engine for reading the store at `url`. Raises NoStore: there is none; DatabaseError: it cannot be opened."""
    engine = _open(url)
    try:
        with clear_errors(engine), engine.connect() as connection:
            there = set(sa.inspect(connection).get_table_names())
    except BaseException:
        engine.dispose()
        raise
    if not there.issuperset(schema.metadata.tables):
        engine.dispose()
        if there:
            raise DatabaseError(f"no result store at {redact(url)} (the database is another program's); {BEGIN}")
        raise NoStore(f"no result store at {redact(url)} (the database is empty); {BEGIN}")
    return engine


def _open(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        return open_engine(url)  # which says what is wrong with it
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return open_engine(url)
    path = Path(parsed.database).expanduser().absolute()
    if not path.is_file():
        raise NoStore(f"no result store at {path}; {BEGIN}")
    return _open_sqlite(path)


def _open_sqlite(path: Path) -> sa.Engine:
    uri = f"file:{quote(str(path))}?mode=ro"
    try:
        _connect(uri).close()
    except sqlite3.OperationalError:
        # In a folder where nothing can be created, a log-less file can still be read as it is.
        if not Path(f"{path}-wal").exists():
            uri = f"file:{quote(str(path))}?immutable=1"
    except sqlite3.DatabaseError:
        pass  # reported by the first query, in clear words
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), creator=lambda: _connect(uri, check=False))

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")  # one state of the store for all queries of a transaction

    return engine


def _connect(uri: str, *, check: bool = True) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
    if check:
        connection.execute("SELECT count(*) FROM sqlite_master")
    return connection
