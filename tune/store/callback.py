"""Ray Tune's hooks, told to the result store. Nothing raised here reaches Tune, where it would end the sweep."""

from __future__ import annotations

import functools
import math
import numbers
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ray.tune import Callback
from ray.tune.experiment import Trial

from infra.storage import join_url
from tune.store.writer import ResultStore
from tune.trial import trial_folder_name

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # Ray paints its tracebacks
MAX_ERROR_CHARACTERS = 4_000  # the end of a traceback says what happened

# Ray's own bookkeeping. Its times begin again whenever a trial goes on: a trial's own `epoch_seconds` say it better.
_NOT_METRICS = {
    "date", "done", "episodes_total", "epoch", "epochs", "hostname", "iterations_since_restore", "node_ip", "pid",
    "should_checkpoint", "time_since_restore", "time_this_iter_s", "time_total_s", "timestamp",
    "timesteps_since_restore", "timesteps_total", "training_iteration", "trial_id",
}  # fmt: skip

Hook = TypeVar("Hook", bound=Callable[..., None])


def _never_raises(hook: Hook) -> Hook:
    @functools.wraps(hook)
    def guarded(self: StoreCallback, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception as error:
            if hook.__name__ not in self.complained:
                self.complained.add(hook.__name__)
                reason = f"{type(error).__name__}: {error}"
                print(f"warning: the result store missed something ({hook.__name__}: {reason})", file=sys.stderr)

    return guarded  # type: ignore[return-value]


class StoreCallback(Callback):  # type: ignore[misc]
    """Writes trials, metrics, checkpoints and events of one sweep. The sweep's own row is its caller's.

    sweep_id: of that row. folder: URL of the run; trials lie in it. metric: whose value is a checkpoint's score.
    """

    def __init__(self, store: ResultStore, sweep_id: str, folder: str, metric: str | None = None) -> None:
        self.store, self.sweep_id, self.folder, self.metric = store, sweep_id, folder, metric
        self.complained: set[str] = set()
        self._is_first_step = True
        self._live: set[str] = set()

    @_never_raises
    def setup(self, stop: Any = None, num_samples: Any = None, total_num_samples: Any = None, **info: Any) -> None:
        """Once, before the first trial, in the process that drives the sweep."""
        self._is_first_step = True
        self.store.open(must_connect=False)  # that it can be opened was checked before Ray was started

    @_never_raises
    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Before every turn of Tune's loop; the first tells of the trials that an earlier run brought to an end."""
        if self._is_first_step:
            self._is_first_step = False
            for trial in trials:
                if trial.status in ("TERMINATED", "ERROR"):
                    self._write(trial, _ended_as(trial), ended_at=(trial.last_result or {}).get("timestamp"))

    @_never_raises
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial starts, or goes on after a pause, a crash or an interruption."""
        self._live.add(trial.trial_id)
        self._write(trial, "running", started_at=time.time())

    @_never_raises
    def on_trial_restore(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial took up a checkpoint."""
        self._event(trial, "restored", f"after epoch {_epoch(trial.last_result or {})}")

    @_never_raises
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: Mapping[str, Any], **info: Any
    ) -> None:
        """A trial reported an epoch. Called again with the same epoch when it was trained again after a crash."""
        values = {key: float(value) for key, value in result.items() if _is_metric(key, value)}
        self.store.metrics(trial.trial_id, _epoch(result), values, time.time())
        if "saved" in result:  # a checkpoint that the trial has put into its own folder
            folder = join_url(self.folder, trial_folder_name(_number(trial), trial.trial_id), result["saved"])
            self.store.checkpoint(trial.trial_id, _epoch(result), folder, result.get(self.metric or ""))

    @_never_raises
    def on_checkpoint(self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Any, **info: Any) -> None:
        """Tune has saved a checkpoint that came with the last report."""
        result = trial.last_result or {}
        score = result.get(self.metric) if self.metric else None
        self.store.checkpoint(trial.trial_id, _epoch(result), str(checkpoint.path), score)

    @_never_raises
    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial failed and will be tried again."""
        self._event(trial, "retried", last_line(error_of(trial)))

    @_never_raises
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial came to its end, or the scheduler or its own patience stopped it."""
        status = _ended_as(trial)
        self._live.discard(trial.trial_id)
        self._write(trial, status, ended_at=time.time())
        self._event(trial, status, f"after epoch {_epoch(trial.last_result or {})}")

    @_never_raises
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial failed for good."""
        error = error_of(trial)
        self._live.discard(trial.trial_id)
        self._write(trial, "failed", error=error, ended_at=time.time())
        self._event(trial, "failed", last_line(error))

    @_never_raises
    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """The sweep is over, or was interrupted: then trials are left that did not end."""
        for trial in trials:
            if trial.trial_id in self._live:  # whatever Tune says now: it has stopped them all to clean up
                self._write(trial, "interrupted", ended_at=time.time())
                self._event(trial, "interrupted", f"after epoch {_epoch(trial.last_result or {})}")
        self._live.clear()
        self.store.close()

    def _write(
        self, trial: Trial, status: str, *,
        error: str | None = None, started_at: float | None = None, ended_at: float | None = None,
    ) -> None:  # fmt: skip
        number = _number(trial)
        self.store.trial(
            trial.trial_id, self.sweep_id, _params(trial.config),
            status=status, number=number, folder=join_url(self.folder, trial_folder_name(number, trial.trial_id)),
            error=error, started_at=started_at, ended_at=ended_at,
        )  # fmt: skip

    def _event(self, trial: Trial, kind: str, message: str) -> None:
        self.store.event(self.sweep_id, trial.trial_id, kind, message)


def _is_metric(key: str, value: object) -> bool:
    return key not in _NOT_METRICS and isinstance(value, numbers.Real) and not isinstance(value, bool)


def _epoch(result: Mapping[str, Any]) -> int:
    epoch = result.get("epoch", result.get("training_iteration", 0))
    return int(epoch) if math.isfinite(epoch) else 0


def _number(trial: Trial) -> int:
    return int(trial.config.get("trial", {}).get("number", 0))


def _params(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("trial", config)
    # What was decided for this trial: with the sweep's own params it says all, and it reads in one line.
    return inner.get("choices", inner)  # type: ignore[no-any-return]


def _ended_as(trial: Trial) -> str:
    if trial.status == "ERROR":
        return "failed"
    result = trial.last_result or {}
    return "stopped" if _epoch(result) < result.get("epochs", 0) else "completed"


def error_of(trial: Trial) -> str:
    """The end of the newest traceback: the file on the driver is written before the hook is called."""
    try:
        error = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        error = str(trial.get_error() or "")
    return _COLOUR.sub("", error).strip()[-MAX_ERROR_CHARACTERS:] or "unknown"


def last_line(error: str) -> str:
    return error.splitlines()[-1].strip() if error.strip() else ""
