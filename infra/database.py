"""Opening SQLite and PostgreSQL with SQLAlchemy Core, and moving a schema forward.

SQLite is opened as a result store needs it: WAL, so that readers never wait for the writer; every transaction that
may write takes the write lock when it begins, so that none fails half way because another came first.
"""

from __future__ import annotations

import re
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError, TimeoutError

from infra.errors import UserError
from infra.mounts import network_file_system

BUSY_TIMEOUT_MS = 30_000  # how long a writer waits for another before it gives up
CONNECT_TIMEOUT_S = 10

ALLOWED = "sqlite:///relative.db, sqlite:////absolute.db or postgresql+psycopg://user@host/database"

Step = tuple[int, Sequence[str | Callable[[sa.Connection], None]]]

_ADVISORY_LOCK = 0x66616365  # any number will do, if it is always the same
_SQLITE_TROUBLE = {
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}  # fmt: skip

_SECRET_OPTION = re.compile(r"(?i)([?&][^=&]*(?:password|secret|token)[^=&]*=)[^&]*")
_LOOKS_LIKE_PASSWORD = re.compile(r"://([^/?#\s]*?):([^\s]*)@")


class DatabaseError(UserError):
    """A database cannot be opened or used; the line names it without its password."""


def open_engine(url: str) -> sa.Engine:
    """Open the database that `url` names, trying one connection.

    `sqlite:///relative.db` (relative to the current directory), `sqlite:////absolute.db`: the folder is made when it
    is missing. `postgresql+psycopg://user@host/database`: the password comes from PGPASSWORD or ~/.pgpass.

    Transactions begin with the write lock on SQLite; those that only read belong on :func:`read_only`.
    Raises DatabaseError: unknown kind of URL, unreachable, locked, corrupt, not a database, on a network file system.
    """
    parsed = _parse(url)
    engine = _open_sqlite(parsed, url) if parsed.get_backend_name() == "sqlite" else _open_postgres(parsed)
    try:
        with engine.connect() as connection:
            # A connection alone does not make SQLite look into the file.
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master" if is_sqlite(engine) else "SELECT 1")
    except SQLAlchemyError as error:
        engine.dispose()
        raise _explained(engine.url, error) from None
    return engine


def is_sqlite(engine: sa.Engine) -> bool:
    """Whether `engine` speaks to a SQLite file (otherwise it is PostgreSQL)."""
    return engine.dialect.name == "sqlite"


def read_only(engine: sa.Engine) -> sa.Engine:
    """The same database and connections for transactions that only read; on SQLite they wait for no writer."""
    return engine.execution_options(read_only=True, postgresql_readonly=True)


def redact(url: str) -> str:
    """`url` without its password, whatever else is wrong with it."""
    text = _SECRET_OPTION.sub(r"\1***", url)
    # Greedy up to the last @, since a password may hold one.
    return _LOOKS_LIKE_PASSWORD.sub(r"://\1:***@", text)


@contextmanager
def clear_errors(engine: sa.Engine) -> Iterator[None]:
    """Turns what SQLAlchemy raises about the database itself (not about a wrong statement) into DatabaseError.

    Wrong statements and violated constraints pass through: they are mistakes of the code.
    """
    try:
        yield
    except (DBAPIError, TimeoutError) as error:
        if _is_of_the_database_itself(error):
            raise _explained(engine.url, error) from None
        raise


def migrate(engine: sa.Engine, steps: Sequence[Step], name: str = "schema") -> int:
    """Bring the schema forward, in one transaction and under a lock; returns the version it has now.

    steps: (version, SQL statements or callables given the connection), versions rising from 1 up; what is done already
    is skipped, and two processes that open at once migrate once. The version is kept in `PRAGMA user_version`, or on
    PostgreSQL in a row of the table `schema_versions`. name: whose schema this is: on PostgreSQL several may live side
    by side, a SQLite file belongs to one.

    Raises DatabaseError when the database is newer than `steps`, or (SQLite) belongs to another name.
    """
    versions = [version for version, _ in steps]
    if versions != sorted(set(versions)) or not versions or versions[0] < 1:
        raise ValueError(f"the versions of the steps must rise from 1 up, not {versions}")
    newest = versions[-1]
    record = _SqliteVersion(name) if is_sqlite(engine) else _PostgresVersion(name)
    with clear_errors(engine), engine.begin() as connection:
        current = record.read(connection, engine.url)
        if current > newest:
            raise DatabaseError(
                f"{_shown(engine.url)} has version {current} of the {name}, this program knows up to {newest}; "
                "update the program, or name another database"
            )
        for version, actions in steps:
            if version <= current:
                continue
            for action in actions:
                if isinstance(action, str):
                    connection.exec_driver_sql(action)
                else:
                    action(connection)
        if current < newest:
            record.write(connection, newest)
    return newest


class _SqliteVersion:
    """The version in `PRAGMA user_version`, the owner in `PRAGMA application_id`; both are part of the transaction."""

    def __init__(self, name: str) -> None:
        self._owner = zlib.crc32(name.encode()) & 0x7FFFFFFF

    def read(self, connection: sa.Connection, url: sa.URL) -> int:
        owner = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if owner not in (0, self._owner) or (version and not owner):
            raise DatabaseError(
                f"{_shown(url)} belongs to another program or another part of this one; name a file of its own"
            )
        return version

    def write(self, connection: sa.Connection, version: int) -> None:
        connection.exec_driver_sql(f"PRAGMA application_id = {self._owner}")
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")


class _PostgresVersion:
    """The version in a row of `schema_versions`, guarded by an advisory lock that ends with the transaction."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, connection: sa.Connection, url: sa.URL) -> int:
        # A fixed lock for all names: CREATE TABLE IF NOT EXISTS itself is not safe against a second one.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS schema_versions (name text PRIMARY KEY, version integer NOT NULL)"
        )
        found = connection.execute(
            sa.text("SELECT version FROM schema_versions WHERE name = :name"), {"name": self._name}
        ).scalar()
        return int(found or 0)

    def write(self, connection: sa.Connection, version: int) -> None:
        connection.execute(
            sa.text(
                "INSERT INTO schema_versions VALUES (:name, :version) "
                "ON CONFLICT (name) DO UPDATE SET version = excluded.version"
            ),
            {"name": self._name, "version": version},
        )


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseError(f"'{redact(url)}' is not a database URL; use {ALLOWED}") from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        if not parsed.database or parsed.database == ":memory:" or parsed.host:
            raise DatabaseError(f"'{redact(url)}' names no file that lasts; use sqlite:///relative.db")
        return parsed
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise DatabaseError(f"no database speaks {parsed.drivername}:// here; use {ALLOWED}")


def _open_sqlite(parsed: sa.URL, url: str) -> sa.Engine:
    path = Path(parsed.database or "").expanduser().absolute()
    if path.is_dir():
        raise DatabaseError(f"{path} is a folder; name a file in it, e.g. {url.rstrip('/')}/results.db")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"cannot make the folder of {path}: {(error.strerror or str(error)).lower()}") from None
    network = network_file_system(path)
    if network:
        raise DatabaseError(
            f"{path} lies on a network file system ({network}), where SQLite's write-ahead log does not work and "
            "databases get corrupted; name a file on a local disk, or use postgresql+psycopg://user@host/database"
        )
    engine = sa.create_engine(parsed.set(database=str(path)), connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own BEGIN comes too late and not at all before DDL; `_begin` below sends it instead.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL. Of several processes that do so at once SQLite refuses some without waiting: try again."""
    give_up = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _open_postgres(parsed: sa.URL) -> sa.Engine:
    options: dict[str, Any] = {} if "connect_timeout" in parsed.query else {"connect_timeout": CONNECT_TIMEOUT_S}
    # hide_parameters: an error must not carry rows into a log.
    return sa.create_engine(parsed, pool_pre_ping=True, connect_args=options, hide_parameters=True)


def _is_of_the_database_itself(error: SQLAlchemyError) -> bool:
    if isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.Error):
        # sqlite3 calls a wrong statement an OperationalError too; only SQLite's own code tells.
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _SQLITE_TROUBLE
    return isinstance(error, (OperationalError, TimeoutError)) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _shown(url: sa.URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return redact(url.render_as_string(hide_password=True))


def _explained(url: sa.URL, error: SQLAlchemyError) -> DatabaseError:
    said = str(getattr(error, "orig", None) or error).strip()
    if url.password:
        said = said.replace(str(url.password), "***")
    cures = [
        ("database is locked", "another program has held the write lock for too long; stop it, or try again"),
        ("unable to open database file", "check that the folder is there and may be written by this user"),
        ("readonly database", "give this user the right to write the file and its folder"),
        ("not a database", "this file is something else; name another"),
        ("malformed", "the file is damaged; restore a copy, or move it away to begin anew"),
        ("disk is full", "free some space"),
        ("disk I/O error", "check the disk"),
        ("password", "set PGPASSWORD or write ~/.pgpass"),
        ("does not exist", "create it first, or correct the URL"),
        ("", "check that the server runs and that the URL is right"),
    ]
    cure = next(cure for sign, cure in cures if sign in said)
    return DatabaseError(f"{_shown(url)}: {said}; {cure}")
