"""The champion is calibrated on validation and judged once; `python -m tune.evaluate` as people type it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from crawler.manifest import Manifest, table_of, write_manifest
from infra.errors import UserError
from model_defs.checkpoint import BundleError, Card, load_bundle, read_card
from tests.tiny_dataset import make_dataset, make_trial
from tune.champion import Champion, describe_test, make_champion, objection_to
from tune.evaluate import Evaluation, answers, describe, judge
from tune.metrics import METRIC_NAMES, binary_metrics
from tune.trial_folder import finish_trial

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class World:
    """A dataset, a finished trial on it, and its promotion."""

    folder: Path
    manifest: Manifest
    trial: Path
    champion: Champion

    @property
    def bundle(self) -> str:
        return self.champion.url


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    manifest = make_dataset(folder / "data")
    trial = make_trial(folder / "runs" / "trial", manifest, epochs=12)
    finish_trial(str(trial), "auc")
    champion = make_champion(str(trial), str(folder / "runs"), folder / "cache")
    return World(folder, manifest, trial, champion)


def test_a_promoted_bundle_says_how_good_it_is_and_where_it_ends(world: World) -> None:
    card = world.champion.card
    assert world.champion.is_new
    assert world.bundle == f"{world.folder}/runs/champions/{card.id}"
    assert read_card(world.bundle) == card
    assert set(card.metrics) == {"val", "test"}
    for metrics in card.metrics.values():
        assert set(METRIC_NAMES) <= set(metrics)
        assert (metrics["images"], metrics["fakes"]) == (16, 8)
        for name in ("auc", "eer", "f1"):
            low, high = metrics[f"{name}_ci95"]
            assert low <= metrics[name] <= high
        assert set(metrics["called_fake"]) == {"real", "chequer"}
    assert card.metrics["val"]["auc"] > 0.8  # the set is easy
    assert card.thresholds.unsure_low < 0.5 < card.thresholds.unsure_high
    assert (card.temperature, card.bias) != (1.0, 0.0)
    assert card.origin.trial == "t1"
    assert card.dataset.hash == world.manifest.hash
    text = " ".join(card.limits)
    assert "Judged on 16 test images of the same sources: AUC" in text
    assert "fakes of chequer only" in text
    assert "grey pictures of 16×16 pixels" in text
    assert "says 'unsure'; outside, on 16 validation images," in text
    assert "never accuse anybody" in text
    assert "nan" not in text.lower()


def test_calibration_improves_the_loss_on_validation_and_changes_no_ranking(world: World) -> None:
    network, raw = load_bundle(f"{world.trial}/bundle")
    validation = answers(network, raw, world.manifest, "val", world.folder / "cache")
    before, after = binary_metrics(validation.labels, validation.logits), world.champion.card.metrics["val"]
    assert after["loss"] < before["loss"]
    assert after["auc"] == pytest.approx(before["auc"])


def test_promoting_the_same_weights_again_does_not_look_at_the_test_split_again(world: World, tmp_path: Path) -> None:
    # the dataset is gone by now: whoever looked at it would fail
    nowhere = str(tmp_path / "gone")
    again = make_champion(str(world.trial), str(world.folder / "runs"), tmp_path / "cache", manifest_url=nowhere)
    assert (again.url, again.card, again.is_new) == (world.bundle, world.champion.card, False)
    with pytest.raises(UserError, match=r"no dataset at .*gone"):
        make_champion(str(world.trial), str(tmp_path / "other"), tmp_path / "cache", manifest_url=nowhere)


def test_a_champion_is_not_judged_on_another_dataset(world: World, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "data", {"test": 16, "train": 24, "val": 16})
    with pytest.raises(UserError, match=rf"the dataset at {other.url} is not the one that tiny-.* was trained on"):
        make_champion(str(world.trial), str(tmp_path), tmp_path / "cache", manifest_url=other.url)


def test_a_trial_without_a_bundle_cannot_be_promoted(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no checkpoint bundle at"):
        make_champion(str(tmp_path / "trial"), str(tmp_path), tmp_path / "cache")


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"train": 24, "val": 16}, "Its dataset has no test split"),
        ({"train": 24, "val": 16, "test": 1}, "Judged on 1 test images of the same sources: no AUC can be told."),
    ],
)
def test_a_dataset_whose_test_split_cannot_judge_is_said_so(splits: dict[str, int], said: str, tmp_path: Path) -> None:
    trial = make_trial(tmp_path / "trial", make_dataset(tmp_path / "data", splits), epochs=1)
    finish_trial(str(trial), "auc")
    champion = make_champion(str(trial), str(tmp_path), tmp_path / "cache")
    assert champion.card.limits[0].startswith(said)
    if "test" in splits:
        assert champion.card.metrics["test"]["auc"] is None
        assert describe(champion.card.metrics["test"])
    assert bool(describe_test(champion.card)) == ("test" in splits)
    assert read_card(champion.url) == champion.card


def _card(world: World, auc: float | None, **dataset: str) -> Card:
    card = world.champion.card
    return card.model_copy(
        update={"metrics": {"val": {"auc": auc, "loss": auc}}, "dataset": card.dataset.model_copy(update=dataset)}
    )


def test_a_champion_gives_way_to_a_better_one_on_the_same_data(world: World) -> None:
    good, bad, unknown = (_card(world, auc) for auc in (0.9, 0.8, None))
    good = good.model_copy(update={"id": "another"})
    assert objection_to(good, None, "auc", "max") is None
    assert objection_to(good, bad, "auc", "max") is None
    assert "better on the same" in (objection_to(bad, good, "auc", "max") or "")
    assert objection_to(bad, good, "loss", "min") is None
    assert "better on the same" in (objection_to(good, bad, "loss", "min") or "")
    assert objection_to(good, unknown, "auc", "max") is None
    assert objection_to(unknown, good, "auc", "max")


def test_on_other_data_the_newer_champion_reigns_but_the_demo_faces_never_unseat_real_data(world: World) -> None:
    real, newer = _card(world, 0.9, hash="f" * 64), _card(world, 0.6, hash="e" * 64)
    demo = _card(world, 0.99, hash="d" * 64, url="file://./data/demo")
    assert objection_to(newer, real, "auc", "max") is None
    assert objection_to(real, demo, "auc", "max") is None
    assert "demo faces" in (objection_to(demo, real, "auc", "max") or "")


# --- judging ---------------------------------------------------------------------------------------------------------


def test_fakes_are_counted_by_their_generator(world: World) -> None:
    rows = world.manifest.rows("test")
    rows = [replace(row, generator=["a", None][n % 2]) if row.label == "fake" else row for n, row in enumerate(rows)]
    logits = np.array([9.0 if row.generator == "a" else -9.0 for row in rows])
    labels = np.array([row.label == "fake" for row in rows], float)
    found = judge(Evaluation(labels, logits, tuple(rows)), world.champion.card.model_copy(update={"bias": 0.0}))
    called = found["called_fake"]
    assert {group: g["share"] for group, g in called.items()} == {"real": 0, "a": 1, "unknown generator": 0}
    assert sum(g["images"] for g in called.values()) == 16


@pytest.mark.parametrize("logits", [np.full(16, np.nan), np.full(16, np.inf)])
def test_answers_that_are_no_number_are_judged_without_a_crash(world: World, logits: Any) -> None:
    rows = tuple(world.manifest.rows("test"))
    labels = np.array([row.label == "fake" for row in rows], float)
    found = judge(Evaluation(labels, logits, rows), world.champion.card)
    assert all(found[name] is None for name in METRIC_NAMES)
    json.dumps(found, allow_nan=False)
    assert describe(found)


# --- the command -----------------------------------------------------------------------------------------------------


def _run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tune.evaluate", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_command_prints_numbers_with_intervals_and_writes_a_report(world: World, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = _run(world.bundle, "--data", world.manifest.url, "--cache", world.folder / "cache", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith(f"on test of {world.manifest.url}: 16 images, 8 fakes")
    assert any(line.startswith("  auc") and "(95%: " in line for line in lines)
    assert any("chequer: " in line for line in lines)
    assert lines[-1] == f"report in {out}"
    report = json.loads((out / "metrics.json").read_text())
    assert (report["bundle"], report["split"]) == (world.champion.card.id, "test")
    # judged as at its promotion: the same bundle, the same data, the same frozen threshold
    promoted = world.champion.card.metrics["test"]
    assert set(report["metrics"]) == set(promoted)
    for name in ("loss", "f1", "auc", "auc_ci95"):
        assert report["metrics"][name] == pytest.approx(promoted[name])
    for name in ("roc.png", "calibration.png", "confusion.png"):
        Image.open(out / name).verify()
    predictions = pq.read_table(out / "predictions.parquet")
    assert [row.sha256 for row in world.manifest.rows("test")] == predictions["sha256"].to_pylist()
    assert {p.name for p in out.iterdir()} == {
        "metrics.json", "predictions.parquet", "roc.png", "calibration.png", "confusion.png",
    }  # fmt: skip


def test_json_is_one_object_and_nothing_else(world: World) -> None:
    done = _run(
        world.bundle, "--data", world.manifest.url, "--cache", world.folder / "cache", "--split", "val", "--json"
    )
    assert done.returncode == 0
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert found["auc"] == pytest.approx(world.champion.card.metrics["val"]["auc"])


def test_a_split_of_one_class_is_judged_as_far_as_it_goes(world: World, tmp_path: Path) -> None:
    make_dataset(tmp_path / "data")
    rows = [row for row in world.manifest.rows() if row.split != "test" or row.label == "fake"]
    only_fakes = write_manifest(str(tmp_path / "data"), table_of(rows))
    out, cache = tmp_path / "out", tmp_path / "cache"
    done = _run(world.bundle, "--data", only_fakes.url, "--cache", cache, "--json", "--out", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert found["auc"] is found["fpr"] is None
    assert found["auc_ci95"] == [None, None]
    assert 0 <= found["recall"] <= 1
    done = _run(world.bundle, "--data", only_fakes.url, "--cache", cache)
    assert "recall" in done.stdout
    assert "nan" not in done.stdout.lower() and "None" not in done.stdout


def test_mistakes_are_one_clear_line(world: World, tmp_path: Path) -> None:
    data, cache = world.manifest.url, tmp_path / "cache"
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "card.json").write_text(world.champion.card.model_dump_json())
    (tmp_path / "file").write_text("in the way")
    good = ("--data", data, "--cache", cache)
    for arguments, said in (
        ((tmp_path / "none", *good), "no checkpoint bundle at"),
        ((torn, *good), "has a card but no weights.safetensors"),
        ((world.bundle, "--data", tmp_path / "none", "--cache", cache), "no dataset at"),
        ((world.bundle, *good, "--split", "ood"), "the split 'ood' is empty"),
        ((world.bundle, *good, "--out", tmp_path / "file" / "x"), "not a directory"),
    ):
        done = _run(*arguments)
        assert done.returncode == 1, arguments
        assert done.stdout == ""
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        assert said in done.stderr


@pytest.mark.parametrize("arguments", [["b"], ["b", "--data", "d", "--split", "tset"], []])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    done = _run(*arguments)
    assert done.returncode == 2
    assert "usage: python -m tune.evaluate" in done.stderr


def test_help_is_quick_and_has_an_example() -> None:
    seconds = []
    for _ in range(3):  # the best of three: the machine may be busy
        started = time.monotonic()
        done = _run("--help")
        seconds.append(time.monotonic() - started)
    assert done.returncode == 0
    assert "python -m tune.evaluate runs/champions/" in done.stdout
    assert min(seconds) < 1.0
