"""What the quiz says about players over time: their statistics and the leaderboards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.quiz.stats import BLOCK, Duel, Rate, Stats
from bot.quiz.texts import Block, Names, signed
from bot.words import Words

_KINDS = 5  # of generators that are named, the worst first
_ENOUGH = 20  # answers before anything is said about d′, bias or confidence,
_ENOUGH_OF_EACH = 5  # and of them real and generated ones before anything is said about d′
_NEUTRAL = 0.25  # |c| below which nobody leans: a third of the fakes missed against a quarter false alarms


class LeaderLike(Protocol):
    """A line of a leaderboard, as the records give it. rank: shared by equals. accuracy: in [0, 1]."""

    @property
    def rank(self) -> int: ...
    @property
    def name(self) -> str | None: ...
    @property
    def answers(self) -> int: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def mean_points(self) -> float: ...
    @property
    def total_points(self) -> float: ...
    @property
    def is_you(self) -> bool: ...


def stats(t: Words, of: Stats) -> Block:
    """A player's numbers, each with what it means; says what more answers are needed for."""
    title = t("Your quiz so far")
    if not of.right.of:
        return Block(title, (t("No answers yet. Play a round of the quiz first."),))
    lines = [
        t("Right: {rate}.", rate=rate(t, of.right)),
        t(
            "{points} points, {mean} a face.",
            points=signed(t, of.points),
            mean=signed(t, of.points / of.right.of),
        ),
        t("Fakes caught: {rate}.", rate=rate(t, of.hits)),
        t("Real photos called fake: {rate}.", rate=rate(t, of.false_alarms)),
        *_detection(t, of),
        *_confidence(t, of),
        *_kinds(t, of),
        *_streak(t, of),
        *_learning(t, of),
        *(_duel(t, of.duel) if of.duel else ()),
    ]
    return Block(title, tuple(lines))


def leaderboard(
    t: Words, title: str, leaders: Sequence[LeaderLike], min_answers: int, names: Names, is_daily: bool = False
) -> Block:
    """title: says of what: a server, everybody, a day. names: makes a name safe to show on the platform.

    is_daily: points are added up, as all have the same faces; else their mean counts.
    """
    few = t.n("From {count} answer on.", "From {count} answers on.", min_answers)
    if not leaders:
        return Block(title, (t("Nobody is on it yet."), few))
    return Block(title, (*(_leader(t, leader, names, is_daily) for leader in leaders), few))


def rate(t: Words, of: Rate) -> str:
    """ "71% (12 of 17, likely 47–87%)": the interval keeps few answers from looking like many."""
    if of.value is None:
        return t("none yet")
    low, high = (f"{100 * edge:.0f}" for edge in of.interval)
    return t(
        "{share} ({count} of {of}, likely {low}–{high}%)",
        share=_share(t, of.value), count=of.count, of=of.of, low=low, high=high,
    )  # fmt: skip


def _detection(t: Words, of: Stats) -> list[str]:
    if of.d_prime is None or of.criterion is None:
        return []
    if of.right.of < _ENOUGH or min(of.hits.of, of.false_alarms.of) < _ENOUGH_OF_EACH:
        return []
    told = t("Telling them apart: d′ {value} (0 is chance, 1 fair, 2 good).", value=_number(t, of.d_prime, 1))
    if abs(of.criterion) < _NEUTRAL:
        leaning = t("You lean to neither side (c {value}).", value=_number(t, of.criterion, 2))
    elif of.criterion < 0:
        leaning = t("You lean towards “fake” (c {value}).", value=_number(t, of.criterion, 2))
    else:
        leaning = t("You lean towards “real” (c {value}).", value=_number(t, of.criterion, 2))
    return [f"{told} {leaning}"]


def _confidence(t: Words, of: Stats) -> list[str]:
    if of.confidence is None or of.brier is None or of.right.value is None:
        return []
    if of.right.of < _ENOUGH:
        return [t("After {count} answers you see here whether you are as often right as you are sure.", count=_ENOUGH)]
    said = t(
        "On average you were {said} sure and {right} right (Brier score {brier}; 0 is best, 0.25 a coin toss).",
        said=_share(t, of.confidence), right=_share(t, of.right.value), brier=_number(t, of.brier, 2),
    )  # fmt: skip
    if of.is_too_sure:
        return [f"{said} {t('You are surer than you are right.')}"]
    return [f"{said} {t('You may be surer.') if of.is_too_modest else t('That fits.')}"]


def _kinds(t: Words, of: Stats) -> list[str]:
    """Only where there is something to compare."""
    fakes = [(kind, right) for kind, right in of.kinds if kind != "real"]
    if len(fakes) < 2:
        return []
    named = "; ".join(f"{kind} {right.count}/{right.of}" for kind, right in fakes[:_KINDS])
    return [t("Fakes caught by generator, the hardest first: {list}.", list=named)]


def _streak(t: Words, of: Stats) -> list[str]:
    now, best = of.streak
    return [t("Right in a row: {now} now, {best} at best.", now=now, best=best)] if best > 1 else []


def _learning(t: Words, of: Stats) -> list[str]:
    if of.early is None or of.late is None:
        return []
    told = t(
        "First {count} answers: {early} right; last {count}: {late} right.",
        count=BLOCK, early=of.early.count, late=of.late.count,
    )  # fmt: skip
    return [f"{told} {t('Faces get harder as you get better, so staying level is progress too.')}"]


def _duel(t: Words, duel: Duel) -> list[str]:
    both = t.n(
        "On the same face: you {right} right, {points} points; "
        "the machine {machine_right} right, {machine_points} points.",
        "On the same {count} faces: you {right} right, {points} points; "
        "the machine {machine_right} right, {machine_points} points.",
        duel.faces, right=duel.right, points=signed(t, duel.points),
        machine_right=duel.machine_right, machine_points=signed(t, duel.machine_points),
    )  # fmt: skip
    if duel.machine_unsure:
        both += " " + t.n("It was unsure about {count}.", "It was unsure about {count}.", duel.machine_unsure)
    lines = [both]
    if duel.caught.of:
        lines.append(
            t(
                "Where the machine was wrong you were right on {count} of {of}. "
                "The quiz shows its mistakes more often than they happen.",
                count=duel.caught.count, of=duel.caught.of,
            )
        )  # fmt: skip
    return lines


def _leader(t: Words, leader: LeaderLike, names: Names, is_daily: bool) -> str:
    if is_daily:
        points = t("{points} points", points=signed(t, leader.total_points))
    else:
        points = t("{mean} points a face", mean=signed(t, leader.mean_points))
    line = t(
        "{rank}. {name}: {points}, {percent} right, {answers}",
        rank=leader.rank, name=names(leader.name) if leader.name else t("somebody"), points=points,
        percent=_share(t, leader.accuracy), answers=t.n("{count} answer", "{count} answers", leader.answers),
    )  # fmt: skip
    return f"▸ {line}" if leader.is_you else line


def _number(t: Words, value: float, digits: int) -> str:
    return t.number(value + 0.0, digits).replace("-", "−")


def _share(t: Words, value: float) -> str:
    """Of what was counted, so 100% may be said, other than of a probability."""
    return t("{percent}%", percent=f"{100 * value:.0f}")
