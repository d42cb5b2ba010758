"""From a params file to the trials of a sweep, all checked before the first one starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.params import ParamsError
from tune.params import SweepParams, TrialParams
from tune.points import Point, check_space, first_point, grid_trials, optuna_point, random_trials
from tune.space import Leaf

# Values of `train` that may change while a network trains; population based training perturbs these and no others.
_LIVE = ("lr", "weight_decay", "beta_1", "momentum", "label_smoothing", "grad_clip")


@dataclass(frozen=True)
class Plan:
    """What a sweep will do. points: all of them for grid and random search; empty for Optuna, which chooses as it goes.

    leaves: the open decisions by path. max_epochs: the longest any trial may train.
    """

    params: SweepParams
    where: str
    points: tuple[Point, ...]
    leaves: dict[str, Leaf]
    max_epochs: int

    @property
    def num_trials(self) -> int:
        """How many trials the sweep has in all."""
        return len(self.points) or self.params.search.num_samples

    @property
    def sample(self) -> TrialParams:
        """One point of the space, for what all points share."""
        return self.points[0].params if self.points else first_point(self.params.space, self.where)

    def describe(self) -> list[str]:
        """What the sweep will do, in lines for people."""
        search, scheduler = self.params.search, self.params.scheduler
        return [
            f"sweep '{self.params.name}': {self.num_trials:,} trials, at most {self.max_epochs} epochs each "
            f"({search.algorithm} search, scheduler {scheduler.type})",
            f"the best validation {search.metric} wins; open: {', '.join(self.leaves) or 'nothing but the seed'}",
        ]

    def first_trials(self, count: int = 5) -> list[str]:
        """The first trials by what was decided for them; Optuna's are not known before they start."""
        lines = [
            f"trial {number}: " + ", ".join(f"{path}={_short(value)}" for path, value in point.choices.items())
            for number, point in enumerate(self.points[:count])
        ]
        more = len(self.points) - len(lines)
        return lines + ([f"… and {more:,} more"] if more else [])

    @property
    def live_leaves(self) -> dict[str, Leaf]:
        """The open decisions that population based training may perturb, by their key in `train`."""
        return {key: self.leaves[f"train.{key}"] for key in _LIVE if f"train.{key}" in self.leaves}

    def suggest(self, optuna_trial: Any) -> Point:
        """The point that Optuna chooses next."""
        return optuna_point(self.params.space, optuna_trial, self.where)


def make_plan(params: SweepParams, where: str) -> Plan:
    """Expand the search space and check every point of it that can be checked.

    where: the params file, named in errors. Raises ParamsError or SpecError naming the key or the layer.
    """
    search = params.search
    checked = check_space(params.space, where, samples=2_000 if search.algorithm == "optuna" else 0)
    leaves = checked.leaves
    points: list[Point] = []
    if search.algorithm == "grid":
        points = grid_trials(params.space, where)
    elif search.algorithm == "random":
        points = random_trials(params.space, search.num_samples, params.seed, where)
    else:
        grids = [path for path, leaf in leaves.items() if leaf.kind == "grid"]
        if grids:
            raise ParamsError(f"{where}: {grids[0]}: optuna does not enumerate a grid; write choice: […] there")
        if not leaves:
            raise ParamsError(f"{where}: optuna has nothing to search: no value is a choice or a range")
    plan = Plan(params, where, tuple(points), leaves, checked.max_epochs)
    if params.scheduler.type == "pbt" and not plan.live_leaves:
        keys = ", ".join(f"train.{key}" for key in _LIVE)
        raise ParamsError(
            f"{where}: scheduler.type: pbt perturbs {keys}; make at least one of them a range or a choice"
        )
    return plan


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
