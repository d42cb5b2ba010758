"""Sweeps as people run them: the command in a process of its own, real Ray, real files, real signals."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from model_defs.checkpoint import load_bundle
from tests.tiny_dataset import make_dataset, make_trial

ROOT = Path(__file__).resolve().parent.parent

# Each test runs a sweep, some of them three times.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARAMS = """
name: tiny
data: {manifest: "file://./faces", image_size: 16, colour: grey}
model: {blocks: [{filters: {choice: [4, 6]}, norm: batch}], global_pool: avg}
train: {epochs: 4, batch_size: 16, lr: {loguniform: [1e-3, 1e-2]}}
search: {algorithm: random, num_samples: 3, metric: auc}
audit: {on_leak: warn}  # the noise of the fakes shows in the size of their files
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Mapping[str, str]]:
    """The environment of a command that joins a running Ray cluster: to start one costs more than a small sweep."""
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    head = (
        "import infra.ray_cluster, ray, sys\n"
        "context = ray.init(address='local', num_cpus=2, include_dashboard=False)\n"
        "print(context.address_info['gcs_address'], flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", head], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield {**environment, "RAY_ADDRESS": process.stdout.readline().strip()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 small pictures that differ in their texture by class, imported by the real command."""
    folder = tmp_path_factory.mktemp("dataset")
    rng = np.random.default_rng(0)
    for label in ("real", "fake"):
        (folder / "raw" / label).mkdir(parents=True)
        for number in range(60):
            # Low frequencies unlike any other picture's, so that no two are near-duplicates; the fakes are smoother.
            coarse = Image.fromarray(rng.integers(40, 215, (6, 6), dtype=np.uint8))
            coarse = coarse.resize((24, 24), Image.Resampling.BICUBIC)
            noise = rng.normal(0, 18 if label == "real" else 9, (24, 24))
            picture = np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(picture).convert("RGB").save(folder / "raw" / label / f"{number}.png")
    command = [sys.executable, "-m", "crawler", "import", str(folder / "raw"), "--into", str(folder / "faces")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder / "faces"


@pytest.fixture
def workplace(tmp_path: Path, dataset: Path) -> Path:
    """A folder with the dataset and a params file, as after `make demo`."""
    (tmp_path / "faces").symlink_to(dataset)
    (tmp_path / "tiny.yaml").write_text(PARAMS)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "tune" / "run.py"), "--params", "tiny.yaml", *arguments]


def sweep(workplace: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run to the end; the output. Fails the test unless the exit code is 0. env: by default, with Ray of its own."""
    done = subprocess.run(
        command(*arguments), cwd=workplace, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@contextmanager
def running(workplace: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A sweep in a session of its own, as a terminal gives it; killed when the block is left."""
    process = subprocess.Popen(
        command(*arguments), cwd=workplace, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """What the process writes up to the first line that matches."""
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return "".join(lines)
    raise AssertionError(f"it ended before a line matched {pattern!r}:\n{''.join(lines)}")


def metric_rows(workplace: Path) -> list[tuple[int, str, int]]:
    """(trial number, metric, epoch) of every row in the result store."""
    with sqlite3.connect(workplace / "runs" / "results.db") as connection:
        query = "SELECT number, key, step FROM metrics JOIN trials ON trials.id = trial_id"
        return sorted(connection.execute(query))


def trial_folders(workplace: Path) -> list[Path]:
    return sorted((workplace / "runs" / "tiny").glob("*/trial-*"))


def champion_weights(workplace: Path) -> dict[str, bytes]:
    return {p.parent.name: p.read_bytes() for p in (workplace / "runs" / "champions").glob("*/weights.safetensors")}


def test_a_sweep_leaves_results_folders_and_a_champion_and_is_not_run_twice(workplace: Path) -> None:
    said = sweep(workplace)
    assert "dashboard http://" in said
    assert re.search(r"trial 0 .* epoch 4/4 .* auc ", said)

    assert {(number, step) for number, key, step in metric_rows(workplace) if key == "auc"} == {
        (number, step) for number in range(3) for step in range(1, 5)
    }
    wanted = {"loss", "accuracy", "precision", "recall", "f1", "auc", "ap", "eer"}
    assert wanted <= {key for _, key, _ in metric_rows(workplace)}

    assert len(trial_folders(workplace)) == 3
    for folder in trial_folders(workplace):
        for picture in ("curves.png", "confusion.png", "roc.png", "calibration.png"):
            assert Image.open(folder / picture).size[0] > 300
        assert "filters" in (folder / "params.yaml").read_text()
        _, card = load_bundle(str(folder / "bundle"))
        answers = pq.read_table(io.BytesIO((folder / "validation.parquet").read_bytes()))
        assert answers.num_rows == 18
        assert set(answers.column_names) == {"sha256", "label", "generator", "cluster", "logit"}
        assert card.origin.sweep == "tiny"

    (bundle,) = (workplace / "runs" / "champions").iterdir()
    _, card = load_bundle(str(bundle))
    assert card.metrics["test"]["images"] == 18
    assert len(card.metrics["test"]["auc_ci95"]) == 2
    assert card.limits and card.dataset.hash and card.origin.params["train"]["epochs"] == 4
    best = max(json.loads((f / "trial.json").read_text())["best_value"] for f in trial_folders(workplace))
    assert card.metrics["val"]["auc"] == pytest.approx(best)

    top = subprocess.run(
        [sys.executable, "-m", "tune.store", "top", "--json", "--store", f"sqlite:///{workplace}/runs/results.db"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(top.stdout)[0]["best"] == pytest.approx(best)

    before = metric_rows(workplace)
    again = sweep(workplace)
    assert "is finished" in again and "starting Ray" not in again
    assert metric_rows(workplace) == before

    other = command("--set", "train.epochs=5")
    changed = subprocess.run(other, cwd=workplace, capture_output=True, text=True, check=False)
    assert changed.returncode == 1
    assert "train.epochs: 4, now 5" in changed.stderr and "--fresh" in changed.stderr


def test_interrupted_killed_and_robbed_of_its_store_it_ends_as_if_nothing_had_happened(
    workplace: Path, cluster: Mapping[str, str]
) -> None:
    # Large enough that an epoch takes a while: there must be something to interrupt.
    arguments = [f"--set={x}" for x in ("train.epochs=20", "data.image_size=64", "model.blocks.0.filters=24")]
    arguments += ["--set", "search.num_samples=2"]
    with running(workplace, *arguments) as process:
        read_until(process, r"trial \d +running +epoch (?!1/)\d+/20")
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the whole process group
        rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert "Go on with the same command" in rest

    with running(workplace, *arguments) as process:
        said = read_until(process, r"trial \d +running +epoch \d+/20")
        assert "going on with the run" in said
        assert not re.search(r" epoch 1/20", said), "a trial began again from its start"
        process.kill()

    with running(workplace, *arguments, env=cluster) as process:  # on another Ray than it was begun on
        read_until(process, r"Ray is up")
        for file in (workplace / "runs").glob("results.db*"):
            file.unlink()
        rest, _ = process.communicate(timeout=300)
    assert process.returncode == 0, rest

    for folder in trial_folders(workplace):
        epochs = [epoch["epoch"] for epoch in json.loads((folder / "history.json").read_text())]
        assert epochs == list(range(1, 21)), "every epoch once, none lost, none trained twice"

    rows = metric_rows(workplace)
    assert rows and len(rows) == len(set(rows)), "the store is there again, and holds no row twice"
    with sqlite3.connect(workplace / "runs" / "results.db") as connection:
        assert connection.execute("SELECT status FROM trials").fetchall() == [("completed",)] * 2

    # The same sweep without a stop trains the same weights, bit for bit.
    undisturbed = workplace / "undisturbed"
    undisturbed.mkdir()
    (undisturbed / "faces").symlink_to((workplace / "faces").resolve())
    (undisturbed / "tiny.yaml").write_text(PARAMS)
    sweep(undisturbed, *arguments, env=cluster)
    assert champion_weights(undisturbed) == champion_weights(workplace)
    assert len(metric_rows(undisturbed)) == len(set(metric_rows(undisturbed)))


def test_optuna_and_asha_choose_and_stop(workplace: Path, cluster: Mapping[str, str]) -> None:
    said = sweep(
        workplace,
        *("--set", "search.algorithm=optuna", "--set", "search.num_samples=4"),
        *("--set", "scheduler.type=asha", "--set", "scheduler.reduction_factor=2"),
        env=cluster,
    )
    assert "stopped early" in said
    with sqlite3.connect(workplace / "runs" / "results.db") as connection:
        params = [json.loads(row[0]) for row in connection.execute("SELECT params FROM trials ORDER BY number")]
    assert len(params) == 4
    assert len({p["train.lr"] for p in params}) == 4
    assert all(1e-3 <= p["train.lr"] <= 1e-2 and p["model.blocks.0.filters"] in (4, 6) for p in params)


def test_population_based_training_copies_the_better_trial(workplace: Path, cluster: Mapping[str, str]) -> None:
    sweep(
        workplace,
        *("--set", "scheduler={type: pbt, perturbation_interval: 1, quantile_fraction: 0.5}"),
        *("--set", "search.num_samples=2", "--set", "train.epochs=5"),
        env=cluster,
    )
    for folder in trial_folders(workplace):
        assert json.loads((folder / "trial.json").read_text())["epoch"] == 5


def test_a_trial_that_diverges_ends_without_taking_the_sweep_along(workplace: Path, cluster: Mapping[str, str]) -> None:
    # A step of weight decay multiplies the weights by 1 − lr × weight_decay: by −999 for the second trial.
    changes = ("search.algorithm=grid", "train.optimizer=sgd", "train.schedule=none", "train.weight_decay=10")
    sweep(
        workplace,
        *(f"--set={x}" for x in (*changes, "model.blocks=[{filters: 4}]", "train.lr={grid: [0.001, 100]}")),
        env=cluster,
    )
    with sqlite3.connect(workplace / "runs" / "results.db") as connection:
        lost = "SELECT number FROM metrics JOIN trials ON id = trial_id WHERE key = 'train_loss' AND value IS NULL"
        assert connection.execute(lost).fetchall() == [(1,)]
        assert dict(connection.execute("SELECT number, status FROM trials")) == {0: "completed", 1: "stopped"}


def test_a_folder_that_cannot_be_written_at_the_end_is_one_line(tmp_path: Path, cluster: Mapping[str, str]) -> None:
    trial = make_trial(tmp_path / "run" / "trial-00000-x", make_dataset(tmp_path / "data"), epochs=1)
    (trial / "history.json" / "in the way").mkdir(parents=True)
    code = (
        "from infra.cli import run_cli\nfrom tune import ray_sweep\n"
        f"run_cli(lambda _: (ray_sweep.connect(), ray_sweep.finish_folders({str(tmp_path / 'run')!r}, 'auc'))[1] and 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=cluster, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: cannot store 'history.json' in ")
    assert "Traceback" not in done.stderr
