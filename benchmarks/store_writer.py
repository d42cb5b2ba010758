"""How fast the result store is written and read, beside a plain writer that commits every row.

Both write the same rows to SQLite on the same disk in one run: python benchmarks/store_writer.py --rows 200000
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from infra.cli import run_cli
from tune.store import query
from tune.store.reader import open_reader
from tune.store.writer import ResultStore

KEYS = ("auc", "loss", "accuracy", "f1", "eer", "train_loss", "time_total_s", "epoch_seconds")  # of one report
EPOCHS = 50
NAIVE_ROWS = 3_000  # enough for a rate; all of them would take minutes


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see `--help`."""
    parser = argparse.ArgumentParser(
        description="Measure the result store: rows a second, time of a call, time of a ranking.",
        epilog="example: python benchmarks/store_writer.py --rows 1000000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", metavar="N", type=int, default=200_000, help="metric rows; default %(default)s")
    parser.add_argument("--folder", metavar="DIR", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = measure(Path(folder), max(len(KEYS) * EPOCHS, arguments.rows))
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    f = figures
    lines = [
        ("one commit a row, sqlite3, rollback journal", f"{f['naive_rows_per_s']:,.0f} rows/s"),
        ("one commit a row, sqlite3, WAL", f"{f['naive_wal_rows_per_s']:,.0f} rows/s"),
        ("result store", f"{f['store_rows_per_s']:,.0f} rows/s"),
        ("its ratio to the rollback journal", f"{f['ratio']:,.1f} ×"),
        ("its ratio to WAL", f"{f['ratio_wal']:,.1f} ×"),
        (f"a call with {len(KEYS)} metrics, median", f"{f['put_p50_us']:,.0f} µs"),
        ("99 of 100 calls below", f"{f['put_p99_us']:,.0f} µs"),
        (f"ranking of {f['trials']:,} trials, {f['rows']:,} rows", f"{f['top_ms']:,.1f} ms"),
        ("the same by a scan of the metrics", f"{f['scan_ms']:,.1f} ms"),
    ]
    for what, figure in lines:
        print(f"{what:<46}{figure:>16}")


def measure(folder: Path, rows: int) -> dict[str, float]:
    """All figures, by name."""
    trials = rows // (len(KEYS) * EPOCHS)
    naive = naive_rate(folder / "naive.db", "DELETE")
    naive_wal = naive_rate(folder / "naive-wal.db", "WAL")
    store = ResultStore(f"sqlite:///{folder}/results.db")
    store.open()
    for number in range(trials):
        store.trial(f"trial{number:06d}", "s", {"lr": 0.1}, status="running", number=number, folder="f")
    calls = []
    count = 0
    started = time.perf_counter()
    for trial, step, values in reports(trials):
        before = time.perf_counter()
        store.metrics(trial, step, values, time.time())
        calls.append(time.perf_counter() - before)
        count += len(values)
        if len(calls) % 5_000 == 0 and not store.flush(60):  # a sweep does not outrun its store either
            raise RuntimeError("the store did not keep up")
    if not store.flush(600):
        raise RuntimeError("the store did not keep up")
    rate = count / (time.perf_counter() - started)
    store.close()
    calls.sort()
    engine = open_reader(store.url)
    query.top(engine)
    top_ms = statistics.median(timed_ms(lambda: query.top(engine)) for _ in range(9))
    with engine.connect() as connection:
        scan = "SELECT trial_id, max(value) FROM metrics WHERE key = 'auc' GROUP BY trial_id ORDER BY 2 DESC LIMIT 20"
        scan_ms = statistics.median(timed_ms(lambda: connection.exec_driver_sql(scan).all()) for _ in range(5))
    return {
        "rows": count,
        "trials": trials,
        "naive_rows_per_s": naive,
        "naive_wal_rows_per_s": naive_wal,
        "store_rows_per_s": rate,
        "ratio": rate / naive,
        "ratio_wal": rate / naive_wal,
        "put_p50_us": calls[len(calls) // 2] * 1e6,
        "put_p99_us": calls[int(len(calls) * 0.99)] * 1e6,
        "top_ms": top_ms,
        "scan_ms": scan_ms,
    }


def reports(trials: int) -> Iterator[tuple[str, int, dict[str, float]]]:
    """What trials report, interleaved as they would."""
    rng = random.Random(0)
    for step in range(1, EPOCHS + 1):
        for number in range(trials):
            yield f"trial{number:06d}", step, {key: rng.random() for key in KEYS}


def naive_rate(path: Path, journal: str) -> float:
    """Rows a second of the obvious writer: insert, commit, in the training's own thread."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    columns = "trial_id TEXT, key TEXT, step INTEGER, value REAL, at REAL, PRIMARY KEY (trial_id, key, step)"
    connection.execute(f"CREATE TABLE metrics ({columns})")
    trials = -(-NAIVE_ROWS // (len(KEYS) * EPOCHS))
    rows = [(trial, key, step, value, 0.0) for trial, step, vs in reports(trials) for key, value in vs.items()]
    started = time.perf_counter()
    for row in rows[:NAIVE_ROWS]:
        connection.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    rate = NAIVE_ROWS / (time.perf_counter() - started)
    connection.close()
    return rate


def timed_ms(action: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    run_cli(main)
