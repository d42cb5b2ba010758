"""Calibration finds what was done to the logits; the unsure band keeps its promise on the data it was chosen on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune.calibrate import MAX_HALF_WIDTH, MIN_HALF_WIDTH, TEMPERATURE_RANGE, choose_thresholds, fit_calibration
from tune.metrics import binary_metrics, sigmoid


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (3.0, 0.5), (0.4, -1.0), (8.0, 0.0)])
def test_a_known_temperature_and_bias_are_recovered(temperature: float, bias: float) -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < sigmoid(honest)).astype(float)
    found = fit_calibration(labels, (honest - bias) * temperature)
    assert found[0] == pytest.approx(temperature, rel=0.08)
    assert found[1] == pytest.approx(bias, abs=0.08)


def test_calibration_makes_the_loss_and_the_calibration_error_smaller() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random(2_000) < 0.5).astype(float)
    overconfident = 6 * (rng.normal(labels, 1) - 0.2)
    temperature, bias = fit_calibration(labels, overconfident)
    before, after = binary_metrics(labels, overconfident), binary_metrics(labels, overconfident / temperature + bias)
    assert after["loss"] < before["loss"]
    assert after["ece"] < 0.5 * before["ece"]
    assert after["auc"] == pytest.approx(before["auc"])


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_answers_that_are_all_right_stay_finite(scale: float) -> None:
    labels = (np.arange(20) % 2).astype(float)
    temperature, bias = fit_calibration(labels, scale * (2 * labels - 1))
    low, high = TEMPERATURE_RANGE
    assert low * 0.999 <= temperature <= high * 1.001
    assert math.isfinite(bias)
    p_fake = sigmoid(scale * (2 * labels - 1) / temperature + bias)
    assert p_fake.min() > 0 and p_fake.max() < 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(-50, 50)), min_size=1, max_size=40))
def test_any_answers_get_finite_calibration(pairs: list[tuple[bool, float]]) -> None:
    labels, logits = np.array([float(fake) for fake, _ in pairs]), np.array([logit for _, logit in pairs])
    temperature, bias = fit_calibration(labels, logits)
    assert math.isfinite(temperature) and temperature > 0 and math.isfinite(bias)


_answer = st.tuples(st.booleans(), st.sampled_from([-4.0, -1.0, -0.1, 0.0, 0.1, 0.3, 1.0, 4.0]) | st.floats(-8, 8))


@settings(max_examples=200, deadline=None)
@given(st.lists(_answer, min_size=1, max_size=60), st.sampled_from([0.0, 0.05, 0.2]))
def test_the_unsure_band_is_the_narrowest_that_keeps_its_promise(
    pairs: list[tuple[bool, float]], max_error: float
) -> None:
    labels, logits = np.array([float(fake) for fake, _ in pairs]), np.array([logit for _, logit in pairs])
    found, error = choose_thresholds(labels, logits, max_error)
    half = found.unsure_high - 0.5
    assert found.unsure_low < found.decision == 0.5 < found.unsure_high
    assert found.unsure_low == pytest.approx(1 - found.unsure_high)
    assert MIN_HALF_WIDTH - 1e-9 <= half <= MAX_HALF_WIDTH + 1e-9

    def error_outside(width: float) -> float:
        p_fake = sigmoid(logits)
        answered = np.abs(p_fake - 0.5) >= width - 1e-12
        return float(((p_fake >= 0.5) != (labels == 1))[answered].mean()) if answered.any() else 0.0

    assert (0.0 if math.isnan(error) else error) == pytest.approx(error_outside(half))
    if half < MAX_HALF_WIDTH - 1e-9:
        assert error_outside(half) <= max_error
    # a narrower band would begin at the narrowest allowed or at an answer
    narrower = np.append(np.abs(sigmoid(logits) - 0.5), MIN_HALF_WIDTH)
    assert all(error_outside(w) > max_error for w in narrower if MIN_HALF_WIDTH <= w < half - 1e-9)


def test_equally_sure_answers_are_inside_or_outside_together() -> None:
    # nine right, one wrong, all equally sure: no band short of the widest may leave them outside
    found, error = choose_thresholds(np.array([1.0] * 9 + [0.0]), np.full(10, 1.0), 0.05)
    assert found.unsure_high > sigmoid(np.array([1.0]))[0]
    assert math.isnan(error)


def test_surest_answers_that_are_wrong_are_not_forgotten_below_the_narrowest_band() -> None:
    labels = np.array([0.0] + [1.0] * 99)
    logits = np.array([6.0] + [0.01] * 99)  # the wrong one is the surest; the rest barely lean the right way
    found, error = choose_thresholds(labels, logits, 0.05)
    assert error == 1.0
    assert found.unsure_high == pytest.approx(0.95)
