"""Numbers that say how good a detector is. Fake is the positive class throughout.

Written in NumPy: a bootstrap asks for them a thousand times, and scikit-learn's would take twenty times as long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def sigmoid(logits: Floats) -> NDArray[np.float64]:
    """1 / (1 + e^−x) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))


def is_better(value: float, than: float | None, mode: str) -> bool:
    """Whether a value of a metric beats another (None: there is none yet). mode: "max" where larger is better."""
    return than is None or (value > than if mode == "max" else value < than)


def binary_metrics(labels: Floats, logits: Floats, threshold: float = 0.5) -> dict[str, float]:
    """Every metric of a split: labels [N] in {0, 1}, logits [N], threshold on the probability of being fake.

    loss is the mean negative log likelihood in nats. Metrics that need both classes are NaN when one is missing, and
    all are NaN when a logit is not finite (a diverged training).
    """
    labels = np.asarray(labels, dtype=np.float64)
    logits = np.asarray(logits, dtype=np.float64)
    if not len(labels) or not np.isfinite(logits).all():
        return dict.fromkeys(METRIC_NAMES, float("nan"))
    p_fake = sigmoid(logits)
    return {
        "loss": negative_log_likelihood(labels, logits),
        "brier": float(np.mean((p_fake - labels) ** 2)),
        "ece": expected_calibration_error(labels, p_fake),
        **decision_metrics(labels, p_fake >= threshold),
        **ranking_metrics(labels, logits),
    }


def negative_log_likelihood(labels: Floats, logits: Floats) -> float:
    """Mean binary cross entropy of logits, in nats."""
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))


def decision_metrics(labels: Floats, called_fake: NDArray[np.bool_], weights: Floats | None = None) -> dict[str, float]:
    """Metrics of yes/no answers, each counted `weights` times (once by default).

    precision and f1 are 0 where nothing was called fake; recall is NaN without fakes, fpr without reals, and
    balanced_accuracy where either is missing.
    """
    is_fake = np.asarray(labels) == 1
    counts = np.ones(len(is_fake)) if weights is None else np.asarray(weights, dtype=np.float64)
    true_positive = float(counts[called_fake & is_fake].sum())
    fakes, reals, called = (float(counts[picked].sum()) for picked in (is_fake, ~is_fake, called_fake))
    recall = true_positive / fakes if fakes else float("nan")
    fpr = (called - true_positive) / reals if reals else float("nan")
    return {
        "accuracy": float(counts[called_fake == is_fake].sum() / counts.sum()),
        "precision": true_positive / called if called else 0.0,
        "recall": recall,
        "f1": 2 * true_positive / (called + fakes) if called + fakes else 0.0,
        "balanced_accuracy": (recall + 1 - fpr) / 2,
        "fpr": fpr,
    }


def ranking_metrics(labels: Floats, scores: Floats) -> dict[str, float]:
    """AUC, average precision and equal error rate; NaN where a class is missing or a score is NaN."""
    if not len(scores) or np.isnan(scores).any():
        return dict(_NO_RANKING)
    return Ranking(labels, scores).metrics()


class Ranking:
    """Answers sorted once by their score, for any number of weightings: a bootstrap resample is one by counts.

    Answers of equal score are one step of every curve, in whatever order they were given.
    """

    def __init__(self, labels: Floats, scores: Floats) -> None:
        """labels [N] in {0, 1}; scores [N], the higher the more fake, not NaN."""
        scores = np.asarray(scores, dtype=np.float64)
        self._order = np.argsort(-scores, kind="stable")
        self._is_fake = (np.asarray(labels) == 1)[self._order]
        ranked = scores[self._order]
        self._ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)

    def roc_curve(self, weights: Floats | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(false-alarm rates, detection rates) from (0, 0) to (1, 1), a point for each score; needs both classes."""
        reals, fakes = self._counts(weights)
        return reals / reals[-1], fakes / fakes[-1]

    def metrics(self, weights: Floats | None = None) -> dict[str, float]:
        """auc, ap (Σ precision × step in recall) and eer of the answers, each counted `weights` times."""
        reals, fakes = self._counts(weights)
        if not (reals[-1] and fakes[-1]):
            return dict(_NO_RANKING)
        fpr, tpr = reals / reals[-1], fakes / fakes[-1]
        called = reals + fakes
        precision = np.divide(fakes, called, out=np.zeros_like(fakes), where=called > 0)
        return {
            "auc": float(np.trapezoid(tpr, fpr)),
            "ap": float(np.sum(np.diff(tpr) * precision[1:])),
            "eer": _equal_error_rate(fpr, tpr),
        }

    def _counts(self, weights: Floats | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How many reals and how many fakes have at least each distinct score, from none to all."""
        counts = np.ones(len(self._order)) if weights is None else np.asarray(weights, dtype=np.float64)[self._order]
        reals, fakes = (np.cumsum(np.where(picked, counts, 0.0)) for picked in (~self._is_fake, self._is_fake))
        return np.append(0.0, reals[self._ends]), np.append(0.0, fakes[self._ends])


def _equal_error_rate(fpr: Floats, tpr: Floats) -> float:
    """Where the false-alarm rate equals the miss rate, interpolated linearly on the ROC curve."""
    gap = fpr - (1 - tpr)  # rises from −1 to 1
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(fpr[before] + share * (fpr[after] - fpr[before]))


def expected_calibration_error(labels: Floats, p_fake: Floats, bins: int = 15) -> float:
    """Mean |observed share of fakes − mean p_fake| over equal-width bins, weighted by their counts.

    Source: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.
    """
    index = np.minimum((np.asarray(p_fake) * bins).astype(int), bins - 1)
    counts = np.bincount(index, minlength=bins)
    gaps = np.bincount(index, weights=np.asarray(labels) - p_fake, minlength=bins)
    return float(np.abs(gaps).sum() / counts.sum())


def bootstrap_ci95(
    labels: Floats, logits: Floats, clusters: Sequence[str], metrics: Sequence[str], *, threshold: float = 0.5,
    resamples: int = 1000, seed: int = 0,
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """95% intervals from whole clusters resampled (near-duplicates and one person stay together).

    The percentile bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; clustered after Field and
    Welsh, 2007), which says [0, 0] of a rate that was never seen: so each interval is widened to Wilson's ("Probable
    inference", 1927) of the same value among the images that decide it, those of the rarer class for metrics of both
    classes. metrics: names from `decision_metrics` and `ranking_metrics`. Resamples
    that lack a class are left out of the metrics that need both.
    """
    rng = np.random.default_rng(seed)
    labels, logits = np.asarray(labels), np.asarray(logits)
    called_fake = sigmoid(logits) >= threshold
    ranking = None if np.isnan(logits).any() else Ranking(labels, logits)
    names, cluster_of = np.unique(np.asarray(clusters), return_inverse=True)
    draws: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(resamples):
        times_drawn = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        weights = times_drawn[cluster_of].astype(np.float64)
        values = {
            **decision_metrics(labels, called_fake, weights),
            **(ranking.metrics(weights) if ranking else _NO_RANKING),
        }
        for name in metrics:
            draws[name].append(values[name])
    seen = {
        **decision_metrics(labels, called_fake),
        **(ranking.metrics(np.ones(len(labels))) if ranking else _NO_RANKING),
    }
    reals, fakes = (int(np.sum(labels == label)) for label in (0, 1))
    decided_by = {"fpr": reals, "recall": fakes, "accuracy": len(labels)}
    return {
        name: _widened(_interval(values), wilson_ci95(seen[name], decided_by.get(name, min(reals, fakes))))
        for name, values in draws.items()
    }


def wilson_ci95(rate: float, count: int) -> tuple[float, float]:
    """Wilson's 95% score interval of a rate in [0, 1] seen among `count`; NaN where nothing was seen."""
    if not count or math.isnan(rate):
        return float("nan"), float("nan")
    z2 = 1.959964**2
    middle = (rate + z2 / (2 * count)) / (1 + z2 / count)
    reach = math.sqrt(z2 * (rate * (1 - rate) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _widened(interval: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return float(np.fmin(interval[0], other[0])), float(np.fmax(interval[1], other[1]))


def _interval(values: Sequence[float]) -> tuple[float, float]:
    finite = np.asarray(values)[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


_NO_RANKING = {"auc": float("nan"), "ap": float("nan"), "eer": float("nan")}

METRIC_NAMES = (
    "loss", "brier", "ece", "accuracy", "precision", "recall", "f1", "balanced_accuracy", "fpr", "auc", "ap", "eer",
)  # fmt: skip
