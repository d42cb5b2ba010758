"""A model's card as tables and a drawing: how good it is with intervals, on what, and what the card does not say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bot.wording import label_word, percent
from bot.words import Words, later
from model_defs.checkpoint import Card

Unit: TypeAlias = Literal["share", "number"]

# Key on the card, name, what it means, unit, and whether more is better.
_MEASURES: tuple[tuple[str, str, str, Unit, bool], ...] = (
    ("auc", later("AUC"), later("How well it sorts generated from real: 1 is perfect, 0.5 is guessing."),
     "number", True),
    ("accuracy", later("Right answers"), later("Of all pictures, unsure ones counted by their nearer side."),
     "share", True),
    ("recall", later("Generated found"), later("Of the generated pictures, those it called generated."), "share", True),
    ("fpr", later("False alarms"), later("Of the real photos, those it called generated."), "share", False),
    ("precision", later("Alarms that are right"), later("Of what it called generated, what was."), "share", True),
    ("eer", later("Equal error rate"), later("Errors where both kinds are equally frequent."), "share", False),
    ("ece", later("Calibration error"), later("How far its probabilities are off, on average."), "share", False),
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A value on a line from 0 to 100, in percent of its length."""

    low: float
    at: float
    high: float


@dataclass(frozen=True)
class Measure:
    """One row. values: (value, interval) for each of `SPLITS`, empty where the card has none. drawn: the test's."""

    name: str
    meaning: str
    better: str
    values: tuple[tuple[str, str], ...]
    drawn: Drawn | None


@dataclass(frozen=True)
class Band:
    """The probability's line with what is said on it, in percent of its length. alt: the same in words."""

    low: float
    decision: float
    high: float
    words: tuple[str, str, str]
    alt: str


SPLITS = ("test", "val")


def band(card: Card, t: Words) -> Band:
    """From where to where it says what."""
    thresholds = card.thresholds
    low, high = percent(thresholds.unsure_low, t), percent(thresholds.unsure_high, t)
    real, unsure, fake = label_word("real", t), label_word("unsure", t), label_word("fake", t)
    words = (
        t("{label}: up to {high}", label=real, high=low),
        t("{label}: {low} to {high}", label=unsure, low=low, high=high),
        t("{label}: from {low}", label=fake, low=high),
    )
    return Band(
        100 * thresholds.unsure_low, 100 * thresholds.decision, 100 * thresholds.unsure_high, words, "; ".join(words)
    )


def measure_rows(card: Card, t: Words) -> list[Measure]:
    """What the card has measured, with 95% intervals where it has them."""
    splits = [card.metrics.get(split) or {} for split in SPLITS]
    return [
        Measure(
            t(name),
            t(meaning),
            t("more is better") if is_more else t("less is better"),
            tuple(_value(metrics, key, unit, t) for metrics in splits),
            _drawn(splits[0], key),
        )
        for key, name, meaning, unit, is_more in _MEASURES
        if any(_number(metrics.get(key)) is not None for metrics in splits)
    ]


def source_rows(card: Card, t: Words) -> list[tuple[str, str, str]]:
    """(where test pictures came from, how many, the share called generated), the worst of the generators first."""
    called = (card.metrics.get("test") or {}).get("called_fake")
    rows = []
    for kind, entry in called.items() if isinstance(called, dict) else ():
        share = _number(entry.get("share")) if isinstance(entry, dict) else None
        if share is not None:
            name = t("Real photos") if kind == "real" else str(kind)
            images = t.number(_number(entry.get("images")) or 0)
            rows.append(((kind == "real", share), (name, images, percent(share, t))))
    return [row for _, row in sorted(rows)]


def origin_rows(card: Card, t: Words) -> list[tuple[str, str]]:
    """(what, value): everything that lets somebody find and check the model again. Names no places of storage."""
    model, preprocess, origin = card.model, card.preprocess, card.origin
    colour = t("grey") if preprocess.colour == "grey" else t("colour")
    side = preprocess.image_size
    rows = [
        (t("Name"), card.id),
        (t("Made on"), card.created_at[:10]),
        (t("Kind of network"), model.family),
        (t("It looks at"), t("{side}×{side} pixels, {colour}", side=side, colour=colour)),
        (t("Data set"), t("version {version}, {hash}", version=card.dataset.version, hash=card.dataset.hash)),
        (t("Found by"), t("sweep {sweep}, trial {trial}, epoch {epoch}",
                          sweep=origin.sweep, trial=origin.trial, epoch=origin.epoch)),
        (t("Calibration"), t("raw score ÷ {temperature} + {bias}, fitted on validation pictures",
                             temperature=t.number(card.temperature, 3), bias=t.number(card.bias, 3))),
        (t("Code"), origin.git_commit or t("unknown")),
        (t("Weights (SHA-256)"), card.weights_sha256 or t("unknown")),
    ]  # fmt: skip
    frontend = getattr(model, "frontend", "none")
    if frontend != "none":
        rows.insert(3, (t("Fixed filter before it"), str(frontend)))
    return rows


def missing_lines(card: Card, t: Words) -> list[str]:
    """What a reader would want to know and the card does not hold."""
    test = card.metrics.get("test") or {}
    lines = [t("How many pictures it was trained on; the data set's hash above names them.")]
    if not test:
        lines.append(t("How good it is on pictures that it was not chosen by."))
    elif not any(key.endswith("_ci95") for key in test):
        lines.append(t("How sure its figures are: there are no intervals."))
    if test and not source_rows(card, t):
        lines.append(t("Which generators it was tested on."))
    if not card.limits:
        lines.append(t("Its limits. It has some: every detector fails on generators that it has not seen."))
    lines.append(t("A licence for its weights: ask those who run this page. The program is under the MIT licence."))
    return lines


def _value(metrics: Mapping[str, Any], key: str, unit: Unit, t: Words) -> tuple[str, str]:
    value, bounds = _number(metrics.get(key)), _interval(metrics, key)
    if value is None:
        return "", ""
    if bounds is None:
        return _text(value, unit, t), ""
    low, high = (_text(bound, unit, t) for bound in bounds)
    return _text(value, unit, t), t("{low} to {high}", low=low, high=high)


def _text(value: float, unit: Unit, t: Words) -> str:
    return t.number(value, 3) if unit == "number" else t("{percent}%", percent=t.number(100 * value, 1))


def _drawn(metrics: Mapping[str, Any], key: str) -> Drawn | None:
    value = _number(metrics.get(key))
    if value is None:
        return None
    low, high = _interval(metrics, key) or (value, value)
    if not 0 <= low <= value <= high <= 1:
        return None
    return Drawn(round(100 * low, 2), round(100 * value, 2), round(100 * high, 2))


def _interval(metrics: Mapping[str, Any], key: str) -> tuple[float, float] | None:
    bounds = metrics.get(f"{key}_ci95")
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        return None
    low, high = _number(bounds[0]), _number(bounds[1])
    return None if low is None or high is None else (low, high)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
