"""A sweep looks at its dataset's audit before it begins, and refuses what a network could cheat on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.audit_datasets import File, encoded, fair_files, picture, write_dataset
from tests.tiny_dataset import make_dataset
from tune import folder, sweep
from tune.params import AuditParams, load_sweep_params
from tune.plan import Plan, make_plan
from tune.run import main

PARAMS = """
name: tiny
data: {manifest: DATA, image_size: 16, colour: grey, cache: CACHE}
storage: RUNS
store: sqlite:///STORE
model: {blocks: [{filters: 4}], global_pool: avg}
search: {algorithm: random, num_samples: 1}
"""


def _leaky_files(split: str = "train") -> list[File]:
    fakes = [File("fake", encoded(picture(200 + n), "PNG"), "gan", split) for n in range(40)]
    return [file for file in fair_files(40) if file.label == "real"] + fakes


def _with_validation(files: list[File]) -> list[File]:
    extra = [File("real", encoded(picture(900)), None, "val"), File("fake", encoded(picture(901)), "gan", "val")]
    return files + extra


def _params_file(tmp_path: Path) -> str:
    text = PARAMS
    for name in ("DATA", "CACHE", "RUNS", "STORE"):
        text = text.replace(name, str(tmp_path / name.lower()))
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    return str(path)


def _plan(tmp_path: Path, *sets: str) -> Plan:
    path = _params_file(tmp_path)
    return make_plan(load_sweep_params(path, list(sets)), path)


def test_a_leaky_dataset_is_refused_before_anything_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path / "data", _with_validation(_leaky_files()))
    path = _params_file(tmp_path)
    with pytest.raises(sweep.LeakyDatasetError) as refusal:
        main(["--params", path])
    line = str(refusal.value)
    assert "format predicts the label with AUC " in line
    assert f"python -m crawler audit {tmp_path / 'data'} --equalise" in line
    assert "--set audit.on_leak=warn" in line
    said = capsys.readouterr().out.splitlines()
    after_dataset = said[next(n for n, text in enumerate(said) if text.startswith("dataset ")) + 1]
    assert after_dataset.startswith("audit: leaks: ")
    assert not list((tmp_path / "runs").glob("tiny/sweep.json"))
    assert main(["--params", path, "--dry-run"]) == 0


@pytest.mark.parametrize("told", ["audit.on_leak=warn", "audit.limit=1.0"])
def test_unless_told_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str], told: str) -> None:
    manifest = write_dataset(tmp_path / "data", _leaky_files())
    sweep.check_audit(_plan(tmp_path, told), manifest)
    assert ("warning: a network may learn that" in capsys.readouterr().out) == (told == "audit.on_leak=warn")


def test_skipped_it_reads_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_dataset(tmp_path / "data", _leaky_files())
    shutil.rmtree(tmp_path / "data/images")
    sweep.check_audit(_plan(tmp_path, "audit.on_leak=skip"), manifest)
    assert capsys.readouterr().out == ""


def test_a_fair_dataset_passes_and_the_second_sweep_pays_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_dataset(tmp_path / "data", fair_files(30))
    plan = _plan(tmp_path)
    sweep.check_audit(plan, manifest)
    shutil.rmtree(tmp_path / "data/images")  # what is kept needs no image
    sweep.check_audit(plan, manifest)
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith("audit: clean: ")


def test_a_generator_that_is_held_out_refuses_nothing(tmp_path: Path) -> None:
    held_out = [file for file in _leaky_files("ood") if file.label == "fake"]
    sweep.check_audit(_plan(tmp_path), write_dataset(tmp_path / "data", fair_files(40, generator="fair") + held_out))


def test_a_set_to_try_the_machine_with_is_not_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep.check_audit(_plan(tmp_path), make_dataset(tmp_path / "data"))
    assert capsys.readouterr().out.startswith("audit: ")


def test_the_limit_may_change_between_two_starts_and_old_sweeps_go_on(tmp_path: Path) -> None:
    before, now = _plan(tmp_path).params, _plan(tmp_path, "audit.limit=0.9", "audit.on_leak=warn").params
    record = folder.new_record(before, "0" * 64)
    folder.check_unchanged(now, record, "0" * 64, "p.yaml")
    older = record.model_copy(update={"params": {k: v for k, v in record.params.items() if k != "audit"}})
    folder.check_unchanged(now, older, "0" * 64, "p.yaml")


@pytest.mark.parametrize("name", ["demo", "sweep", "original_grid"])
def test_the_params_files_allow_what_is_known_of_the_demo_faces(name: str) -> None:
    root = Path(__file__).resolve().parent.parent
    assert load_sweep_params(root / f"params/{name}.yaml", []).audit == AuditParams(limit=0.9)


def test_a_limit_that_is_no_auc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"audit\.limit"):
        _plan(tmp_path, "audit.limit=0.2")
