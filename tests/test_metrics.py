"""Metrics against scikit-learn and closed forms, what they must not depend on, and what their intervals promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from tune.metrics import (
    METRIC_NAMES,
    Ranking,
    binary_metrics,
    bootstrap_ci95,
    decision_metrics,
    expected_calibration_error,
    ranking_metrics,
    sigmoid,
)

Arrays = tuple[NDArray[np.float64], NDArray[np.float64]]


@st.composite
def _answers(draw: st.DrawFn) -> Arrays:
    """Labels of both classes, and logits with many ties."""
    labels = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=40).filter(lambda v: len(set(v)) == 2))
    logit = st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0]) | st.floats(-15, 15)
    return np.array(labels), np.array(draw(st.lists(logit, min_size=len(labels), max_size=len(labels))))


@settings(max_examples=150, deadline=None)
@given(_answers())
def test_they_agree_with_scikit_learn(answers: Arrays) -> None:
    labels, logits = answers
    p_fake = sigmoid(logits)
    called = p_fake >= 0.5
    ours = binary_metrics(labels, logits)
    theirs = {
        "loss": sk.log_loss(labels, p_fake, labels=[0, 1]),
        "brier": sk.brier_score_loss(labels, p_fake),
        "accuracy": sk.accuracy_score(labels, called),
        "precision": sk.precision_score(labels, called, zero_division=0),
        "recall": sk.recall_score(labels, called),
        "f1": sk.f1_score(labels, called, zero_division=0),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, called),
        "fpr": 1 - sk.recall_score(labels, called, pos_label=0),
        "auc": sk.roc_auc_score(labels, logits),
        "ap": sk.average_precision_score(labels, logits),
    }
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-9)
    assert set(ours) == set(METRIC_NAMES)
    fpr, tpr, _ = sk.roc_curve(labels, logits, drop_intermediate=False)
    np.testing.assert_allclose(Ranking(labels, logits).roc_curve(), (fpr, tpr), atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(_answers())
def test_the_equal_error_rate_is_where_the_curves_cross(answers: Arrays) -> None:
    labels, logits = answers
    eer = ranking_metrics(labels, logits)["eer"]
    assert 0 <= eer <= 1
    fpr, tpr = Ranking(labels, logits).roc_curve()
    # On a step of the curve, walked along from (0, 0), the misses at `eer` false alarms are `eer` too.
    steps = zip(fpr[:-1], fpr[1:], tpr[:-1], tpr[1:], strict=True)
    assert any(
        abs((t0 + share * (t1 - t0)) - (1 - eer)) < 1e-9 and abs((f0 + share * (f1 - f0)) - eer) < 1e-9
        for f0, f1, t0, t1 in steps
        for share in [(eer - f0) / (f1 - f0) if f1 > f0 else (1 - eer - t0) / (t1 - t0)]
        if -1e-9 <= share <= 1 + 1e-9
    )


def test_the_equal_error_rate_of_known_curves() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1.0])
    assert ranking_metrics(labels, labels)["eer"] == 0
    assert ranking_metrics(labels, -labels)["eer"] == 1
    assert ranking_metrics(labels, np.zeros(8))["eer"] == 0.5
    assert ranking_metrics(labels, np.array([1, 2, 3, 6, 4, 5, 7, 8.0]))["eer"] == 0.25


@settings(max_examples=100, deadline=None)
@given(_answers(), st.sampled_from([lambda x: 3 * x + 7, np.exp, lambda x: x**3 + x, np.arctan]))
def test_rankings_do_not_change_under_monotone_maps(answers: Arrays, monotone: object) -> None:
    labels, logits = answers
    logits = np.round(logits, 2)  # so that no map merges two scores
    assert ranking_metrics(labels, monotone(logits)) == pytest.approx(ranking_metrics(labels, logits))  # type: ignore[operator]


@given(_answers())
def test_swapping_the_classes_mirrors_the_ranking(answers: Arrays) -> None:
    labels, logits = answers
    one, other = ranking_metrics(labels, logits), ranking_metrics(1 - labels, -logits)
    assert other["auc"] == pytest.approx(one["auc"])
    assert other["eer"] == pytest.approx(one["eer"])
    assert ranking_metrics(labels, -logits)["auc"] == pytest.approx(1 - one["auc"])


@settings(max_examples=60, deadline=None)
@given(_answers(), st.integers(0, 2**32 - 1))
def test_weights_count_like_repetitions(answers: Arrays, seed: int) -> None:
    labels, logits = answers
    times = np.random.default_rng(seed).integers(0, 4, len(labels))
    again = np.repeat(np.arange(len(labels)), times)
    weighted, repeated = Ranking(labels, logits).metrics(times), ranking_metrics(labels[again], logits[again])
    assert weighted == pytest.approx(repeated, nan_ok=True)
    if len(again):
        called = logits > 0
        expected = decision_metrics(labels[again], called[again])
        assert decision_metrics(labels, called, times) == pytest.approx(expected, nan_ok=True)


def test_one_class_only_leaves_what_it_can_tell() -> None:
    found = binary_metrics(np.ones(3), np.array([2.0, 1.0, -1.0]))
    assert found["recall"] == found["accuracy"] == pytest.approx(2 / 3)
    assert all(math.isnan(found[name]) for name in ("auc", "ap", "eer", "fpr", "balanced_accuracy"))
    found = binary_metrics(np.zeros(3), np.array([2.0, 1.0, -1.0]))
    assert found["fpr"] == pytest.approx(2 / 3)
    assert math.isnan(found["recall"])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_logit_that_is_no_number_leaves_nothing(bad: float) -> None:
    found = binary_metrics(np.array([0.0, 1.0]), np.array([bad, 1.0]))
    assert set(found) == set(METRIC_NAMES)
    assert all(math.isnan(value) for value in found.values())


def test_intervals_of_answers_that_are_no_number_are_nan_where_they_rank() -> None:
    found = bootstrap_ci95(np.array([0.0, 1.0]), np.array([math.nan, 1.0]), ["a", "b"], ("auc",), resamples=20)
    assert all(math.isnan(bound) for bound in found["auc"])


def test_infinite_scores_are_ranked_first_and_last() -> None:
    assert ranking_metrics(np.array([0.0, 1.0, 1.0]), np.array([-math.inf, 0.0, math.inf]))["auc"] == 1


def test_no_answers_at_all() -> None:
    assert all(math.isnan(value) for value in binary_metrics(np.array([]), np.array([])).values())


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
    assert sigmoid(np.array([1.0]))[0] == pytest.approx(1 / (1 + math.exp(-1)))


def test_calibration_error_is_zero_for_the_honest_and_known_for_others() -> None:
    p_fake = np.repeat([0.1, 0.5, 0.9], 10)
    labels = np.concatenate([np.arange(10) < share for share in (1, 5, 9)]).astype(float)
    assert expected_calibration_error(labels, p_fake) == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(np.ones(4), np.full(4, 0.75)) == pytest.approx(0.25)
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1


def test_the_threshold_moves_decisions_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    labels, logits = (rng.random(50) < 0.5).astype(float), rng.normal(size=50)
    low, high = binary_metrics(labels, logits, 0.2), binary_metrics(labels, logits, 0.8)
    assert low["recall"] > high["recall"]
    assert {k: low[k] for k in ("auc", "loss", "eer")} == {k: high[k] for k in ("auc", "loss", "eer")}


def test_intervals_hold_the_truth_about_95_times_in_100() -> None:
    truth_auc = 0.5 * (1 + math.erf(1 / 2))  # P(N(1, 1) > N(0, 1)) = Φ(1 / √2)
    truth_accuracy = 0.5 * (1 + math.erf(0.5 / math.sqrt(2)))  # of the threshold halfway
    rng = np.random.default_rng(7)
    held = {"auc": 0, "accuracy": 0}
    for round_ in range(120):
        labels = (np.arange(100) % 2).astype(float)
        scores = rng.normal(labels) - 0.5
        found = bootstrap_ci95(
            labels, scores, [str(n) for n in range(100)], ("auc", "accuracy"), resamples=200, seed=round_
        )
        held["auc"] += found["auc"][0] <= truth_auc <= found["auc"][1]
        held["accuracy"] += found["accuracy"][0] <= truth_accuracy <= found["accuracy"][1]
    # 95% of 120 is 114; the percentile bootstrap of so few falls a little short
    assert 105 <= held["auc"] <= 120
    assert 105 <= held["accuracy"] <= 120


def test_intervals_are_wider_where_answers_come_in_clusters() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(30) % 2, 8).astype(float)
    logits = np.repeat(rng.normal(size=30), 8) + labels + rng.normal(0, 0.1, 240)
    alone = [str(n) for n in range(240)]
    together = [str(n // 8) for n in range(240)]
    narrow = bootstrap_ci95(labels, logits, alone, ("auc",), resamples=300)["auc"]
    wide = bootstrap_ci95(labels, logits, together, ("auc",), resamples=300)["auc"]
    assert wide[1] - wide[0] > 1.8 * (narrow[1] - narrow[0])


def test_intervals_come_again_from_the_same_seed() -> None:
    labels, logits = np.array([0, 1, 0, 1, 1.0]), np.array([0.1, 0.4, 0.3, 0.2, 2.0])
    first, again, other = (
        bootstrap_ci95(labels, logits, list("abcde"), ("auc", "f1"), resamples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert all(0 <= low <= high <= 1 for low, high in first.values())


def test_a_class_held_by_one_cluster_still_gets_an_interval() -> None:
    found = bootstrap_ci95(np.array([0, 0, 1.0]), np.array([-1, 0, 1.0]), list("abc"), ("auc", "fpr"), resamples=100)
    assert 0 < found["auc"][0] < 0.5 and found["auc"][1] == 1  # one image says little
    assert all(math.isfinite(bound) for bound in found["fpr"])


def test_a_rate_that_was_never_seen_is_not_said_to_be_impossible() -> None:
    labels = np.repeat([0.0, 1.0], 60)
    logits = np.where(labels == 1, 3.0, -3.0)
    found = bootstrap_ci95(labels, logits, [str(n) for n in range(120)], ("fpr", "auc"), resamples=50)
    assert found["fpr"] == pytest.approx((0, 0.0602), abs=1e-3)  # Wilson: z² / (n + z²)
    assert found["auc"] == pytest.approx((1 - 0.0602, 1), abs=1e-3)
