"""Which trials go on: Ray Tune's schedulers from the params, and ASHA's memory across a restart."""

from __future__ import annotations

import functools
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, PopulationBasedTraining

from tune.plan import Plan
from tune.space import Leaf


def build_scheduler(plan: Plan) -> Any:
    """The scheduler that the params ask for."""
    scheduler = plan.params.scheduler
    if scheduler.type == "asha":
        return ASHAScheduler(
            time_attr="epoch",
            max_t=max(plan.max_epochs, scheduler.grace_period),
            grace_period=scheduler.grace_period,
            reduction_factor=scheduler.reduction_factor,
        )
    if scheduler.type == "pbt":
        ranges = plan.live_leaves
        return PopulationBasedTraining(
            time_attr="epoch",
            perturbation_interval=scheduler.perturbation_interval,
            quantile_fraction=scheduler.quantile_fraction,
            hyperparam_mutations={"trial": {"params": {"train": {key: _domain(leaf) for key, leaf in ranges.items()}}}},
            custom_explore_fn=functools.partial(_within_bounds, ranges),
        )
    return FIFOScheduler()


def with_scheduler(callbacks: list[tune.Callback], scheduler: Any) -> list[tune.Callback]:
    """`callbacks`, with the one that saves the scheduler where that has something to remember; always the last."""
    return [*callbacks, KeepScheduler(scheduler)] if isinstance(scheduler, ASHAScheduler) else callbacks


class KeepScheduler(tune.Callback):  # type: ignore[misc]
    """Saves the scheduler with the experiment: Tune saves callbacks' state, not ASHA's rungs (ray#30838)."""

    def __init__(self, scheduler: ASHAScheduler) -> None:
        self.scheduler = scheduler

    def get_state(self) -> dict[str, Any]:
        """Called by Tune at every snapshot."""
        return dict(self.scheduler.__dict__)

    def set_state(self, state: dict[str, Any]) -> None:
        """Called by Tune when the experiment goes on."""
        self.scheduler.__dict__.update(state)


def _domain(leaf: Leaf) -> Any:
    if leaf.is_finite:
        return tune.choice(list(leaf.values))
    return tune.loguniform(*leaf.values) if leaf.kind == "loguniform" else tune.uniform(*leaf.values)


def _within_bounds(ranges: dict[str, Leaf], config: dict[str, Any]) -> dict[str, Any]:
    """Perturbed values brought back into their ranges: Tune multiplies by 0.8 or 1.2 without looking."""
    train = config["trial"]["params"]["train"]
    for key, leaf in ranges.items():
        if not leaf.is_finite:
            train[key] = min(max(train[key], leaf.values[0]), leaf.values[1])
    return config
