"""Can a label be predicted from a few columns? Cross-validated AUC, its interval, and what chance would give.

A few boosted trees are trained on four fifths of the images and rank the last fifth, in turn. Near-duplicates and one
identity never cross a fold. Trees need no scaling, take categories and gaps as they come, and learn the direction and
bands in the middle by themselves (a linear model would miss "between 900 and 1,100 pixels"): so an AUC of .5 or less
means that nothing could be learned. Boosted ones were as good as random forests on 60 to 4,000 rows, and 3 to 10
times as quick.

Interval: DeLong et al. 1988 by placements, summed within independent units as in Obuchowski 1997, on the logit scale.
Chance: the labels of whole units are shuffled against the held-out ranks.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDS = 5
_TREES = 20
_FITTED_IMAGES = 2_000  # repeats make up for few images: their luck with the folds is averaged out
_MAX_REPEATS = 2
_SHUFFLES = 2_000
_SHUFFLED_AT_ONCE = 4_000_000  # cells


@dataclass(frozen=True)
class Score:
    """auc: cross-validated. low, high: 95%. p_value: how often chance does as well. chance: what it exceeds in 1 ‰."""

    auc: float
    low: float
    high: float
    p_value: float
    chance: float


@dataclass(frozen=True)
class Units:
    """What is independent of what. labels: 1 for fake [N]. groups: images of one number share a fold [N]."""

    labels: Integers
    groups: Integers

    def smaller_class(self) -> int:
        """How many groups the label with fewer of them has."""
        return min(len(np.unique(self.groups[self.labels == label])) for label in (0, 1))


def cross_validate(columns: Floats, units: Units, seed: int = 0) -> Score:
    """How well `columns` (float [N, F], NaN where unknown) predict the labels.

    Both labels need two groups or more. The same input gives the same score.
    """
    columns = _varying(columns)
    if not columns.size:
        return Score(0.5, 0.5, 0.5, 1.0, 0.5)
    repeats = int(np.clip(_FITTED_IMAGES // len(columns), 1, _MAX_REPEATS))
    held_out = [_held_out_ranks(columns, units, seed + repeat) for repeat in range(repeats)]
    aucs, influences = zip(*(_auc(ranks, folds, units.labels) for ranks, folds in held_out), strict=True)
    auc = float(np.mean(aucs))
    low, high = _interval(auc, np.mean(influences, axis=0), units)
    null = _shuffled(held_out, units, np.random.default_rng(seed))
    p_value = (1 + float(np.sum(null >= auc - 1e-12))) / (1 + len(null))
    return Score(auc, low, high, p_value, float(np.quantile(null, 0.999)))


def ranking_auc(values: Floats, labels: Integers) -> float:
    """The AUC of one column as it stands, unknown values below all others; .5 where a label is missing."""
    fakes = labels == 1
    if fakes.all() or not fakes.any():
        return 0.5
    ranks = _ranks(np.where(np.isnan(values), -np.inf, values))
    count = int(fakes.sum())
    return float((ranks[fakes].sum() - count * (count + 1) / 2) / (count * (len(labels) - count)))


def _ranks(values: Floats) -> Floats:
    """1 … N, equal values sharing the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _varying(columns: Floats) -> Floats:
    if not columns.size:
        return columns
    filled = np.where(np.isnan(columns), -np.inf, columns)
    return columns[:, (filled != filled[0]).any(axis=0)]


def _held_out_ranks(columns: Floats, units: Units, seed: int) -> tuple[Floats, Integers]:
    """Each image's rank within its fold by trees that saw the other folds, and the fold it is in: [N] both."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    folds = assign_folds(units, seed)
    ranks = np.empty(len(columns))
    for fold in np.unique(folds):
        test = folds == fold
        trees = HistGradientBoostingClassifier(
            max_iter=_TREES,
            learning_rate=0.25,
            max_leaf_nodes=8,
            min_samples_leaf=int(np.clip(len(columns) // 20, 2, 20)),
            early_stopping=False,
            random_state=seed,
        )
        with _one_thread():
            trees.fit(columns[~test], units.labels[~test])
            ranks[test] = _ranks(trees.predict_proba(columns[test])[:, 1].round(9))
    return ranks, folds


def _one_thread() -> AbstractContextManager[object]:
    """For so few rows, threads that wait for each other cost more than they do."""
    limited: AbstractContextManager[object] = _thread_pools().limit(limits=1)
    return limited


@cache
def _thread_pools() -> Any:
    """Found once: it takes longer than a fit."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def assign_folds(units: Units, seed: int) -> Integers:
    """A fold for every image: groups stay whole, both labels are spread evenly. int [N], 0 … at most FOLDS - 1."""
    count = min(FOLDS, units.smaller_class())
    rng = np.random.default_rng(seed)
    names, member_of = np.unique(units.groups, return_inverse=True)
    content = np.zeros((len(names), 2))
    np.add.at(content, (member_of, units.labels), 1)
    filled = np.zeros((count, 2))
    fold_of = np.empty(len(names), dtype=np.int64)
    shuffled = rng.permutation(len(names))
    for group in shuffled[np.argsort(-content[shuffled].sum(axis=1), kind="stable")]:
        fold = int(np.argmin(filled @ content[group]))
        filled[fold] += content[group]
        fold_of[group] = fold
    return fold_of[member_of]


def _auc(ranks: Floats, folds: Integers, labels: Integers) -> tuple[float, Floats]:
    """The mean AUC of the folds, weighted by their pairs; and each image's influence on it [N]."""
    wins = pairs = 0.0
    parts = []
    for fold in np.unique(folds):
        real, fake = np.flatnonzero((folds == fold) & (labels == 0)), np.flatnonzero((folds == fold) & (labels == 1))
        if not len(real) or not len(fake):
            continue
        # A placement: the share of the other label that an image is above (a fake) or below (a real).
        above = (ranks[fake] - _ranks(ranks[fake])) / len(real)
        below = 1 - (ranks[real] - _ranks(ranks[real])) / len(fake)
        wins += float(above.sum()) * len(real)
        pairs += len(real) * len(fake)
        parts.append((real, below, len(fake)))
        parts.append((fake, above, len(real)))
    auc = wins / pairs
    influence = np.zeros(len(labels))
    for images, placements, others in parts:
        influence[images] = (placements - auc) * others / pairs
    return auc, influence


def _interval(auc: float, influence: Floats, units: Units) -> tuple[float, float]:
    from scipy.special import stdtrit  # a second to import, which reading a kept audit need not wait for

    per_unit = np.bincount(units.groups, weights=influence)
    smaller = units.smaller_class()
    error = float(np.sqrt((per_unit**2).sum())) * float(stdtrit(max(1, smaller - 1), 0.975))
    # Where nothing is confused in n units, up to 3 / n may be and it would still be luck (the rule of three).
    limit = min(0.5, 3 / smaller)
    inside = float(np.clip(auc, 1e-6, 1 - 1e-6))
    logit, width = np.log(inside / (1 - inside)), error / (inside * (1 - inside))
    low, high = (float(1 / (1 + np.exp(-np.clip(logit + sign * width, -30, 30)))) for sign in (-1, 1))
    if auc > 1 - limit:
        low = min(low, 1 - limit)
    if auc < limit:
        high = max(high, limit)
    return min(low, auc), max(high, auc)


def _shuffled(held_out: list[tuple[Floats, Integers]], units: Units, rng: np.random.Generator) -> Floats:
    """The AUCs of the same ranks when labels are dealt to the units at random: [_SHUFFLES]."""
    keys = units.groups * 2 + units.labels
    names, member_of = np.unique(keys, return_inverse=True)
    labels_of = names % 2
    batch = max(1, _SHUFFLED_AT_ONCE // len(units.labels))
    found = []
    for start in range(0, _SHUFFLES, batch):
        count = min(batch, _SHUFFLES - start)
        dealt = rng.permuted(np.broadcast_to(labels_of, (count, len(names))), axis=1)
        labels = dealt[:, member_of].astype(np.float64)
        total = np.zeros(count)
        for ranks, folds in held_out:
            of_fold = (folds[:, None] == np.arange(FOLDS)).astype(np.float64)
            fakes = labels @ of_fold
            wins = labels @ ranks - (fakes * (fakes + 1) / 2).sum(axis=1)
            total += wins / np.maximum((fakes * (of_fold.sum(axis=0) - fakes)).sum(axis=1), 1)
        found.append(total / len(held_out))
    return np.concatenate(found)
