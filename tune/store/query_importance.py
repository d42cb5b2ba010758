"""What the params of a sweep have to do with how well its trials did: columns to draw, and how much each matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tune.store.query_sweep import Board
from tune.store.records import Trial, differing_params, flatten
from tune.store.report import short_names, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHOD = (
    "Random forest (scikit-learn, 64 trees, seed 0) from params to the rank of the best value; importance is by how "
    "much its squared error on held-out trials grows, in units of the variance of the ranks, when a param is replaced "
    "by that of random other trials (permutation importance, 5-fold)."
)
LEAST_TRIALS = 6
_TRIALS_PER_PARAM = 10  # with fewer it is a hint at most
_FOLDS, _TREES = 5, 64
_DRAWN = 512  # other values for a param, over all trials of a fold, one each at least
_SAMPLES = 512  # of a tree: thousands of trials make a forest no better, and slower
_RUNNING = "running"


@dataclass(frozen=True)
class Axis:
    """A param that differs between the trials of a board. values: in the board's order, None where a trial has none;
    numbers, or the texts of `categories`. is_log: it was searched on a logarithmic scale.
    """

    name: str
    label: str
    kind: Literal["number", "category"]
    is_log: bool
    values: tuple[float | str | None, ...]
    categories: tuple[str, ...]


@dataclass(frozen=True)
class ParamImportance:
    """importance: as METHOD says, from about 0 (it says nothing) to 2; spread: its deviation over the folds."""

    name: str
    label: str
    importance: float
    spread: float


@dataclass(frozen=True)
class Importance:
    """Params by importance. trials: ended ones with a value. r2: how much of the variance of trials that it has not
    seen the forest explains, None with too few trials; at 0 and below the bars are noise.
    """

    metric: str
    trials: int
    r2: float | None
    params: tuple[ParamImportance, ...]

    @property
    def is_hint(self) -> bool:
        """There are too few trials for so many params to lean on it."""
        return self.trials < _TRIALS_PER_PARAM * max(1, len(self.params))


def axes(board: Board) -> list[Axis]:
    """The params that differ between trials, in the order of their names."""
    return _axes(board, board.trials)


def ended(board: Board) -> list[Trial]:
    """Those whose value stands."""
    return [trial for trial in board.trials if trial.status != _RUNNING and trial.best and trial.best.value is not None]


def importance(board: Board) -> Importance:
    """How much each param matters for the metric, as METHOD says; the same for the same trials, whenever asked."""
    trials = ended(board)
    trials.sort(key=lambda trial: (trial.number, trial.id))
    columns = _axes(board, trials)
    if len(trials) < LEAST_TRIALS or not columns:
        return Importance(board.metric, len(trials), None, ())

    import numpy as np
    from scipy.stats import rankdata

    goal = rankdata([trial.best.value for trial in trials if trial.best is not None])
    if np.ptp(goal) == 0:
        return Importance(board.metric, len(trials), None, ())
    table = np.array([_codes(column) for column in columns], dtype=float).T
    r2, mean, spread = _held_out(table, goal / goal.std())
    found = [
        ParamImportance(column.name, column.label, float(mean[i]), float(spread[i])) for i, column in enumerate(columns)
    ]
    return Importance(
        board.metric, len(trials), r2, tuple(sorted(found, key=lambda param: (-param.importance, param.name)))
    )


def _held_out(
    table: NDArray[np.float64], goal: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """table: [trials, params], NaN where there is none; goal: [trials], of variance 1. R² over all held-out trials,
    and per param the mean and the standard deviation over folds of how much the error grows."""
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold

    random = np.random.default_rng(0)
    errors, lost, sizes = [], [], []
    for seen, unseen in KFold(_FOLDS, shuffle=True, random_state=0).split(table):
        forest = RandomForestRegressor(
            _TREES, random_state=0, n_jobs=1, min_samples_leaf=2, max_samples=min(_SAMPLES, len(seen))
        ).fit(table[seen], goal[seen])
        error = float(np.mean((forest.predict(table[unseen]) - goal[unseen]) ** 2))
        draws = max(1, _DRAWN // len(unseen))
        many, truth = np.repeat(table[unseen], draws, axis=0), np.repeat(goal[unseen], draws)
        changes = []
        for param in range(table.shape[1]):
            changed = many.copy()
            changed[:, param] = random.choice(table[:, param], len(many))
            changes.append(float(np.mean((forest.predict(changed) - truth) ** 2)) - error)
        errors.append(error)
        lost.append(changes)
        sizes.append(len(unseen))
    return 1 - float(np.average(errors, weights=sizes)), np.average(lost, axis=0, weights=sizes), np.std(lost, axis=0)


def _axes(board: Board, trials: Sequence[Trial]) -> list[Axis]:
    params = dict(sorted(differing_params(trials).items()))
    labels = short_names(list(params))
    space = flatten(board.sweep.params)
    return [_axis(name, labels[name], values, f"{name}.loguniform" in space) for name, values in params.items()]


def _axis(name: str, label: str, values: tuple[Any, ...], is_log: bool) -> Axis:
    there = [value for value in values if value is not None]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in there):
        numbers = tuple(None if value is None or not math.isfinite(value) else float(value) for value in values)
        return Axis(name, label, "number", is_log and all(value > 0 for value in there), numbers, ())
    texts = tuple(None if value is None else shown(value) for value in values)
    return Axis(name, label, "category", False, texts, tuple(sorted({text for text in texts if text is not None})))


def _codes(axis: Axis) -> list[float]:
    if axis.kind == "number":
        return [math.nan if value is None else float(value) for value in axis.values]
    places: dict[float | str | None, int] = {text: place for place, text in enumerate(axis.categories)}
    return [places.get(value, -1) for value in axis.values]
