"""A sweep's record: the same name goes on, other params are refused in words that help; and what a trial leaves."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from infra.errors import UserError
from model_defs.checkpoint import load_bundle
from tests.tiny_dataset import make_dataset, make_trial
from tune.folder import (
    SweepChangedError,
    check_unchanged,
    new_record,
    only_one_process,
    read_record,
    run_url,
    sweep_url,
    write_record,
)
from tune.params import SweepParams, TrialParams
from tune.trial_folder import finish_trial, read_summary

HASH = "ab" * 32


def _params(storage: Path | str = "file://./runs", **changes: Any) -> SweepParams:
    content = {
        "name": "mine", "storage": str(storage), "data": {"manifest": "file://./data/a"},
        "model": {"blocks": [{"filters": 8}, {"filters": {"choice": [8, 16]}}]}, "train": {"lr": 0.1},
    }  # fmt: skip
    return SweepParams.model_validate({**content, **changes})


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    params = _params(tmp_path)
    assert read_record(params) is None
    record = new_record(params, HASH)
    write_record(params, record)
    assert read_record(params) == record
    assert read_record(_params(tmp_path, name="other")) is None
    assert sweep_url(params) == f"{tmp_path}/mine"
    assert run_url(params, record) == f"{tmp_path}/mine/{record.run}"
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["sweep.json"]


def test_two_runs_have_two_folders_in_the_order_of_their_starts() -> None:
    runs = []
    while len(runs) < 3:
        run = new_record(_params(), HASH).run
        if run not in runs:  # two in one millisecond
            runs.append(run)
    assert runs == sorted(runs)


def test_a_damaged_record_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    params = _params(tmp_path)
    write_record(params, new_record(params, HASH))
    for damage in ('{"run": "x"', "[]", '{"run": 3}', ""):
        (tmp_path / "mine" / "sweep.json").write_text(damage)
        with pytest.raises(UserError, match=r"mine/sweep\.json is damaged; move it away, or use --fresh") as caught:
            read_record(params)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"resources": {"cpu": 2}, "store": "sqlite:///elsewhere.db"},
        {"storage": "file:///moved/runs"},
        {"data": {"manifest": "s3://bucket/a", "cache": "/fast/disk"}},
    ],
)
def test_where_and_how_fast_may_change(changes: dict[str, Any]) -> None:
    record = new_record(_params(), HASH)
    check_unchanged(_params(**changes), record, HASH, "p.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"lr": 0.2}}, "was started with train.lr: 0.1, now 0.2;"),
        ({"train": {}}, "train.lr: 0.1, now nothing;"),
        ({"train": {"lr": 0.1, "epochs": 3}}, "train.epochs: nothing, now 3;"),
        ({"seed": 1, "train": {"lr": 0.2}}, "seed: 0, now 1 and 1 more;"),
        ({"search": {"num_samples": 9}}, "search.num_samples: 8, now 9;"),
        ({"data": {"manifest": "file://./data/a", "image_size": 32}}, "data.image_size: nothing, now 32;"),
        (
            {"model": {"blocks": [{"filters": 8}, {"filters": {"choice": [8, 32]}}]}},
            "model.blocks.1.filters.choice.1: 16, now 32;",
        ),
        (
            {"model": {"blocks": [{"filters": 8}]}},
            "model.blocks: [{'filters': 8}, {'filters': {'choice':…, now [{'filters': 8}];",
        ),
    ],
)
def test_other_params_are_named_with_both_values_and_the_ways_out(changes: dict[str, Any], said: str) -> None:
    record = new_record(_params(), HASH)
    with pytest.raises(SweepChangedError) as caught:
        check_unchanged(_params(**changes), record, HASH, "p.yaml")
    message = str(caught.value)
    assert message.startswith("sweep 'mine' ")
    assert said in message
    assert message.endswith(
        "give the sweep another name (--set name=…), or start it anew beside the old one with --fresh (p.yaml)"
    )


def test_another_dataset_is_said_before_anything_else() -> None:
    record = new_record(_params(), HASH)
    with pytest.raises(SweepChangedError, match="was started on dataset abababababab, now it is cdcdcdcdcdcd; give"):
        check_unchanged(_params(seed=4), record, "cd" * 32, "p.yaml")


# --- the folder of a trial -------------------------------------------------------------------------------------------

PEOPLE_S_FILES = {
    "params.yaml", "history.json", "curves.png", "confusion.png", "roc.png", "calibration.png", "validation.parquet",
    "trial.json", "bundle/weights.safetensors", "bundle/card.json",
}  # fmt: skip


def _files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()
    }


def test_a_trial_leaves_everything_a_person_wants_to_see(tmp_path: Path) -> None:
    manifest = make_dataset(tmp_path / "data")
    folder = make_trial(tmp_path / "trial", manifest, epochs=3)
    checkpoint = set(_files(folder))

    summary = finish_trial(str(folder), "auc")

    assert summary is not None
    assert (summary.trial_id, summary.epoch) == ("t1", 3)
    left = _files(folder)
    assert set(left) - checkpoint == PEOPLE_S_FILES
    for name in ("curves.png", "confusion.png", "roc.png", "calibration.png"):
        Image.open(io.BytesIO(left[name][1])).verify()
    history = json.loads(left["history.json"][1])
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    assert max(epoch["auc"] for epoch in history) == summary.best_value
    TrialParams.model_validate(yaml.safe_load(left["params.yaml"][1]))
    assert pq.read_table(io.BytesIO(left["validation.parquet"][1])).num_rows == 16
    _, card = load_bundle(str(folder / "bundle"))
    assert card.origin.epoch == summary.best_epoch
    assert read_summary(str(folder)) == summary
    # once is enough: nothing is written again
    assert finish_trial(str(folder), "auc") == summary
    assert _files(folder) == left


def test_a_trial_that_went_on_is_laid_out_again(tmp_path: Path) -> None:
    manifest = make_dataset(tmp_path / "data")
    folder = make_trial(tmp_path / "trial", manifest, epochs=1)
    first = finish_trial(str(folder), "auc")
    make_trial(folder, manifest, epochs=2, number=1)
    second = finish_trial(str(folder), "auc")
    assert first is not None and second is not None
    assert (first.epoch, second.epoch) == (1, 2)
    assert len(json.loads((folder / "history.json").read_text())) == 2


def test_a_trial_without_a_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    assert finish_trial(str(tmp_path / "trial"), "auc") is None
    assert read_summary(str(tmp_path / "trial")) is None
    assert not (tmp_path / "trial").exists()


def test_a_trial_that_diverged_at_once_leaves_its_history(tmp_path: Path) -> None:
    manifest = make_dataset(tmp_path / "data")
    # a rate that makes every weight overflow in the first steps
    folder = make_trial(
        tmp_path / "trial", manifest, epochs=2, optimizer="sgd", lr=100.0, weight_decay=1e30, batch_size=2
    )
    summary = finish_trial(str(folder), "auc")
    assert summary is not None
    assert (summary.best_epoch, summary.best_value) == (0, None)
    (epoch,) = json.loads((folder / "history.json").read_text(), parse_constant=pytest.fail)
    assert epoch["train_loss"] is epoch["auc"] is None
    assert not math.isnan(epoch["lr"])
    assert (folder / "curves.png").is_file()
    assert not (folder / "bundle").exists()


def test_a_sweep_is_held_by_one_process_and_free_when_that_is_killed(tmp_path: Path) -> None:
    params = SweepParams(name="held", model={"blocks": [{"filters": 1}]}, storage=f"file://{tmp_path}")
    code = (
        "import sys, time; from tune.folder import only_one_process; from tune.params import SweepParams\n"
        f"with only_one_process(SweepParams.model_validate_json({params.model_dump_json()!r})):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"is being run by process {holder.pid} on "), only_one_process(params):
            pass
        holder.kill()
    with only_one_process(params):
        pass
