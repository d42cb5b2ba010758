"""The result store's writer: every row once, on SQLite and PostgreSQL, and no trouble that reaches a sweep."""

from __future__ import annotations

import ctypes
import math
import os
import pickle
import shlex
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from infra.database import DatabaseError, open_engine
from tests.servers import DEV, server
from tune.store import query, schema
from tune.store.reader import open_reader
from tune.store.writer import ResultStore

ROOT = Path(__file__).resolve().parent.parent
PARAMS = {"model": {"family": "cnn", "blocks": [{"filters": 8}, {"filters": 16}]}, "train": {"lr": 0.001}}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases, each empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/results.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


@pytest.fixture
def store(db: Path) -> Iterator[ResultStore]:
    store = ResultStore(f"sqlite:///{db}")
    store.open()
    yield store
    store.close()


def opened(url: str, folder: Path) -> ResultStore:
    store = ResultStore(url, spill=folder)
    store.open()
    return store


def write_sweep(store: ResultStore, sweep: str = "demo/1", trials: int = 3, epochs: int = 5) -> None:
    name = sweep.partition("/")[0]
    store.sweep(sweep, name, {"name": name}, dataset_hash="d" * 64, git_commit=None, status="running")
    for number in range(trials):
        trial = f"{sweep}-{number}"
        store.trial(trial, sweep, PARAMS, status="running", number=number, folder="file://x", started_at=1.0)
        for epoch in range(1, epochs + 1):
            store.metrics(trial, epoch, {"auc": 0.5 + number / 10 + epoch / 100, "loss": 1 / epoch}, time.time())


def rows(url: str, table: str) -> int:
    engine = open_reader(url)
    try:
        with engine.connect() as connection:
            count = connection.scalar(sa.select(sa.func.count()).select_from(schema.metadata.tables[table]))
            assert count is not None
            return int(count)
    finally:
        engine.dispose()


def wait_for(condition: Any, timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def lines_about(err: str, words: str) -> int:
    return sum(words in line for line in err.splitlines())


# What is written is there


def test_everything_written_can_be_read_back(url: str, tmp_path: Path) -> None:
    store = opened(url, tmp_path)
    write_sweep(store, trials=2, epochs=3)
    store.checkpoint("demo/1-0", 3, "file://checkpoint", 0.8)
    store.event("demo/1", "demo/1-0", "restored", "after epoch 2")
    store.alias("champion", "file://bundle", "demo/1-1")
    assert store.flush(10)
    store.close()

    record = query.show(open_reader(url), "demo/1-0")
    assert record.trial.params == PARAMS
    assert record.curves["auc"] == [(1, 0.51), (2, 0.52), (3, 0.53)]
    assert [(c.step, c.url, c.score) for c in record.checkpoints] == [(3, "file://checkpoint", 0.8)]
    assert [(e.kind, e.message) for e in record.events] == [("restored", "after epoch 2")]
    assert record.sweep is not None and record.sweep.dataset_hash == "d" * 64
    champion = query.alias(open_reader(url), "champion")
    assert champion is not None and (champion.bundle_url, champion.trial_id) == ("file://bundle", "demo/1-1")


def test_a_trial_that_goes_on_keeps_its_start_and_loses_its_end(url: str, tmp_path: Path) -> None:
    store = opened(url, tmp_path)
    store.trial("t", "s", {}, status="running", number=0, folder="f", started_at=100.0)
    store.trial("t", "s", {}, status="interrupted", number=0, folder="f", ended_at=200.0)
    store.trial("t", "s", {}, status="running", number=0, folder="f", started_at=300.0)
    store.close()
    trial = query.show(open_reader(url), "t").trial
    assert (trial.status, trial.started_at, trial.ended_at) == ("running", 100.0, None)


def test_an_alias_goes_to_the_one_who_took_it_last(url: str, tmp_path: Path) -> None:
    store = opened(url, tmp_path)
    store.alias("champion", "file://old", "a")
    store.alias("champion", "file://new", "b")
    store.close()
    champion = query.alias(open_reader(url), "champion")
    assert champion is not None and champion.bundle_url == "file://new"


def test_nan_and_infinities_are_kept_and_never_best(url: str, tmp_path: Path) -> None:
    store = opened(url, tmp_path)
    store.trial("t", "s", {}, status="running", number=0, folder="f")
    for step, value in enumerate([math.nan, 0.7, math.inf, -math.inf, 0.4, math.nan], start=1):
        store.metrics("t", step, {"auc": value, "only_nan": math.nan}, time.time())
    store.close()
    engine = open_reader(url)
    curve = [value for _, value in query.show(engine, "t").curves["auc"]]
    assert [repr(value) for value in curve] == ["nan", "0.7", "inf", "-inf", "0.4", "nan"]
    for mode, best in (("max", 0.7), ("min", 0.4)):
        (trial,) = query.top(engine, metric="auc", mode=mode)
        assert trial.best is not None and trial.best.value == best and math.isnan(trial.best.last)
    (trial,) = query.top(engine, metric="only_nan")
    assert trial.best is not None and trial.best.value is None


def test_text_that_databases_refuse_is_cleaned_not_lost(url: str, tmp_path: Path) -> None:
    store = opened(url, tmp_path)
    store.sweep("s", "s", {"x": math.nan, "p": Path("a"), "t": (1, 2)}, dataset_hash="", git_commit=None, status="x")
    store.trial("t", "s", {"bad": "nul\0 lone\ud800"}, status="failed", number=0, folder="f", error="a\0b\ud800")
    assert store.flush(10)
    store.close()
    record = query.show(open_reader(url), "t")
    assert record.trial.error is not None and record.trial.error.startswith("a")
    assert record.sweep is not None and record.sweep.params == {"x": "nan", "p": "a", "t": [1, 2]}


def test_a_row_that_no_database_takes_does_not_hold_up_the_others(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = opened(url, tmp_path)
    store.metrics("t", 2**80, {"auc": 0.5}, time.time())
    write_sweep(store, trials=1, epochs=2)
    assert store.flush(10)
    store.close()
    assert rows(url, "metrics") == 4
    assert lines_about(capfd.readouterr().err, "refuses") == 1


# Opening


def test_building_and_pickling_neither_connect_nor_show_the_password(tmp_path: Path) -> None:
    store = ResultStore("postgresql+psycopg://me:s3cret@127.0.0.1:1/db?sslpassword=s3cret", spill=tmp_path)
    data = pickle.dumps(store)
    assert b"s3cret" not in data
    assert pickle.loads(data).url == "postgresql+psycopg://me@127.0.0.1:1/db"
    opened = ResultStore(f"sqlite:///{tmp_path}/results.db")
    opened.open()
    again = pickle.loads(pickle.dumps(opened))
    opened.close()
    again.open()
    write_sweep(again)
    assert again.flush(10)
    again.close()


@pytest.mark.parametrize(
    "wrong", ["mysql://x/y", "results.db", "postgresql+psycopg://me:s3cret@127.0.0.1:1/db", "sqlite:////proc/no/x.db"]
)
def test_a_wrong_url_is_one_clear_line_when_it_is_opened(wrong: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        ResultStore(wrong).open()
    assert "\n" not in str(caught.value) and "s3cret" not in str(caught.value)


def test_a_store_that_is_not_open_keeps_what_it_is_told(db: Path) -> None:
    write_sweep(ResultStore(f"sqlite:///{db}"), trials=1, epochs=2)
    store = ResultStore(f"sqlite:///{db}")
    store.open()
    assert store.flush(10)
    store.close()
    assert rows(store.url, "metrics") == 4
    assert not list(db.parent.glob("*.jsonl"))


def test_a_forked_child_writes_without_touching_the_parents_connection(store: ResultStore, db: Path) -> None:
    write_sweep(store, trials=1, epochs=1)
    assert store.flush(10)
    child = os.fork()
    if child == 0:
        store.metrics("demo/1-0", 7, {"auc": 0.9}, time.time())
        os._exit(0)
    os.waitpid(child, 0)
    write_sweep(store, trials=1, epochs=3)
    assert store.flush(10)
    store.close()
    store.open()
    assert store.flush(10)
    assert 7 in [step for step, _ in query.show(open_reader(store.url), "demo/1-0").curves["auc"]]


# A store that goes away


def test_sqlite_file_removed_mid_run(store: ResultStore, db: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_sweep(store, trials=3, epochs=5)
    assert store.flush(10)
    for path in db.parent.glob("results.db*"):
        path.unlink()
    write_sweep(store, trials=3, epochs=8)
    assert store.flush(10)
    assert (rows(store.url, "sweeps"), rows(store.url, "trials"), rows(store.url, "metrics")) == (1, 3, 48)
    assert [t.number for t in query.top(open_reader(store.url))] == [2, 1, 0]
    assert lines_about(capfd.readouterr().err, "removed or replaced") == 1
    assert not list(db.parent.glob("*.jsonl"))


def test_only_the_database_removed_and_its_log_left_behind(store: ResultStore, db: Path) -> None:
    write_sweep(store, trials=2, epochs=5)
    assert store.flush(10)
    db.unlink()
    store.metrics("demo/1-0", 6, {"auc": 0.9}, time.time())
    assert store.flush(10)
    assert rows(store.url, "metrics") == 21
    with sqlite3.connect(db) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_whole_folder_removed(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    store = ResultStore(f"sqlite:///{folder}/results.db")
    store.open()
    write_sweep(store)
    assert store.flush(10)
    subprocess.run(["rm", "-rf", folder], check=True)
    store.event("demo/1", None, "x", "after the removal")
    assert store.flush(10)
    store.close()
    assert rows(store.url, "trials") == 3


def test_another_store_put_in_its_place_gets_this_run_and_keeps_its_own(store: ResultStore, db: Path) -> None:
    other = ResultStore(f"sqlite:///{db.parent}/other.db")
    other.open()
    write_sweep(other, sweep="other/1", trials=1)
    other.close()
    write_sweep(store)
    assert store.flush(10)
    (db.parent / "other.db").replace(db)
    store.event("demo/1", None, "x", "y")
    assert store.flush(10)
    assert {s.name: sum(s.trials.values()) for s in query.sweeps(open_reader(store.url))} == {"demo": 3, "other": 1}


def test_a_lock_held_by_another_process(store: ResultStore, db: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_sweep(store, trials=1, epochs=1)
    assert store.flush(10)
    code = f"""
        import sqlite3, sys
        connection = sqlite3.connect({str(db)!r}, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        print("locked", flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        holder.stdout.readline()
        slowest = 0.0
        for epoch in range(2, 52):
            started = time.perf_counter()
            store.metrics("demo/1-0", epoch, {"auc": 0.5}, time.time())
            slowest = max(slowest, time.perf_counter() - started)
        spill = db.with_name("results.db.spill.jsonl")
        wait_for(spill.exists)
        assert not store.flush(0.1)
        holder.stdin.close()
    assert store.flush(20)
    assert slowest < 0.1
    assert not spill.exists()
    assert len(query.show(open_reader(store.url), "demo/1-0").curves["auc"]) == 51
    err = capfd.readouterr().err
    assert (lines_about(err, "is away"), lines_about(err, "is back")) == (1, 1)


def test_a_full_disk(tmp_path: Path) -> None:
    """The limit on file sizes stands for the disk: it is honest (the kernel refuses) and can be lifted again."""
    script = f"""
        import resource, sys, time
        from tune.store.writer import ResultStore
        store = ResultStore("sqlite:///{tmp_path}/results.db"); store.open()
        store.trial("t", "s", {{}}, status="running", number=0, folder="f")
        assert store.flush(10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
        for step in range(5_000):
            store.metrics("t", step, {{"auc": 0.5, "loss": 0.5}}, time.time())
        assert not store.flush(20), "there was room after all"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert store.flush(20)
        store.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (lines_about(done.stderr, "is away"), lines_about(done.stderr, "is back")) == (1, 1), done.stderr
    assert rows(f"sqlite:///{tmp_path}/results.db", "metrics") == 10_000
    assert not list(tmp_path.glob("*.jsonl"))


def test_closing_while_the_store_is_away_leaves_the_rows_for_the_next_run(
    db: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = ResultStore(f"sqlite:///{db}")
    store.open()
    write_sweep(store, trials=1, epochs=1)
    assert store.flush(10)
    good = db.read_bytes()
    for path in db.parent.glob("results.db*"):
        path.unlink()
    db.mkdir()  # something that can never be opened
    write_sweep(store, trials=2, epochs=4)
    store.close()
    assert lines_about(capfd.readouterr().err, "next opened") == 1
    db.rmdir()
    db.write_bytes(good)
    again = ResultStore(store.url)
    again.open()
    assert again.flush(10)
    again.close()
    assert rows(store.url, "metrics") == 16


def test_a_spill_whose_last_line_was_cut_is_replayed_up_to_it(db: Path) -> None:
    write_sweep(ResultStore(f"sqlite:///{db}"), trials=1, epochs=3)
    spill = db.with_name("results.db.spill.jsonl")
    spill.write_bytes(spill.read_bytes()[:-20])
    late = ResultStore(f"sqlite:///{db}")
    late.metrics("demo/1-0", 9, {"auc": 0.9}, time.time())
    late.open()
    assert late.flush(10)
    late.close()
    steps = [step for step, _ in query.show(open_reader(late.url), "demo/1-0").curves["auc"]]
    assert steps == [1, 2, 9]
    assert not spill.exists()


def test_two_sweeps_that_spill_at_once_do_not_mix(tmp_path: Path) -> None:
    url, place = f"sqlite:///{tmp_path}/results.db", tmp_path / "results.db"
    place.mkdir()
    stores = [ResultStore(url) for _ in range(2)]
    for i, store in enumerate(stores):
        store.open(must_connect=False)
        write_sweep(store, sweep=f"s{i}/1", trials=2, epochs=2)
        assert not store.flush(10)
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    place.rmdir()
    for store in stores:
        assert store.flush(10)
        store.close()
    assert rows(url, "metrics") == 16
    assert not list(tmp_path.glob("*.jsonl"))


def test_postgres_stopped_and_started(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with server("postgres.sh") as environment:
        url = environment["DATABASE_URL"]
        store = ResultStore(url, spill=tmp_path)
        store.open()
        write_sweep(store, trials=1, epochs=3)
        assert store.flush(10)
        with open_engine(url).connect() as connection:
            data = Path(str(connection.exec_driver_sql("SHOW data_directory").scalar_one()))
        folder, command = data.parent, shlex.split((data / "postmaster.opts").read_text())
        subprocess.run([DEV / "postgres.sh", "down", folder], check=True)
        for epoch in range(4, 50):
            store.metrics("demo/1-0", epoch, {"auc": 0.5}, time.time())
        assert not store.flush(15)
        assert list(tmp_path.glob("*.spill.jsonl"))
        owner = data.stat()
        with subprocess.Popen(  # on the port that it had, which the script chooses anew
            command,
            user=owner.st_uid,
            group=owner.st_gid,
            cwd=data,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):
            wait_for(lambda: store.flush(10))
            store.close()
            points = query.show(open_reader(url), "demo/1-0").curves["auc"]
            subprocess.run([DEV / "postgres.sh", "down", folder], check=True)
    assert len(points) == 49
    err = capfd.readouterr().err
    assert (lines_about(err, "is away"), lines_about(err, "is back")) == (1, 1)
    assert not list(tmp_path.glob("*.jsonl"))


# A writer that dies


def test_killed_hard_nothing_that_was_flushed_is_lost(tmp_path: Path) -> None:
    script = f"""
        import time
        from tune.store.writer import ResultStore
        store = ResultStore("sqlite:///{tmp_path}/results.db"); store.open()
        store.trial("t", "s", {{}}, status="running", number=0, folder="f")
        for step in range(1_000_000):
            store.metrics("t", step, {{"auc": step / 1e6}}, time.time())
            if step % 500 == 0 and store.flush(10):
                print(step, flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        flushed = [int(writer.stdout.readline()) for _ in range(6)][-1]
        writer.send_signal(signal.SIGKILL)
    url = f"sqlite:///{tmp_path}/results.db"
    curve = query.show(open_reader(url), "t").curves["auc"]
    assert [step for step, _ in curve] == list(range(len(curve))) and len(curve) > flushed
    (best,) = query.top(open_reader(url))
    assert best.best is not None and best.best.value == curve[-1][1]
    again = ResultStore(url)
    again.open()
    again.metrics("t", 5, {"auc": 2.0}, time.time())
    assert again.flush(10)
    again.close()
    assert rows(url, "metrics") == len(curve)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_writer_thread_is_replaced(store: ResultStore) -> None:
    write_sweep(store, trials=1, epochs=1)
    assert store.flush(10)
    thread = next(t for t in threading.enumerate() if t.name == "result-store" and t.ident is not None)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
    thread.join(10)
    assert not thread.is_alive()
    write_sweep(store, trials=2, epochs=2)
    assert store.flush(10)
    assert rows(store.url, "metrics") == 8


def test_more_than_the_queue_holds_is_spilled_and_not_waited_for(store: ResultStore, db: Path) -> None:
    holder = sqlite3.connect(db, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    started = time.perf_counter()
    for step in range(25_000):
        store.metrics("t", step, {"auc": 0.5}, 1.0)
    assert time.perf_counter() - started < 5
    holder.execute("ROLLBACK")
    holder.close()
    assert store.flush(60)
    assert rows(store.url, "metrics") == 25_000


def test_an_impossible_call_is_a_line_and_not_an_exception(
    store: ResultStore, capfd: pytest.CaptureFixture[str]
) -> None:
    store.metrics("t", 1, {"auc": "high"}, time.time())  # type: ignore[dict-item]
    store.metrics("t", 2, {"auc": 0.5}, time.time())
    assert store.flush(10)
    assert rows(store.url, "metrics") == 1
    assert "lost" in capfd.readouterr().err
