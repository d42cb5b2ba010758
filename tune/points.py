"""How a sweep chooses points of its search space: the whole grid, at random, or as Optuna suggests."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.params import ParamsError
from tune.params import TrialParams, parse_trial_params
from tune.space import Decide, Leaf, resolve


@dataclass(frozen=True)
class Point:
    """One point of a search space. choices: what was decided at each leaf, by its path; params: all that follows."""

    choices: dict[str, Any]
    params: TrialParams


MAX_GRID = 50_000  # a larger grid takes minutes to write down and years to train


def grid_trials(space: Mapping[str, Any], where: str) -> list[Point]:
    """The cartesian product, each distinct training once. Raises ParamsError when it is larger than MAX_GRID."""
    points: dict[str, Point] = {}

    def refuse(path: str, leaf: Leaf) -> Any:
        raise ParamsError(
            f"{where}: {path}: a grid cannot list {leaf.kind}; write grid: […] there, "
            "or set search.algorithm to random or optuna"
        )

    about = _estimated_size(space, refuse, where)
    if about > 2 * MAX_GRID:
        raise ParamsError(f"{where}: the grid has about {about:,.0f} points; use search.algorithm: random")
    for count, point in enumerate(_combinations(space, where, lambda leaf: leaf.is_finite, refuse), start=1):
        if count > MAX_GRID:
            raise ParamsError(f"{where}: the grid has more than {MAX_GRID:,} points; use search.algorithm: random")
        points.setdefault(point.params.fingerprint(), point)
    return list(points.values())


def _estimated_size(space: Mapping[str, Any], refuse: Decide, where: str, walks: int = 100) -> float:
    """About how many combinations a space has, without counting through them.

    The mean over random walks of the product of the options met (Knuth, "Estimating the efficiency of backtrack
    programs", 1975).
    """
    rng = random.Random(0)
    sizes = []
    for _ in range(walks):
        met: list[int] = []

        def decide(path: str, leaf: Leaf) -> Any:
            if not leaf.is_finite:
                return refuse(path, leaf)
            met.append(len(leaf.values))  # noqa: B023
            return rng.choice(leaf.values)

        resolve(space, decide, where)
        sizes.append(math.prod(met))
    return sum(sizes) / walks


def random_trials(space: Mapping[str, Any], num_samples: int, seed: int, where: str) -> list[Point]:
    """`num_samples` draws of the open leaves, each tried in every combination of the `grid` leaves.

    The combinations share their draws, so that they are compared like with like. The same seed draws the same points,
    and more samples begin with the points of fewer. Raises ParamsError when there are more than MAX_GRID.
    """
    rng = random.Random(seed)
    points: list[Point] = []
    for _ in range(num_samples):
        drawn: dict[str, Any] = {}

        def draw_once(path: str, leaf: Leaf) -> Any:
            if path not in drawn:  # noqa: B023
                drawn[path] = draw(leaf, rng)  # noqa: B023
            return drawn[path]  # noqa: B023

        for point in _combinations(space, where, lambda leaf: leaf.kind == "grid", draw_once):
            points.append(point)
            if len(points) > MAX_GRID:
                raise ParamsError(f"{where}: search.num_samples × the grid is more than {MAX_GRID:,} trials")
    return points


def optuna_point(space: Mapping[str, Any], trial: Any, where: str) -> Point:
    """A point as an Optuna trial suggests it, define-by-run. `grid` leaves are refused: Optuna does not enumerate."""

    def decide(path: str, leaf: Leaf) -> Any:
        if leaf.kind == "grid":
            raise ParamsError(f"{where}: {path}: optuna does not enumerate a grid; write choice: […] there")
        if leaf.kind == "choice":
            # Optuna stores only scalars, so lists and mappings are suggested by their JSON text.
            labels = [v if isinstance(v, (str, int, float, bool)) else json.dumps(v) for v in leaf.values]
            return leaf.values[labels.index(trial.suggest_categorical(path, labels))]
        low, high = leaf.values
        if leaf.kind == "randint":
            return trial.suggest_int(path, low, high - 1)
        return trial.suggest_float(path, low, high, log=leaf.kind == "loguniform")

    return _decided(space, decide, where)


def draw(leaf: Leaf, rng: random.Random) -> Any:
    """A value of the leaf at random."""
    if leaf.is_finite:
        return rng.choice(leaf.values)
    low, high = leaf.values
    if leaf.kind == "randint":
        return rng.randrange(low, high)
    if leaf.kind == "loguniform":
        return min(max(math.exp(rng.uniform(math.log(low), math.log(high))), low), high)
    return rng.uniform(low, high)


@dataclass(frozen=True)
class SpaceCheck:
    """What is known of a space before anything is drawn. leaves: every open decision by its path.

    max_epochs: the longest that a point may train.
    """

    leaves: dict[str, Leaf]
    max_epochs: int


def check_space(space: Mapping[str, Any], where: str, samples: int = 2_000) -> SpaceCheck:
    """Try every option and both bounds of every open decision at least once.

    Then `samples` points at random, so that a combination that cannot work is very likely refused before a trial
    starts. Raises ParamsError or SpecError naming the key.
    """
    leaves: dict[str, Leaf] = {}
    tried: list[TrialParams] = []
    seen: set[tuple[str, int]] = set()
    waiting: list[list[int]] = [[]]
    while waiting:
        taken, point = _follow(space, waiting.pop(), where)
        tried.append(parse_trial_params(point, where))
        for depth, (path, option, leaf) in enumerate(taken):
            leaves[path] = leaf
            seen.add((path, option))
            for other in range(len(leaf.values)):
                if (path, other) not in seen:
                    seen.add((path, other))
                    waiting.append([o for _, o, _ in taken[:depth]] + [other])
    datasets = sorted({(p.data.manifest, p.data.version or 0, p.data.cache) for p in tried})
    if len(datasets) > 1:
        raise ParamsError(
            f"{where}: data: manifest, version and cache must be the same for all trials of a sweep, not "
            f"{' and '.join(str(d[0]) for d in datasets[:2])}; make it two sweeps"
        )
    rng = random.Random(0)
    for _ in range(samples if leaves else 0):
        parse_trial_params(resolve(space, lambda _, leaf: draw(leaf, rng), where), where)
    return SpaceCheck(leaves, max(point.train.epochs for point in tried))


def first_point(space: Mapping[str, Any], where: str) -> TrialParams:
    """The point where every decision takes its first option or lower bound."""
    return parse_trial_params(_follow(space, [], where)[1], where)


def _decided(space: Mapping[str, Any], decide: Decide, where: str) -> Point:
    """The point that `decide` leads to, with a record of its decisions."""
    choices: dict[str, Any] = {}

    def record(path: str, leaf: Leaf) -> Any:
        choices[path] = decide(path, leaf)
        return choices[path]

    return Point(choices, parse_trial_params(resolve(space, record, where), where))


def _combinations(
    space: Mapping[str, Any], where: str, listed: Callable[[Leaf], bool], other: Decide
) -> Iterator[Point]:
    """A point for every combination of the `listed` leaves, the last one met changing fastest.

    `other` decides the rest, the same for the same path every time: it settles which listed leaves there are.
    """
    prefix: list[int] = []
    while True:
        taken: list[tuple[int, int]] = []  # (option taken, options there are), in the order of the walk

        def decide(path: str, leaf: Leaf) -> Any:
            if not listed(leaf):
                return other(path, leaf)
            option = prefix[len(taken)] if len(taken) < len(prefix) else 0  # noqa: B023
            taken.append((option, len(leaf.values)))  # noqa: B023
            return leaf.values[option]

        yield _decided(space, decide, where)
        while taken and taken[-1][0] == taken[-1][1] - 1:
            taken.pop()
        if not taken:
            return
        prefix = [option for option, _ in taken]
        prefix[-1] += 1


def _follow(
    space: Mapping[str, Any], prefix: Sequence[int], where: str
) -> tuple[list[tuple[str, int, Leaf]], dict[str, Any]]:
    """Walk with the given options, then first options; the decisions met and the point. Bounds count as options."""
    taken: list[tuple[str, int, Leaf]] = []

    def decide(path: str, leaf: Leaf) -> Any:
        option = prefix[len(taken)] if len(taken) < len(prefix) else 0
        taken.append((path, option, leaf))
        value = leaf.values[option]
        return value - 1 if leaf.kind == "randint" and option == 1 else value

    return taken, resolve(space, decide, where)
