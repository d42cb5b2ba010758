"""Numbers that say how good a detector is. Fake is the positive class throughout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

Floats = NDArray[np.floating]


def sigmoid(logits: Floats) -> NDArray[np.float64]:
    """1 / (1 + e^−x) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))


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


def decision_metrics(labels: Floats, called_fake: NDArray[np.bool_]) -> dict[str, float]:
    """Metrics of yes/no answers. precision, recall and f1 are 0 where nothing was called or is fake."""
    is_fake = np.asarray(labels) == 1
    true_positive = float(np.sum(called_fake & is_fake))
    fakes, reals, called = float(np.sum(is_fake)), float(np.sum(~is_fake)), float(np.sum(called_fake))
    false_positive = called - true_positive
    recall = true_positive / fakes if fakes else float("nan")
    fpr = false_positive / reals if reals else float("nan")
    return {
        "accuracy": float(np.mean(called_fake == is_fake)),
        "precision": true_positive / called if called else 0.0,
        "recall": recall,
        "f1": 2 * true_positive / (called + fakes) if called + fakes else 0.0,
        "balanced_accuracy": (recall + 1 - fpr) / 2,
        "fpr": fpr,
    }


def ranking_metrics(labels: Floats, scores: Floats) -> dict[str, float]:
    """AUC, average precision and equal error rate; NaN where a class is missing."""
    if len(np.unique(labels)) < 2:
        return {"auc": float("nan"), "ap": float("nan"), "eer": float("nan")}
    return {
        "auc": float(roc_auc_score(labels, scores)),
        "ap": float(average_precision_score(labels, scores)),
        "eer": equal_error_rate(labels, scores),
    }


def equal_error_rate(labels: Floats, scores: Floats) -> float:
    """Where the false-alarm rate equals the miss rate, interpolated linearly on the ROC curve."""
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    gap = fpr - (1 - tpr)  # rises from −1 to 1
    after = int(np.argmax(gap >= 0))
    before = max(after - 1, 0)
    span = gap[after] - gap[before]
    share = -gap[before] / span if span else 0.0
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
    """Percentile bootstrap 95% intervals, resampling whole clusters (near-duplicates and one person stay together).

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; clustered resampling after Field and
    Welsh, 2007. Resamples that lack a class are left out of the metrics that need both.
    """
    rng = np.random.default_rng(seed)
    labels, logits = np.asarray(labels), np.asarray(logits)
    _, inverse = np.unique(np.asarray(clusters), return_inverse=True)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    draws: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(resamples):
        picked = np.concatenate([members[c] for c in rng.integers(0, len(members), len(members))])
        values = {
            **decision_metrics(labels[picked], sigmoid(logits[picked]) >= threshold),
            **ranking_metrics(labels[picked], logits[picked]),
        }
        for name in metrics:
            draws[name].append(values[name])
    return {name: _interval(values) for name, values in draws.items()}


def _interval(values: Sequence[float]) -> tuple[float, float]:
    finite = np.asarray(values)[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


METRIC_NAMES = (
    "loss", "brier", "ece", "accuracy", "precision", "recall", "f1", "balanced_accuracy", "fpr", "auc", "ap", "eer",
)  # fmt: skip
