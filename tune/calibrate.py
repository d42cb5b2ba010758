"""From logits to probabilities that mean what they say, and the band in which the honest answer is "unsure"."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from model_defs.checkpoint import Thresholds
from tune.metrics import negative_log_likelihood, sigmoid

Floats = NDArray[np.floating]

# Temperatures outside this range mean that validation cannot tell (all answers right, or no better than chance).
TEMPERATURE_RANGE = (0.05, 20.0)
MIN_HALF_WIDTH, MAX_HALF_WIDTH = 0.05, 0.45


def fit_calibration(labels: Floats, logits: Floats) -> tuple[float, float]:
    """(temperature, bias) for which sigmoid(logit / temperature + bias) fits the labels best.

    Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017) with Platt's bias, because
    a network chosen for its ranking may be off by a constant, and with Platt's smoothed targets, so that answers that
    are all right do not ask for endless certainty (Platt, "Probabilistic Outputs for SVMs", 1999).
    """
    labels, logits = np.asarray(labels, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    fakes = labels.sum()
    targets = np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (len(labels) - fakes + 2))

    def loss(point: Floats) -> float:
        return negative_log_likelihood(targets, logits / np.exp(point[0]) + point[1])

    log_range = tuple(np.log(TEMPERATURE_RANGE))
    found = minimize(loss, x0=[0.0, 0.0], method="L-BFGS-B", bounds=[log_range, (-20.0, 20.0)])
    return float(np.exp(found.x[0])), float(found.x[1])


def choose_thresholds(labels: Floats, logits: Floats, max_error: float = 0.05) -> tuple[Thresholds, float]:
    """The decision at 0.5 and the narrowest symmetric unsure band outside which at most `max_error` of answers err.

    logits: calibrated. Returns the thresholds and the error rate of the answers outside the band on this data, NaN
    where there are none.
    The band ends at an answer of this data; it is never narrower than ±0.05, so that a coin toss is not called a
    verdict, nor wider than ±0.45, even where the surest answers err more often than asked: the returned rate says so.
    """
    p_fake = sigmoid(logits)
    is_fake = np.asarray(labels) == 1
    sureness = np.abs(p_fake - 0.5)
    # Where the band may end: at its limits and at every sureness between, which takes all answers equally sure along.
    halves = np.unique(np.append(np.clip(sureness, MIN_HALF_WIDTH, MAX_HALF_WIDTH), [MIN_HALF_WIDTH, MAX_HALF_WIDTH]))
    order = np.argsort(sureness)
    wrong = ((p_fake >= 0.5) != is_fake)[order]
    first_answered = np.searchsorted(sureness[order], halves)
    answered = len(order) - first_answered
    errors = np.append(np.cumsum(wrong[::-1])[::-1], 0)[first_answered] / np.maximum(answered, 1)
    fine = np.flatnonzero(errors <= max_error)
    half = float(halves[fine[0]]) if len(fine) else MAX_HALF_WIDTH
    thresholds = Thresholds(decision=0.5, unsure_low=0.5 - half, unsure_high=0.5 + half)
    is_answered = (p_fake <= thresholds.unsure_low) | (p_fake >= thresholds.unsure_high)
    error = float(((p_fake >= 0.5) != is_fake)[is_answered].mean()) if is_answered.any() else float("nan")
    return thresholds, error
