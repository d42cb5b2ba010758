"""Opening SQLite and PostgreSQL, what goes wrong there, and migrations by several processes at once."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from infra.database import DatabaseError, Step, is_sqlite, migrate, open_engine, read_only, redact
from infra.mounts import file_system_of, is_network

ROOT = Path(__file__).resolve().parent.parent

FIRST = ["CREATE TABLE trials (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"]
SECOND = ["ALTER TABLE trials ADD COLUMN score REAL", "INSERT INTO trials (id, name, score) VALUES (1, 'a', 0.5)"]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deep/folder/results.db"
    return str(request.getfixturevalue("postgres_url"))


class TestEveryDatabase:
    def test_rows_last(self, url: str) -> None:
        engine = open_engine(url)
        assert is_sqlite(engine) == url.startswith("sqlite")
        with engine.begin() as connection:
            connection.exec_driver_sql(FIRST[0])
            connection.exec_driver_sql("INSERT INTO trials VALUES (1, 'a')")
        engine.dispose()
        again = open_engine(url)
        with read_only(again).connect() as connection:
            assert connection.exec_driver_sql("SELECT name FROM trials").scalars().all() == ["a"]
        again.dispose()

    def test_a_failed_transaction_leaves_nothing_not_even_a_table(self, url: str) -> None:
        engine = open_engine(url)
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            connection.exec_driver_sql(FIRST[0])
            connection.exec_driver_sql("INSERT INTO trials VALUES (1, 'a')")
            connection.exec_driver_sql("INSERT INTO trials VALUES (1, 'b')")
        assert sa.inspect(engine).get_table_names() == []
        engine.dispose()

    def test_foreign_keys_hold(self, url: str) -> None:
        engine = open_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(FIRST[0])
            connection.exec_driver_sql("CREATE TABLE points (trial INTEGER NOT NULL REFERENCES trials (id))")
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO points VALUES (7)")
        engine.dispose()

    def test_migrations_go_forward_and_are_done_once(self, url: str) -> None:
        engine = open_engine(url)
        assert migrate(engine, [(1, FIRST)]) == 1
        seen: list[str] = []

        def remember(connection: sa.Connection) -> None:
            seen.extend(connection.exec_driver_sql("SELECT name FROM trials").scalars().all())

        steps: list[Step] = [(1, FIRST), (2, SECOND), (5, [remember])]
        assert migrate(engine, steps) == 5
        assert migrate(engine, steps) == 5
        assert seen == ["a"]
        engine.dispose()

    def test_a_migration_that_fails_changes_nothing(self, url: str) -> None:
        engine = open_engine(url)
        migrate(engine, [(1, FIRST)])
        with pytest.raises(sa.exc.SQLAlchemyError):
            migrate(engine, [(1, FIRST), (2, SECOND), (3, ["CREATE NONSENSE"])])
        assert [column["name"] for column in sa.inspect(engine).get_columns("trials")] == ["id", "name"]
        assert migrate(engine, [(1, FIRST), (2, SECOND)]) == 2
        engine.dispose()

    def test_a_database_newer_than_the_program(self, url: str) -> None:
        engine = open_engine(url)
        migrate(engine, [(1, FIRST), (2, SECOND)])
        with pytest.raises(DatabaseError, match="has version 2 of the schema, this program knows up to 1; update"):
            migrate(engine, [(1, FIRST)])
        engine.dispose()

    @pytest.mark.parametrize("versions", [[], [0, 1], [2, 1], [1, 1]])
    def test_versions_that_do_not_rise(self, tmp_path: Path, versions: list[int]) -> None:
        engine = open_engine(f"sqlite:///{tmp_path}/a.db")
        with pytest.raises(ValueError, match="must rise"):
            migrate(engine, [(version, []) for version in versions])
        engine.dispose()

    def test_processes_that_open_at_once_migrate_once(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        count = 4
        with context.Manager() as manager:
            start = manager.Barrier(count)
            with context.Pool(count) as pool:
                jobs = [pool.apply_async(open_and_migrate, (url, start)) for _ in range(count)]
                assert [job.get(timeout=120) for job in jobs] == [2] * count
        engine = open_engine(url)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM trials").scalar_one() == 1
        engine.dispose()

    def test_a_migration_under_way_is_waited_for(self, url: str) -> None:
        engine, second = open_engine(url), open_engine(url)
        migrate(engine, [(1, FIRST)])
        started, done = threading.Event(), []

        def slow(_: sa.Connection) -> None:
            done.append("slow")
            started.set()
            other.join(timeout=0.5)  # long enough for the other to run into the lock, or past it

        steps: list[Step] = [(1, FIRST), (2, [slow])]

        def migrate_too() -> None:
            started.wait(timeout=20)
            migrate(second, steps)

        other = threading.Thread(target=migrate_too)
        other.start()
        migrate(engine, steps)
        other.join(timeout=20)
        assert done == ["slow"]
        engine.dispose()
        second.dispose()

    def test_writers_wait_for_each_other(self, url: str) -> None:
        """Read-then-write transactions of many threads: none fails, none is lost."""
        engine = open_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE counter (n INTEGER NOT NULL)")
            connection.exec_driver_sql("INSERT INTO counter VALUES (0)")
        problems: list[BaseException] = []

        def count() -> None:
            try:
                for _ in range(25):
                    with engine.begin() as connection:
                        lock = "" if is_sqlite(engine) else " FOR UPDATE"
                        n = connection.exec_driver_sql(f"SELECT n FROM counter{lock}").scalar_one()
                        connection.exec_driver_sql(f"UPDATE counter SET n = {n + 1}")
            except Exception as error:
                problems.append(error)

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with read_only(engine).connect() as connection:
            assert (problems, connection.exec_driver_sql("SELECT n FROM counter").scalar_one()) == ([], 100)
        engine.dispose()


def open_and_migrate(url: str, start: Any) -> int:
    start.wait(timeout=60)
    engine = open_engine(url)
    version = migrate(engine, [(1, FIRST), (2, SECOND)])
    engine.dispose()
    return version


class TestSqlite:
    def test_settings(self, tmp_path: Path) -> None:
        engine = open_engine(f"sqlite:///{tmp_path}/a.db")
        with engine.connect() as connection:
            asked = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys", "mmap_size")
            }
        assert asked == {
            "journal_mode": "wal",
            "synchronous": 1,  # NORMAL
            "busy_timeout": 30_000,
            "foreign_keys": 1,
            "mmap_size": 0,
        }
        engine.dispose()

    def test_a_relative_path_stays_where_it_was_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        engine = open_engine("sqlite:///runs/results.db")
        monkeypatch.chdir("/")
        engine.dispose()  # so that the next connection is a new one
        migrate(engine, [(1, FIRST)])
        assert (tmp_path / "runs/results.db").stat().st_size > 0
        engine.dispose()

    def test_readers_do_not_wait_for_a_writer_but_writers_do(self, tmp_path: Path) -> None:
        engine = open_engine(f"sqlite:///{tmp_path}/a.db")
        migrate(engine, [(1, FIRST), (2, SECOND)])
        with engine.begin() as writer:
            writer.exec_driver_sql("DELETE FROM trials")
            with read_only(engine).connect() as reader:
                assert reader.exec_driver_sql("SELECT count(*) FROM trials").scalar_one() == 1
            impatient = sqlite3.connect(tmp_path / "a.db", timeout=0)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                impatient.execute("BEGIN IMMEDIATE")
            impatient.close()
        engine.dispose()

    def test_a_file_belongs_to_one_schema(self, tmp_path: Path) -> None:
        engine = open_engine(f"sqlite:///{tmp_path}/a.db")
        migrate(engine, [(1, FIRST)], name="results")
        with pytest.raises(DatabaseError, match="belongs to another"):
            migrate(engine, [(1, FIRST)], name="answers")
        engine.dispose()

    def test_another_programs_database_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "places.db"
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA user_version = 1")
        other.close()
        engine = open_engine(f"sqlite:///{path}")
        with pytest.raises(DatabaseError, match="belongs to another program"):
            migrate(engine, [(1, FIRST), (2, SECOND)])
        assert sa.inspect(engine).get_table_names() == []
        engine.dispose()

    @pytest.mark.parametrize(
        ("content", "said"),
        [(b"<!DOCTYPE html>" * 100, "something else"), (b"SQLite format 3\0" + b"\xff" * 4080, "a.db: ")],
    )
    def test_files_that_are_no_database(self, tmp_path: Path, content: bytes, said: str) -> None:
        (tmp_path / "a.db").write_bytes(content)
        with pytest.raises(DatabaseError, match=said):
            open_engine(f"sqlite:///{tmp_path}/a.db")
        assert (tmp_path / "a.db").read_bytes() == content

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        engine = open_engine(f"sqlite:///{path}")
        migrate(engine, [(1, FIRST), (2, SECOND)])
        engine.dispose()
        content = bytearray(path.read_bytes())
        content[100:4096] = b"\xa5" * 3996  # the root page of the schema, behind an intact header
        path.write_bytes(content)
        with pytest.raises(DatabaseError, match="the file is damaged"):
            open_engine(f"sqlite:///{path}")

    def test_opening_waits_for_a_reader_of_a_file_not_yet_in_wal_mode(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        reader.execute("CREATE TABLE t (a)")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t").fetchall()
        opened: list[str] = []

        def open_it() -> None:
            engine = open_engine(f"sqlite:///{path}")
            with engine.connect() as connection:
                opened.append(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
            engine.dispose()

        opener = threading.Thread(target=open_it)
        opener.start()
        opener.join(timeout=0.3)
        assert opener.is_alive() and not opened, "the switch needs the file for itself"
        reader.execute("COMMIT")
        opener.join(timeout=20)
        reader.close()
        assert opened == ["wal"]

    def test_a_folder_instead_of_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(DatabaseError, match=r"is a folder; name a file in it"):
            open_engine(f"sqlite:///{tmp_path}")

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"")
        with pytest.raises(DatabaseError, match="cannot make the folder of"):
            open_engine(f"sqlite:///{tmp_path}/f/a.db")

    def test_killed_in_the_middle_of_a_transaction(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/a.db"
        engine = open_engine(url)
        migrate(engine, [(1, FIRST), (2, SECOND)])
        engine.dispose()
        program = f"""
import os, signal
from infra.database import open_engine
connection = open_engine({url!r}).connect()
connection.exec_driver_sql("INSERT INTO trials (id, name) VALUES (2, 'half')")
os.kill(os.getpid(), signal.SIGKILL)
"""
        assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == -9
        engine = open_engine(url)
        with engine.begin() as connection:
            assert connection.exec_driver_sql("SELECT id FROM trials").scalars().all() == [1]
        engine.dispose()


class TestPostgres:
    def test_a_server_that_is_not_there(self) -> None:
        with pytest.raises(DatabaseError) as refused:
            open_engine("postgresql+psycopg://me:hunter2@127.0.0.1:9/db")
        assert "postgresql+psycopg://me:***@127.0.0.1:9/db: " in str(refused.value)
        assert "check that the server runs" in str(refused.value)
        assert "hunter2" not in str(refused.value)

    def test_an_option_that_does_not_exist(self) -> None:
        with pytest.raises(DatabaseError, match=r"password=\*\*\*.*invalid connection option \"colour\"") as refused:
            open_engine("postgresql+psycopg://127.0.0.1:9/db?colour=red&password=hunter2")
        assert "hunter2" not in str(refused.value)

    def test_a_database_that_is_not_there(self, postgres_server: str) -> None:
        with pytest.raises(DatabaseError, match=r'"nope" does not exist; create it first'):
            open_engine(postgres_server.rpartition("/")[0] + "/nope")

    def test_the_short_scheme_means_the_same_driver(self, postgres_url: str) -> None:
        engine = open_engine(postgres_url.replace("postgresql+psycopg:", "postgresql:"))
        assert engine.driver == "psycopg"
        engine.dispose()

    def test_schemas_live_side_by_side(self, postgres_url: str) -> None:
        engine = open_engine(postgres_url)
        assert migrate(engine, [(1, FIRST)], name="results") == 1
        assert migrate(engine, [(1, ["CREATE TABLE answers (id INTEGER)"])], name="answers") == 1
        assert sorted(sa.inspect(engine).get_table_names()) == ["answers", "schema_versions", "trials"]
        engine.dispose()

    def test_a_read_only_transaction_cannot_write(self, postgres_url: str) -> None:
        engine = open_engine(postgres_url)
        with pytest.raises(sa.exc.DBAPIError, match="read-only"), read_only(engine).begin() as connection:
            connection.exec_driver_sql(FIRST[0])
        engine.dispose()


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("mysql://me:hunter2@host/db", "no database speaks mysql://"),
            ("postgres://me:hunter2@host/db", "use sqlite:///relative.db"),
            ("runs/results.db", "is not a database URL; use sqlite:///relative.db"),
            ("postgresql://me:hunter2@host:port/db", "is not a database URL"),
            ("sqlite://", "names no file"),
            ("sqlite:///:memory:", "names no file"),
            ("sqlite://results.db", "names no file"),
            ("", "is not a database URL"),
        ],
    )
    def test_refused_in_one_line(self, url: str, said: str) -> None:
        with pytest.raises(DatabaseError) as refused:
            open_engine(url)
        assert said in str(refused.value)
        assert "hunter2" not in str(refused.value)

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql://me:hunter2@host/db", "postgresql://me:***@host/db"),
            ("postgresql://me:p@ss:w/rd@host:1/db", "postgresql://me:***@host:1/db"),
            ("postgresql://me@host/db", "postgresql://me@host/db"),
            ("postgresql://host/db?user=me&password=hunter2&x=1", "postgresql://host/db?user=me&password=***&x=1"),
            ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ],
    )
    def test_redact(self, url: str, shown: str) -> None:
        assert redact(url) == shown

    @given(
        st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=6).filter(
            lambda s: s not in "postgresql+psycopg://someone:***@host:5432/db"
        )
    )
    def test_no_password_survives(self, password: str) -> None:
        assert password not in redact(f"postgresql+psycopg://someone:{password}@host:5432/db")


MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:40 / /home rw,relatime shared:1 - nfs4 server:/export/home rw,vers=4.2
41 40 254:1 / /home/me/local rw - xfs /dev/vdb rw
42 27 0:41 / /mnt/with\040space rw - fuse.sshfs me@host: rw
43 27 0:42 / /scratch rw - lustre mds@tcp:/scratch rw
44 43 0:43 / /scratch rw - tmpfs tmpfs rw
45 27 0:44 / /win rw - cifs //server/share rw,password=x
a line from the future
"""


class TestMounts:
    @pytest.mark.parametrize(
        ("path", "kind", "network"),
        [
            ("/var/lib/a.db", "ext4", False),
            ("/home/you/a.db", "nfs4", True),
            ("/home/me/local/a.db", "xfs", False),
            ("/home/me/local2/a.db", "nfs4", True),
            ("/home2/a.db", "ext4", False),
            ("/mnt/with space/a.db", "fuse.sshfs", True),
            ("/scratch/a.db", "tmpfs", False),
            ("/win/a.db", "cifs", True),
            ("/", "ext4", False),
        ],
    )
    def test_the_longest_and_latest_mount_wins(self, path: str, kind: str, network: bool) -> None:
        assert file_system_of(path, MOUNTS) == kind
        assert is_network(kind) == network

    @pytest.mark.parametrize("kind", ["fuse", "fuse.ntfs-3g", "fuse.mergerfs", "fuse.fuse-overlayfs", "overlay", "zfs"])
    def test_local_ones_are_not_refused(self, kind: str) -> None:
        assert not is_network(kind)

    @pytest.mark.parametrize("kind", ["nfs", "smb3", "fuse.s3fs", "fuse.glusterfs", "beegfs", "gpfs", "ceph"])
    def test_network_ones_are(self, kind: str) -> None:
        assert is_network(kind)

    @given(st.text(), st.text())
    def test_any_table_is_survived(self, path: str, table: str) -> None:
        file_system_of("/" + path, table)
