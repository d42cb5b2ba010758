"""The commands of the result store as a person or a script meets them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.cli import run_cli
from tune.store.__main__ import main
from tune.store.reader import open_reader
from tune.store.writer import ResultStore

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two sweeps; in each the trial with the best epoch is not the one that ends best."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/results.db"
    store = ResultStore(url)
    store.open()
    fill(store, "demo/1", "demo", [0.1, 0.2, 0.3])
    fill(store, "demo/2", "demo", [0.4, 0.5, 0.6])
    fill(store, "faces/1", "faces", [0.7])
    store.close()
    return url


def fill(store: ResultStore, sweep: str, name: str, rates: list[float]) -> None:
    store.sweep(
        sweep, name, {"search": {"metric": "auc"}}, dataset_hash="d" * 64, git_commit="c0ffee", status="finished"
    )
    for number, lr in enumerate(rates):
        trial = f"{name[0]}{sweep[-1]}{number}x"
        params = {"model": {"family": "cnn", "blocks": [{"filters": 8}, {"filters": 16}]}, "train": {"lr": lr, "n": 1}}
        store.trial(
            trial, sweep, params, status="completed", number=number, folder="file://f", started_at=1, ended_at=9
        )
        peak = round(0.8 + number / 100, 2)
        for epoch, auc in enumerate([0.5, peak, round(0.7 - number / 100, 2)], start=1):
            loss = float("nan") if epoch == 3 else 1 - auc
            store.metrics(trial, epoch, {"auc": auc, "loss": loss}, time.time())


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def run(*words: str, url: str | None = None) -> Done:
    """As a shell would see it, without a new interpreter for each."""
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as exited:
        run_cli(lambda _: main([*words, *(["--store", url] if url else [])]))
    signal.signal(signal.SIGTERM, before)
    assert isinstance(exited.value.code, int)
    return Done(exited.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def _no_store_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESULT_STORE", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)


def ask(*words: str, url: str) -> Any:
    done = run(*words, "--json", url=url)
    assert done.code == 0, done.err
    return json.loads(done.out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def fails(done: Done, *words: str) -> None:
    assert done.code == 1
    assert done.out == ""
    assert len(done.err.splitlines()) == 1 and done.err.startswith("error: ")
    for word in words:
        assert word in done.err


def test_top_ranks_by_the_best_epoch_and_not_by_the_last(url: str) -> None:
    by_auc = ask("top", "--sweep", "demo/1", url=url)
    assert [row["trial"] for row in by_auc] == ["d12x", "d11x", "d10x"]
    assert (by_auc[0]["best"], by_auc[0]["best_epoch"], by_auc[0]["last"]) == (0.82, 2, 0.68)
    by_loss = ask("top", "--sweep", "demo/1", "--metric", "loss", url=url)
    assert [row["trial"] for row in by_loss] == ["d12x", "d11x", "d10x"]
    assert by_loss[0]["last"] is None
    worst = ask("top", "--sweep", "demo/1", "--mode", "min", "--limit", "1", url=url)
    assert (worst[0]["best"], worst[0]["best_epoch"]) == (0.5, 1)


def test_a_sweeps_name_is_the_newest_of_it(url: str) -> None:
    assert {row["sweep"] for row in ask("top", "--sweep", "demo", url=url)} == {"demo/2"}
    assert {row["sweep"] for row in ask("top", url=url)} == {"demo/1", "demo/2", "faces/1"}


def test_the_table_fits_80_columns_and_shows_what_differs(url: str) -> None:
    done = run("top", "--sweep", "demo/1", url=url)
    lines = done.out.splitlines()
    assert lines[0].split() == ["#", "trial", "status", "best", "auc", "epoch", "last", "lr"]
    assert lines[1].split() == ["1", "d12x", "completed", "0.8200", "2", "0.6800", "0.3000"]
    for words in (["top"], ["show", "d12x"], ["compare", "d10x", "d11x"], ["sweeps"]):
        done = run(*words, url=url)
        assert done.code == 0 and all(len(line) <= 80 for line in done.out.splitlines()), done.out


def test_show_finds_a_trial_by_the_beginning_of_its_id(url: str) -> None:
    record = ask("show", "f1", url=url)
    assert record["trial"]["id"] == "f10x"
    assert record["curves"]["loss"] == [[1, 0.5], [2, pytest.approx(0.2)], [3, None]]
    assert "▁" in run("show", "f1", url=url).out


def test_compare_shows_only_what_differs(url: str) -> None:
    comparison = ask("compare", "d10x", "d20x", url=url)
    assert comparison["params"] == {"train.lr": [0.1, 0.4]}
    assert [best["value"] for best in comparison["metrics"]["auc"]] == [0.8, 0.8]


def test_sweeps_come_newest_first_with_their_best(url: str) -> None:
    found = ask("sweeps", url=url)
    assert [sweep["id"] for sweep in found] == ["faces/1", "demo/2", "demo/1"]
    assert (found[1]["best"]["value"], found[1]["best_trial"], found[1]["trials"]) == (0.82, "d22x", {"completed": 3})


def test_csv_has_a_column_for_each_param(url: str) -> None:
    rows = list(csv.DictReader(io.StringIO(run("top", "--csv", "--sweep", "demo/1", url=url).out)))
    assert [row["params.train.lr"] for row in rows] == ["0.3", "0.2", "0.1"]
    curves = list(csv.DictReader(io.StringIO(run("show", "f1", "--csv", url=url).out)))
    assert {(row["metric"], row["epoch"]) for row in curves} >= {("auc", "1"), ("loss", "3")}


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_export_holds_every_trial_and_replaces_a_file_whole(url: str, tmp_path: Path, form: str) -> None:
    out = tmp_path / "new" / f"trials.{form}"
    for _ in range(2):
        assert run("export", "--out", str(out), url=url).code == 0
    if form == "parquet":
        rows = pq.read_table(out).to_pylist()
    elif form == "csv":
        rows = list(csv.DictReader(out.open()))
    else:
        rows = json.loads(out.read_text())
    assert len(rows) == 7
    assert {float(row["params.train.lr"]) for row in rows if row["sweep_id"] == "demo/1"} == {0.1, 0.2, 0.3}
    assert {float(row["auc.max"]) for row in rows if row["trial"] == "d12x"} == {0.82}
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(
    "words", [["top"], ["show", "x"], ["compare", "x", "y"], ["sweeps"], ["export", "--out", "x.csv"]]
)
def test_asking_where_there_is_no_store_creates_none(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(run(*words), "no result store at", "python tune/run.py --params params/demo.yaml")
    assert not list(tmp_path.iterdir())


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    store = ResultStore(f"sqlite:///{tmp_path}/results.db")
    store.open()
    store.close()
    for words in (["top"], ["sweeps"], ["show", "x"], ["export", "--out", str(tmp_path / "x.csv")]):
        fails(run(*words, url=store.url), "tune/run.py")
    assert not (tmp_path / "x.csv").exists()


def test_mistakes_are_one_line_with_what_was_probably_meant(url: str, tmp_path: Path) -> None:
    fails(run("top", "--metric", "acu", url=url), "did you mean auc", "loss")
    fails(run("top", "--sweep", "facs", url=url), "did you mean faces", "demo")
    fails(run("show", "d12z", url=url), "d12x")
    fails(run("show", "d1", url=url), "d10x", "d11x", "d12x")
    fails(run("compare", "d10x", "nobody", url=url), "nobody")
    fails(run("top", url="mysql://x/y"), "sqlite:///")
    fails(run("export", "--out", str(tmp_path / "x.txt"), url=url), "--format")
    (tmp_path / "text.db").write_text("this is no database at all, only words " * 40)
    fails(run("top", url=f"sqlite:///{tmp_path}/text.db"), "not a database")
    fails(run("top", url=f"sqlite:///{tmp_path}"), "no result store")


@pytest.mark.parametrize(
    "words", [[], ["best"], ["top", "--limit", "0"], ["top", "--json", "--csv"], ["show"], ["compare", "x"]]
)
def test_wrong_usage_exits_2(words: list[str]) -> None:
    assert run(*words).code == 2


@pytest.mark.parametrize("words", [["--help"], ["top", "--help"], ["show", "--help"], ["export", "--help"]])
def test_help_has_an_example(words: list[str]) -> None:
    done = run(*words)
    assert done.code == 0 and "example: python -m tune.store" in done.out


def test_as_a_command_the_environment_names_the_store(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tune.store"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "RESULT_STORE": url}
    done = subprocess.run([*command, "top", "--json"], cwd=tmp_path, env=env, capture_output=True, check=True)
    assert len(json.loads(done.stdout)) == 7
    failed = subprocess.run(
        [*command, "show", "nobody"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    fails(Done(failed.returncode, failed.stdout, failed.stderr), "nobody")


def test_postgres_answers_the_same(url: str, postgres_url: str, tmp_path: Path) -> None:
    fails(run("top", url=postgres_url), "no result store")
    store = ResultStore(postgres_url, spill=tmp_path)
    store.open()
    fill(store, "demo/1", "demo", [0.1, 0.2, 0.3])
    fill(store, "demo/2", "demo", [0.4, 0.5, 0.6])
    fill(store, "faces/1", "faces", [0.7])
    store.close()
    for words in (["top"], ["top", "--metric", "loss"], ["compare", "d10x", "d20x"]):
        assert ask(*words, url=postgres_url) == ask(*words, url=url)


def test_reading_works_while_a_sweep_writes_and_waits_for_nobody(tmp_path: Path) -> None:
    store = ResultStore(f"sqlite:///{tmp_path}/results.db")
    store.open()
    fill(store, "demo/1", "demo", [0.1])
    assert store.flush(10)
    engine = open_reader(store.url)
    with engine.begin() as connection:  # a reader in the middle of its work
        connection.exec_driver_sql("SELECT count(*) FROM metrics").scalar_one()
        fill(store, "demo/2", "demo", [0.2])
        assert store.flush(10)
        assert connection.exec_driver_sql("SELECT count(*) FROM trials").scalar_one() == 1
    assert len(ask("top", url=store.url)) == 2
    store.close()
