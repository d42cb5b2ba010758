"""The plan of a sweep, and `python tune/run.py --dry-run` as people type it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.params import ParamsError
from tune.params import load_sweep_params
from tune.plan import Plan, make_plan

ROOT = Path(__file__).resolve().parent.parent


def _plan(name: str, *sets: str) -> Plan:
    path = str(ROOT / "params" / name)
    return make_plan(load_sweep_params(path, list(sets)), path)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tune/run.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_original_grid_is_counted_right() -> None:
    # conv: 2 layers 2 filters_1 × 2 kernel_1 = 4; 4 layers the same × 2 filters_3 = 8; shared 8; dense 8; training 8:
    # (4 + 8) × 8 × 8 × 8 = 6,144
    plan = _plan("original_grid.yaml")
    assert plan.num_trials == 6_144
    assert len({point.params.fingerprint() for point in plan.points}) == 6_144
    # 2 conv layers: 4 × 8 × 8 × 8 = 2,048; 4 conv layers: 8 × 8 × 8 × 8 = 4,096
    depths = [len(point.params.model.blocks) for point in plan.points]  # type: ignore[union-attr]
    assert (depths.count(2), depths.count(4)) == (2_048, 4_096)
    for point, depth in zip(plan.points, depths, strict=True):
        assert ("model.blocks.2.filters" in point.choices) == (depth == 4)


@pytest.mark.parametrize(("depth", "count"), [(2, 2_048), (4, 4_096)])
def test_the_original_grid_with_one_depth_only(depth: int, count: int) -> None:
    assert _plan("original_grid.yaml", f"model.depth={depth}").num_trials == count


def test_the_other_params_files_are_what_they_say() -> None:
    demo, sweep = _plan("demo.yaml"), _plan("sweep.yaml")
    assert (demo.num_trials, demo.max_epochs, len(demo.points)) == (8, 6, 8)
    assert (sweep.num_trials, sweep.max_epochs, len(sweep.points)) == (32, 12, 0)
    assert "sweep 'sweep': 32 trials" in sweep.describe()[0]
    assert sweep.sample.data.image_size == 64
    assert sweep.first_trials() == []
    assert demo.first_trials(2)[-1] == "… and 6 more"


def test_pbt_needs_something_it_may_perturb() -> None:
    assert list(_plan("sweep.yaml", "scheduler.type=pbt").live_leaves) == ["lr", "weight_decay"]
    with pytest.raises(ParamsError, match=r"scheduler\.type: pbt perturbs train\.lr, train\.weight_decay"):
        _plan("sweep.yaml", "scheduler.type=pbt", "train.lr=0.001", "train.weight_decay=0")


def test_optuna_needs_something_to_search_and_no_grid() -> None:
    concrete = ["model={family: resnet18}", "train={epochs: 1}"]
    with pytest.raises(ParamsError, match="optuna has nothing to search"):
        _plan("sweep.yaml", *concrete)
    with pytest.raises(ParamsError, match=r"train\.lr: optuna does not enumerate a grid"):
        _plan("sweep.yaml", "train.lr={grid: [0.1, 0.2]}")


def test_a_grid_search_refuses_a_range_and_says_what_to_do() -> None:
    with pytest.raises(ParamsError, match=r"train\.lr: a grid cannot list loguniform; write grid: \[…\] there"):
        _plan("original_grid.yaml", "train.lr={loguniform: [0.001, 0.1]}")


def test_a_dry_run_counts_and_starts_nothing(tmp_path: Path) -> None:
    done = _run("--params", "params/demo.yaml", "--dry-run", "--set", f"storage=file://{tmp_path}/runs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "sweep 'demo': 8 trials" in done.stdout
    assert re.search(r"trial 0: .*model\.depth=\d", done.stdout)
    assert "… and 3 more" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--params", "params/demo.yml"], "no params file at params/demo.yml; did you mean params/demo.yaml?"),
        (
            ["--params", "params/demo.yaml", "--set", "train.epoch=3"],
            "train.epoch: unknown key; did you mean 'epochs'?",
        ),
        (["--params", "params/demo.yaml", "--set", "train.epochs"], "--set train.epochs: write it as"),
        (["--params", "params/demo.yaml", "--set", "modle.depth=2"], "modle: unknown key; did you mean 'model'?"),
        (["--params", "params/demo.yaml", "--set", "model.depth={choise: [2]}"], "did you mean 'choice'?"),
        (["--params", "params/demo.yaml", "--set", "search.metric=acuracy"], "'acuracy' is not a metric"),
        (["--params", "params/demo.yaml", "--set", "data.image_size=4"], "data.image_size"),
        (["--params", "params/demo.yaml", "--set", "resources.max_concurrent=0"], "max_concurrent"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(arguments: list[str], said: str) -> None:
    done = _run(*arguments, "--dry-run")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_network_that_cannot_work_is_refused_with_its_layer() -> None:
    done = _run("--params", "params/sweep.yaml", "--set", "data.image_size=8", "--dry-run")
    assert done.returncode == 1
    assert re.match(r"error: .*model\.blocks\.3\.pool_size: a 2×2 pool is larger than the 1×1", done.stderr)


def test_wrong_usage_is_exit_code_2() -> None:
    for arguments in ([], ["--params", "params/demo.yaml", "--dryrun"]):
        done = _run(*arguments)
        assert done.returncode == 2
        assert "usage: python tune/run.py" in done.stderr
        assert "Traceback" not in done.stderr


def test_help_is_quick_and_has_an_example() -> None:
    seconds = []
    for _ in range(3):  # the best of three: the machine may be busy
        started = time.monotonic()
        done = _run("--help")
        seconds.append(time.monotonic() - started)
    assert done.returncode == 0
    assert "python tune/run.py --params params/demo.yaml" in done.stdout
    assert min(seconds) < 1.0


@pytest.mark.parametrize("arguments", [["--help"], ["--params", "params/demo.yaml", "--dry-run"]])
def test_neither_help_nor_a_dry_run_pays_for_torch_or_ray(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "tune/run.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert done.returncode == 0
    assert "argparse" in imported
    assert not imported & {"torch", "ray", "torchvision", "matplotlib", "sklearn", "optuna", "boto3"}
