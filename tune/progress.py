"""What a person sees while a sweep runs: a live table on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ray import tune

from tune.metrics import is_better

if TYPE_CHECKING:
    from rich.console import RenderableType

ROWS_ON_TERMINAL = 14
LINE_EVERY_S = 1.0  # in a log: a running trial writes at most so often; ends of trials are always written


@dataclass
class TrialLine:
    """What is shown of one trial."""

    number: int
    status: str = "pending"
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    value: float | None = None
    best: float | None = None
    epoch_seconds: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the last epoch if nothing stops it before."""
        return None if self.epoch_seconds is None else (self.epochs - self.epoch) * self.epoch_seconds


@dataclass
class SweepBoard:
    """The state behind the display: pure bookkeeping, no terminal."""

    metric: str
    mode: str
    total: int
    lines: dict[str, TrialLine] = field(default_factory=dict)

    def line(self, trial: Any) -> TrialLine:
        """The line of a Ray trial, made when it is met for the first time."""
        return self.lines.setdefault(trial.trial_id, TrialLine(number=int(trial.config["trial"]["number"])))

    def result(self, trial: Any, result: Mapping[str, Any]) -> TrialLine:
        """Take in one report of a trial."""
        line = self.line(trial)
        line.status = "running"
        line.epoch, line.epochs = int(result.get("epoch", 0)), int(result.get("epochs", 0))
        line.loss, line.value = result.get("loss"), result.get(self.metric)
        line.epoch_seconds = result.get("epoch_seconds")
        if line.value is not None and line.value == line.value and is_better(line.value, line.best, self.mode):
            line.best = line.value
        return line

    def best(self) -> TrialLine | None:
        """The trial with the best value so far."""
        known = [line for line in self.lines.values() if line.best is not None]
        sign = 1 if self.mode == "max" else -1
        return max(known, key=lambda line: sign * (line.best or 0.0), default=None)

    def summary(self, elapsed_s: float) -> str:
        """One line: how many trials are done, the best so far, the time."""
        count = {
            s: sum(x.status == s for x in self.lines.values()) for s in ("done", "stopped early", "failed", "running")
        }
        ended = count["done"] + count["stopped early"] + count["failed"]
        parts = [f"{ended}/{max(self.total, ended)} ended", f"{count['running']} running"]
        if count["failed"]:
            parts.append(f"{count['failed']} failed")
        best = self.best()
        if best is not None:
            parts.append(f"best {self.metric} {best.best:.4f} (trial {best.number})")
        parts.append(clock(elapsed_s))
        left = self._seconds_left(elapsed_s, ended)
        if left is not None:
            parts.append(f"~{clock(left)} left")
        return " · ".join(parts)

    def _seconds_left(self, elapsed_s: float, ended: int) -> float | None:
        """Trials still to end, at the pace of those that ended, the running ones counted by their own epochs."""
        running = [x for x in self.lines.values() if x.status == "running" and x.epochs]
        progress = ended + sum(x.epoch / x.epochs for x in running)
        if progress <= 0 or self.total <= ended:
            return None
        return max(0.0, (self.total - progress) * elapsed_s / progress)


class ProgressCallback(tune.Callback):  # type: ignore[misc]
    """Shows a sweep while it runs. Picklable: the terminal is opened in `setup`, on the machine that shows it."""

    def __init__(self, metric: str, mode: str, total: int) -> None:
        self.board = SweepBoard(metric, mode, total)
        self._live: Any = None
        self._started = self._last_line = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {"board": self.board}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["board"].metric, state["board"].mode, state["board"].total)  # type: ignore[misc]

    def setup(self, stop: Any = None, num_samples: Any = None, total_num_samples: Any = None, **info: Any) -> None:
        """Ray calls this when the sweep starts or goes on."""
        self._started = time.monotonic()
        if sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(get_renderable=self._render, refresh_per_second=2, transient=False)
            self._live.start()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial starts or goes on."""
        for other in trials:  # after a restart Ray knows of trials that ended before
            line = self.board.line(other)
            if line.status == "pending" and other.status in ("TERMINATED", "ERROR"):
                self.board.result(other, other.last_result or {})
                line.status = "failed" if other.status == "ERROR" else _ending(line)
        self.board.line(trial).status = "running"

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        """A trial reported an epoch."""
        line = self.board.result(trial, result)
        if self._live is None and not result.get("replayed") and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._print(line)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended: trained to the end, or stopped by the scheduler or its own patience."""
        line = self.board.line(trial)
        line.status = _ending(line)
        self._print_end(line)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed for good."""
        line = self.board.line(trial)
        line.status = "failed"
        self._print_failure(line, "failed", trial)
        self._print_end(line)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed and will be tried again from its last checkpoint."""
        self._print_failure(self.board.line(trial), "failed and is tried again", trial)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """The sweep ends or is interrupted."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print_failure(self, line: TrialLine, what: str, trial: Any) -> None:
        from tune.store.callback import error_of, last_line

        print(f"{_now()}  trial {line.number} {what}: {last_line(error_of(trial))}", file=sys.stderr, flush=True)

    def _print_end(self, line: TrialLine) -> None:
        if self._live is None:
            self._print(line)
            print(f"{_now()}  {self.board.summary(time.monotonic() - self._started)}", flush=True)

    def _print(self, line: TrialLine) -> None:
        self._last_line = time.monotonic()
        left = "" if line.seconds_left is None or line.status != "running" else f"  left {clock(line.seconds_left)}"
        print(
            f"{_now()}  trial {line.number:<3} {line.status:<13} epoch {line.epoch}/{line.epochs}"
            f"  loss {_number(line.loss)}  {self.board.metric} {_number(line.value)}"
            f"  best {_number(line.best)}{left}",
            flush=True,
        )

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("trial", "status", "epoch", "loss", self.board.metric, "best", "left"):
            table.add_column(column, justify="left" if column == "status" else "right", no_wrap=True)
        best = self.board.best()
        for line in self._shown():
            left = "" if line.seconds_left is None or line.status != "running" else clock(line.seconds_left)
            table.add_row(
                str(line.number), line.status, f"{line.epoch}/{line.epochs}" if line.epochs else "",
                _number(line.loss), _number(line.value), _number(line.best), left,
                style="bold" if line is best else "dim" if line.status in ("failed", "stopped early") else None,
            )  # fmt: skip
        hidden = len(self.board.lines) - min(len(self.board.lines), ROWS_ON_TERMINAL)
        more = [Text(f"… and {hidden} more trials", style="dim")] if hidden else []
        return Group(table, *more, Text(self.board.summary(time.monotonic() - self._started)))

    def _shown(self) -> list[TrialLine]:
        """Running trials first, then the others by their best value."""
        sign = -1 if self.board.mode == "max" else 1

        def rank(line: TrialLine) -> tuple[bool, float]:
            return line.status != "running", sign * line.best if line.best is not None else float("inf")

        return sorted(self.board.lines.values(), key=rank)[:ROWS_ON_TERMINAL]


def clock(seconds: float) -> str:
    """4:05 or 2:13:09."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _ending(line: TrialLine) -> str:
    return "done" if line.epoch >= line.epochs else "stopped early"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _now() -> str:
    return time.strftime("%H:%M:%S")
