"""A real Ray Tune experiment recorded in a result store, and one whose store is away."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tune.store import query
from tune.store.reader import open_reader
from tune.store.writer import ResultStore

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    import ray

    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
    )  # fmt: skip
    yield
    ray.shutdown()


def train(config: dict[str, Any]) -> None:
    import tempfile

    from ray import tune

    choices = config["trial"]["choices"]
    for epoch in range(1, choices["train.epochs"] + 1):
        auc = [0.6, 0.9, math.nan][epoch - 1]
        with tempfile.TemporaryDirectory() as folder:
            tune.report(
                {"epoch": epoch, "epochs": 3, "auc": auc, "loss": 1 / epoch, "note": "text"},
                checkpoint=tune.Checkpoint.from_directory(folder),
            )
        if choices["fails"] and epoch == 2:
            raise RuntimeError("the graphics card melted")


def sweep(store: ResultStore, folder: Path, interrupt_at_epoch: int | None = None) -> int:
    """Run three trials: to the end, stopped early, failing. Returns how many came to an end.

    interrupt_at_epoch: the driver gets SIGUSR1, Tune's request to stop, when a trial reports this epoch.
    """
    from ray import tune

    from tune.store.callback import StoreCallback

    class Interrupt(tune.Callback):  # type: ignore[misc]
        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
            if result["epoch"] == interrupt_at_epoch:
                signal.raise_signal(signal.SIGUSR1)

    points = [(3, False), (2, False), (3, True)]
    trials = [{"number": n, "choices": {"train.epochs": e, "fails": f}} for n, (e, f) in enumerate(points)]
    tuner = tune.Tuner(
        train,
        param_space={"trial": tune.grid_search(trials)},
        tune_config=tune.TuneConfig(metric="auc", mode="max", reuse_actors=True),
        run_config=tune.RunConfig(
            name="run",
            storage_path=str(folder),
            verbose=0,
            callbacks=[StoreCallback(store, "s/1", "file://f", "auc"), Interrupt()],
        ),
    )
    return sum(result.error is None for result in tuner.fit())


def test_a_sweep_is_recorded(ray_session: None, tmp_path: Path) -> None:
    store = ResultStore(f"sqlite:///{tmp_path}/results.db")
    assert sweep(store, tmp_path / "ray") == 2
    engine = open_reader(store.url)
    records = {t.number: query.show(engine, t.id) for t in query.top(engine, metric="auc")}
    assert {n: r.trial.status for n, r in records.items()} == {0: "completed", 1: "stopped", 2: "failed"}
    done, _, failed = (records[n] for n in range(3))
    assert done.trial.params == {"train.epochs": 3, "fails": False}
    assert done.trial.folder == f"file://f/trial-00000-{done.trial.id}"
    assert set(done.curves) == {"auc", "loss"}
    assert [repr(value) for _, value in done.curves["auc"]] == ["0.6", "0.9", "nan"]
    best = next(metric for metric in done.metrics if metric.key == "auc")
    assert (best.value, best.step) == (0.9, 2)
    assert [c.step for c in done.checkpoints] == [1, 2, 3] and done.checkpoints[1].score == 0.9
    assert Path(done.checkpoints[-1].url).is_dir()
    assert failed.trial.error is not None and failed.trial.error.endswith("the graphics card melted")
    assert failed.trial.ended_at is not None and failed.trial.ended_at >= (failed.trial.started_at or math.inf)
    assert [event.kind for event in failed.events] == ["failed"]


def test_trials_that_were_running_when_a_sweep_was_stopped_are_interrupted(ray_session: None, tmp_path: Path) -> None:
    store = ResultStore(f"sqlite:///{tmp_path}/results.db")
    sweep(store, tmp_path / "ray", interrupt_at_epoch=2)
    found = query.top(open_reader(store.url), metric="auc")
    assert [trial.status for trial in found] == ["interrupted"] * len(found) and found


def test_a_sweep_outlives_its_store(ray_session: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.db").mkdir()  # where the database should be
    store = ResultStore(f"sqlite:///{tmp_path}/results.db")
    assert sweep(store, tmp_path / "ray") == 2
    assert sum("is away" in line for line in capfd.readouterr().err.splitlines()) == 1
    (tmp_path / "results.db").rmdir()
    store.open()
    assert store.flush(10)
    store.close()
    assert len(query.top(open_reader(store.url))) == 3
