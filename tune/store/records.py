"""What the queries of the result store answer with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Best:
    """One metric of one trial. value: the best finite one, None when there was none; last: NaN as reported."""

    key: str
    value: float | None
    step: int | None
    last: float
    last_step: int


@dataclass(frozen=True)
class Sweep:
    """A sweep. Times are Unix times. best: of its own metric, None when it has none yet."""

    id: str
    name: str
    status: str
    params: dict[str, Any]
    dataset_hash: str
    git_commit: str | None
    started_at: float
    at: float
    trials: dict[str, int] = field(default_factory=dict)
    best: Best | None = None
    best_trial: str | None = None


@dataclass(frozen=True)
class Trial:
    """A trial. params: nested, as it was started. best: of the metric asked for."""

    id: str
    sweep_id: str
    number: int
    status: str
    folder: str
    error: str | None
    params: dict[str, Any]
    started_at: float | None
    ended_at: float | None
    best: Best | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Where a trial's checkpoint of a step lies."""

    step: int
    url: str
    score: float | None
    at: float


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    kind: str
    message: str
    at: float


@dataclass(frozen=True)
class TrialRecord:
    """Everything about a trial. curves: points (step, value) by metric; a value may be NaN or infinite."""

    trial: Trial
    sweep: Sweep | None
    metrics: tuple[Best, ...]
    curves: dict[str, list[tuple[int, float]]]
    checkpoints: tuple[Checkpoint, ...]
    events: tuple[Event, ...]
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Trials side by side. params: only those that differ, by dotted name; metrics: the best of each."""

    trials: tuple[Trial, ...]
    params: dict[str, tuple[Any, ...]]
    metrics: dict[str, tuple[Best | None, ...]]


@dataclass(frozen=True)
class Alias:
    """A name for a bundle, such as `champion`."""

    name: str
    bundle_url: str
    trial_id: str
    at: float


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested params by dotted name: {"train": {"lr": 0.1}} ▶ {"train.lr": 0.1}; lists of mappings by position."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            flat.update(flatten({str(position): item for position, item in enumerate(value)}, f"{name}."))
        elif isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def differing_params(trials: Sequence[Trial]) -> dict[str, tuple[Any, ...]]:
    """The params that are not the same in all trials, by dotted name; None where a trial has none."""
    flat = [flatten(trial.params) for trial in trials]
    names = list(dict.fromkeys(name for params in flat for name in params))
    columns = {name: tuple(params.get(name) for params in flat) for name in names}
    return {name: values for name, values in columns.items() if any(value != values[0] for value in values)}
