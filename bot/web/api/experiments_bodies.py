"""What the API of experiments answers with, as pydantic models: the OpenAPI description is made from these."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from bot.web.bodies import Body
from bot.web.experiments import address
from tune.store.query import goal_of
from tune.store.query_importance import METHOD, Axis, Importance
from tune.store.query_sweep import Board, Curve
from tune.store.records import Best, Sweep, Trial, TrialRecord, flatten

Mode = Literal["max", "min"]
_TIME = "Unix time, in seconds."


class SweepBody(Body):
    """A sweep: trials of one search."""

    address: str = Field(description="What stands for {sweep} in addresses.", examples=["demo@20261125-165340-223"])
    name: str
    state: str = Field(description="running, finished or interrupted. One whose process was killed still says running.")
    trials: dict[str, int] = Field(description="State ▶ how many: running, completed, stopped, failed, interrupted.")
    metric: str = Field(description="What it searched for.")
    mode: Mode
    best: float | None = Field(description="The best value that any trial ever reached.")
    best_trial: str | None
    began: float = Field(description=_TIME)
    ended: float | None = Field(description=f"{_TIME} null while it runs.")
    dataset_hash: str
    git_commit: str | None

    @classmethod
    def of(cls, sweep: Sweep) -> SweepBody:
        """Without its params, which name places."""
        metric, mode = goal_of(sweep.params)
        return cls(
            address=address(sweep.id), name=sweep.name, state=sweep.status, trials=sweep.trials, metric=metric,
            mode="min" if mode == "min" else "max", best=finite(sweep.best.value if sweep.best else None),
            best_trial=sweep.best_trial, began=sweep.started_at,
            ended=None if sweep.status == "running" else sweep.at, dataset_hash=sweep.dataset_hash,
            git_commit=sweep.git_commit,
        )  # fmt: skip


class SweepsBody(Body):
    """All sweeps, newest first."""

    sweeps: list[SweepBody]


class TrialBody(Body):
    """A trial on the leaderboard."""

    rank: int | None = Field(description="From 1; null without a value.")
    id: str
    number: int
    state: str = Field(description="running, completed, stopped (early), failed or interrupted.")
    best: float | None = Field(description="The best value it ever reached.")
    best_step: int | None = Field(description="The epoch of that.")
    last: float | None = Field(description="The newest value; null for one that is no finite number.")
    last_step: int | None
    began: float | None = Field(description=_TIME)
    ended: float | None = Field(description=_TIME)
    params: dict[str, Any] = Field(description="What was chosen for it, by dotted name.")

    @classmethod
    def of(cls, trial: Trial, rank: int | None) -> TrialBody:
        """rank: its place among all, from 1."""
        best = trial.best
        value = finite(best.value) if best else None
        return cls(
            rank=None if value is None else rank, id=trial.id, number=trial.number, state=trial.status, best=value,
            best_step=best.step if best else None, last=finite(best.last) if best else None,
            last_step=best.last_step if best else None, began=trial.started_at, ended=trial.ended_at,
            params=flatten(trial.params),
        )  # fmt: skip


class LeaderboardBody(Body):
    """A sweep's trials, best first; those without a value last."""

    sweep: SweepBody
    heard: float = Field(description=f"When the sweep last wrote anything. {_TIME}")
    metric: str
    mode: Mode = Field(description="Whether large values are better, or small ones.")
    metrics: list[str] = Field(description="What else its trials reported.")
    total: int = Field(description="Trials in all.")
    offset: int
    trials: list[TrialBody]

    @classmethod
    def of(cls, board: Board, offset: int, limit: int) -> LeaderboardBody:
        """`limit` of them from `offset` on."""
        rows = [TrialBody.of(trial, rank) for rank, trial in enumerate(board.trials, 1)][offset : offset + limit]
        return cls(
            sweep=SweepBody.of(board.sweep), heard=board.heard_at, metric=board.metric, mode=mode_of_board(board),
            metrics=list(board.metrics), total=len(board.trials), offset=offset, trials=rows,
        )  # fmt: skip


class CurveBody(Body):
    """One metric of one trial, over its epochs."""

    trial: str
    number: int
    state: str
    steps: list[int]
    values: list[float | None] = Field(description="At the steps; null for one that is no finite number.")
    count: int = Field(description="Points in all; more than there are here when they were thinned.")

    @classmethod
    def of(cls, curve: Curve) -> CurveBody:
        """As they are read."""
        return cls(
            trial=curve.trial.id, number=curve.trial.number, state=curve.trial.status,
            steps=[step for step, _ in curve.points], values=[finite(value) for _, value in curve.points],
            count=curve.count,
        )  # fmt: skip


class CurvesBody(Body):
    """Learning curves. Long ones are thinned so that their line looks the same (M4)."""

    metric: str
    mode: Mode
    curves: list[CurveBody]


class ParamImportanceBody(Body):
    """How much one param matters."""

    name: str
    label: str = Field(description="The shortest name that tells it from the others.")
    importance: float = Field(description="As `method` says, from about 0 (it says nothing) to 2.")
    spread: float = Field(description="Standard deviation over the folds.")


class ImportanceBody(Body):
    """How much each param matters, the most first; empty with too few trials."""

    metric: str
    method: str
    trials: int = Field(description="Ended ones with a value, which is what it is worked out from.")
    r2: float | None = Field(
        description="How much of the variance of trials that the forest has not seen it explains; at 0 and below the "
        "importances are noise. null with fewer than six trials, or when nothing differs."
    )
    hint: bool = Field(description="There are fewer than ten trials for each param: no more than a hint.")
    params: list[ParamImportanceBody]

    @classmethod
    def of(cls, found: Importance) -> ImportanceBody:
        """With its method."""
        params = [
            ParamImportanceBody(name=each.name, label=each.label, importance=each.importance, spread=each.spread)
            for each in found.params
        ]
        return cls(
            metric=found.metric, method=METHOD, trials=found.trials, r2=found.r2, hint=found.is_hint, params=params
        )


class AxisBody(Body):
    """A param that differs between the trials."""

    name: str
    label: str = Field(description="The shortest name that tells it from the others.")
    kind: Literal["number", "category"]
    log: bool = Field(description="It was searched on a logarithmic scale.")
    categories: list[str] = Field(description="In their order; empty for numbers.")
    values: list[float | str | None] = Field(description="One for each trial; null where it has none.")

    @classmethod
    def of(cls, axis: Axis, most: int) -> AxisBody:
        """Of the first `most` trials."""
        return cls(
            name=axis.name, label=axis.label, kind=axis.kind, log=axis.is_log, categories=list(axis.categories),
            values=list(axis.values[:most]),
        )  # fmt: skip


class ParallelBody(Body):
    """Columns for parallel coordinates; the trials are in the order of the leaderboard."""

    metric: str
    mode: Mode
    total: int = Field(description="Trials in all; only the best of them are here when there are very many.")
    trials: list[str]
    numbers: list[int]
    states: list[str]
    best: list[float | None]
    axes: list[AxisBody]


class MetricBody(Body):
    """One metric of one trial."""

    name: str
    mode: Mode
    best: float | None
    best_step: int | None
    last: float | None
    last_step: int

    @classmethod
    def of(cls, best: Best, mode: str) -> MetricBody:
        """mode: 'max' or 'min'."""
        return cls(
            name=best.key, mode="min" if mode == "min" else "max", best=finite(best.value), best_step=best.step,
            last=finite(best.last), last_step=best.last_step,
        )  # fmt: skip


class CheckpointBody(Body):
    """A checkpoint."""

    step: int
    score: float | None
    place: str = Field(description="Below the sweep's storage, or its name.")
    at: float = Field(description=_TIME)


class EventBody(Body):
    """Something that happened."""

    kind: str
    message: str
    at: float = Field(description=_TIME)


class TrialDetailBody(Body):
    """Everything about a trial."""

    sweep: SweepBody
    trial: TrialBody
    error: str | None = Field(description="The last line of why it failed.")
    aliases: list[str] = Field(description="What it is called besides, such as champion.")
    metrics: list[MetricBody]
    checkpoints: list[CheckpointBody]
    events: list[EventBody]
    pictures: list[str] = Field(
        description="Of its folder: ask for …/pictures/{name}.", examples=[["roc", "confusion"]]
    )


def mode_of_board(board: Board) -> Mode:
    """As a type."""
    return "min" if board.mode == "min" else "max"


def finite(value: float | None) -> float | None:
    """JSON knows no others."""
    return value if value is not None and math.isfinite(value) else None


def place(url: str, record: TrialRecord) -> str:
    """Where in the sweep's storage something lies, without where that is."""
    sweep_id = record.trial.sweep_id
    _, found, rest = url.partition(f"/{sweep_id}/")
    return f"{sweep_id}/{rest}" if found else url.rstrip("/").rpartition("/")[2]
