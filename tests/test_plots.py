"""Plots are pictures with something on them, whatever the numbers were."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tune import plots

_RNG = np.random.default_rng(0)
LABELS = (_RNG.random(80) < 0.5).astype(float)
LOGITS = _RNG.normal(size=80) + LABELS
NAN = math.nan


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _pixels(png: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 300
    # nothing is cut off: the outermost pixels are background
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == 255).all() for edge in edges)
    return pixels


def _has(pixels: np.ndarray, colour: str) -> int:
    rgb = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
    return int((np.abs(pixels.astype(int) - rgb).max(axis=2) < 8).sum())


def _history(count: int) -> list[dict[str, float]]:
    return [{"epoch": float(n), "train_loss": 1 / n, "loss": 1.2 / n, "auc": 1 - 0.5 / n} for n in range(1, count + 1)]


def test_curves_show_both_losses_and_the_metric() -> None:
    pixels = _pixels(plots.curves(_history(12), "auc"))
    half = pixels.shape[1] // 2
    assert _has(pixels[:, :half], plots.ORANGE) > 100
    assert _has(pixels[:, :half], plots.BLUE) > 100
    assert _has(pixels[:, half:], plots.BLUE) > 100
    assert _has(pixels[:, half:], plots.ORANGE) == 0


@pytest.mark.parametrize(
    "history",
    [
        [],
        _history(1),
        [{"epoch": 1.0, "train_loss": NAN, "loss": NAN, "auc": NAN}],
        [*_history(3), {"epoch": 4.0, "train_loss": NAN, "loss": NAN, "auc": NAN}],
        [*_history(3), {"epoch": 4.0, "train_loss": 1e30, "loss": math.inf, "auc": 0.5}],
        [{"epoch": 1.0, "train_loss": 0.0, "loss": 0.0, "auc": 1.0}],
    ],
)
def test_curves_of_a_training_that_went_wrong(history: list[dict[str, float]]) -> None:
    assert _pixels(plots.curves(history, "auc")).std() > 5
    assert _pixels(plots.curves(history, "not measured")).std() > 5


def test_the_confusion_matrix_is_brighter_where_more_are() -> None:
    pixels = _pixels(plots.confusion(np.array([0, 0, 0, 0, 1, 1.0]), np.array([-1, -1, -1, 1, 1, 1.0])))
    dark, light = np.array([0, 34, 78]), np.array([254, 232, 56])  # the ends of cividis
    assert (np.abs(pixels.astype(int) - light).max(axis=2) < 8).sum() > 1000  # fakes called fake: 100%
    assert (np.abs(pixels.astype(int) - dark).max(axis=2) < 8).sum() > 1000  # fakes called real: none


def test_roc_and_calibration_show_a_curve() -> None:
    roc = _pixels(plots.roc(LABELS, LOGITS))
    assert _has(roc, plots.BLUE) > 100 and _has(roc, plots.ORANGE) > 20
    calibration = _pixels(plots.calibration(LABELS, LOGITS))
    assert _has(calibration, plots.BLUE) > 1000 and _has(calibration, plots.ORANGE) > 1000


_STRANGE = {
    "only fakes": (np.ones(5), np.arange(5.0)),
    "only reals": (np.zeros(5), np.arange(5.0)),
    "one picture": (np.ones(1), np.ones(1)),
    "all alike": (np.array([0, 1.0] * 3), np.zeros(6)),
    "certain": (np.array([0, 1.0]), np.array([-1e4, 1e4])),
    "no number": (np.array([0, 1.0]), np.array([NAN, NAN])),
    "infinite": (np.array([0, 1.0]), np.array([-math.inf, math.inf])),
}


@pytest.mark.parametrize("name", _STRANGE)
def test_strange_answers_still_give_a_picture(name: str) -> None:
    labels, logits = _STRANGE[name]
    for png in (plots.confusion(labels, logits), plots.roc(labels, logits), plots.calibration(labels, logits)):
        assert _pixels(png).std() > 5


def test_without_a_class_there_is_no_curve_rather_than_a_wrong_one() -> None:
    assert _has(_pixels(plots.roc(np.ones(5), np.arange(5.0))), plots.BLUE) == 0


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert plots.roc(LABELS, LOGITS) == plots.roc(LABELS, LOGITS)
