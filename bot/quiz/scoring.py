"""What an answer is worth: a rule by which saying how sure you really are earns the most, and what a streak is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.verdict import Side
from bot.words import later


@dataclass(frozen=True)
class Step:
    """A confidence that people are offered. name: for a `Words` to speak."""

    confidence: float
    name: str


# All four give whole points, right and wrong, and a person tells four apart. Nobody is offered 100%: it is never true.
STEPS = (
    Step(0.5, later("a guess")),
    Step(0.65, later("rather sure")),
    Step(0.8, later("fairly sure")),
    Step(0.95, later("very sure")),
)


def points(p_truth: float) -> float:
    """100 − 400·(1 − p)², p in [0, 1] being the probability that an answer gave to what turned out to be the truth.

    100 for sure and right, 0 for a coin toss (and for no answer), −300 for sure and wrong. The rule is Brier's
    quadratic score, stretched and turned round (G. W. Brier, 1950, Monthly Weather Review 78, 1–3). It is strictly
    proper: whoever believes q expects the most by saying q (Gneiting & Raftery, 2007, JASA 102, 359–378).
    Raises ValueError outside [0, 1].
    """
    if not 0 <= p_truth <= 1:
        raise ValueError(f"a probability lies in [0, 1]: {p_truth}")
    return 100 - 400 * (1 - p_truth) ** 2


def answer_points(confidence: float, is_right: bool) -> int:
    """Whole points for an answer given with `confidence`, in [0.5, 1]; less belongs to the other answer: ValueError."""
    if not 0.5 <= confidence <= 1:
        raise ValueError(f"a confidence lies in [0.5, 1]: {confidence}")
    return round(points(confidence if is_right else 1 - confidence))


def machine_points(p_fake: float, truth: Side) -> int:
    """The machine by the same rule. Its "unsure" is a probability near one half, and so earns near nothing."""
    return round(points(p_fake if truth == "fake" else 1 - p_fake))


def streaks(answers: Iterable[tuple[bool, float]]) -> tuple[int, int]:
    """Right answers in a row: (at the end, the longest), from (is right, confidence) of each answer, oldest first.

    A guess at 50% neither lengthens a streak nor ends it: luck is no merit, and owning up to it no fault.
    """
    now = best = 0
    for is_right, confidence in answers:
        if confidence > 0.5:
            now = now + 1 if is_right else 0
            best = max(best, now)
    return now, best
