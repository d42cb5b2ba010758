"""What a player's answers say about the player: how good, how biased, how honest about being sure, how much better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean

from bot.quiz.contracts import AnswerLike
from bot.quiz.scoring import STEPS, machine_points, streaks
from tune.metrics import wilson_ci95

BLOCK = 20  # answers at the beginning and at the end that are compared
MOST_BLOCKS = 8  # of a learning curve; the labels of more do not fit on a phone
_LEAST = 10  # answers in such a block: fewer say nothing


@dataclass(frozen=True)
class Rate:
    """`count` out of `of`."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """In [0, 1]; None out of none."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true rate lies with 95% confidence: Wilson's score interval (E. B. Wilson, 1927, JASA 22, 209–212).

        Also right for few answers (Brown, Cai & DasGupta, 2001, Statistical Science 16, 101–133); (0, 1) for none.
        """
        return wilson_ci95(self.count / self.of, self.of) if self.of else (0.0, 1.0)


@dataclass(frozen=True)
class Bin:
    """The answers given with about one confidence. confidence: in [0.5, 1], as said, on average."""

    confidence: float
    right: Rate


@dataclass(frozen=True)
class Duel:
    """The player and the machine on the same faces. unsure: the machine took no side, neither right nor wrong.

    points: of both by one rule. caught: of the faces on which the machine was wrong, those the player got right.
    """

    faces: int
    right: int
    points: int
    machine_right: int
    machine_wrong: int
    machine_unsure: int
    machine_points: int
    caught: Rate


@dataclass(frozen=True)
class Stats:
    """Everything about one player's answers.

    hits: fakes called fake. false_alarms: reals called fake. d_prime: how well the two are told apart, 0 by chance.
    criterion: below 0 leans to "fake", above to "real". Both None without answers about reals and fakes.
    brier: mean squared distance of the stated probability from the truth, in [0, 1], 0 is best, 0.25 a coin toss.
    confidence: mean. kinds: right answers per kind, "real" too, the worst first. streak: (now, longest).
    early, late: right among the first and last BLOCK answers; None while they would overlap.
    blocks: right in consecutive blocks, oldest first, for a curve.
    """

    points: int
    right: Rate
    hits: Rate
    false_alarms: Rate
    d_prime: float | None
    criterion: float | None
    bins: tuple[Bin, ...]
    brier: float | None
    confidence: float | None
    kinds: tuple[tuple[str, Rate], ...]
    duel: Duel | None
    streak: tuple[int, int]
    early: Rate | None
    late: Rate | None
    blocks: tuple[Rate, ...]

    @property
    def overconfidence(self) -> float | None:
        """Mean confidence less the share right, in [−0.5, 1]; above 0 is too sure (Lichtenstein, Fischhoff & Phillips,
        1982, in: Judgment under Uncertainty, 306–334). None without answers.
        """
        return None if self.confidence is None or self.right.value is None else self.confidence - self.right.value

    @property
    def is_too_sure(self) -> bool:
        """Whether it is more than chance explains: the confidence lies above the 95% interval of the share right."""
        return self.confidence is not None and self.confidence > self.right.interval[1]

    @property
    def is_too_modest(self) -> bool:
        """As `is_too_sure`, below."""
        return self.confidence is not None and self.confidence < self.right.interval[0]


def stats_of(answers: Iterable[AnswerLike]) -> Stats:
    """Of one player's answers, in any order."""
    rows = sorted(answers, key=lambda row: row.at)
    fakes, reals = ([row for row in rows if row.truth == side] for side in ("fake", "real"))
    hits, false_alarms = (Rate(sum(row.said == "fake" for row in part), len(part)) for part in (fakes, reals))
    d_prime, criterion = signal_detection(hits, false_alarms)
    return Stats(
        points=round(sum(row.points for row in rows)),
        right=_right(rows),
        hits=hits,
        false_alarms=false_alarms,
        d_prime=d_prime,
        criterion=criterion,
        bins=_bins(rows),
        brier=fmean(_squared_miss(row) for row in rows) if rows else None,
        confidence=fmean(row.confidence for row in rows) if rows else None,
        kinds=_kinds(rows),
        duel=_duel(rows),
        streak=streaks((row.said == row.truth, row.confidence) for row in rows),
        early=_right(rows[:BLOCK]) if len(rows) >= 2 * BLOCK else None,
        late=_right(rows[-BLOCK:]) if len(rows) >= 2 * BLOCK else None,
        blocks=_blocks(rows),
    )


def signal_detection(hits: Rate, false_alarms: Rate) -> tuple[float | None, float | None]:
    """(d′, c) = (z(H) − z(F), −(z(H) + z(F)) / 2), z being the normal quantile, H and F the rates of the two.

    From signal detection theory (Macmillan & Creelman, 2005, Detection Theory: A User's Guide, chapters 1 and 2). With
    the log-linear correction, half a hit and half a miss more, so that neither is infinite and both are biased least
    (M. J. Hautus, 1995, Behavior Research Methods, Instruments & Computers 27, 46–51). (None, None) without one class.
    """
    if not hits.of or not false_alarms.of:
        return None, None
    z_hit, z_alarm = (NormalDist().inv_cdf((rate.count + 0.5) / (rate.of + 1)) for rate in (hits, false_alarms))
    return z_hit - z_alarm, -(z_hit + z_alarm) / 2


def _right(rows: Sequence[AnswerLike]) -> Rate:
    return Rate(sum(row.said == row.truth for row in rows), len(rows))


def _squared_miss(row: AnswerLike) -> float:
    return (1 - row.confidence if row.said == row.truth else row.confidence) ** 2


def _bins(rows: Sequence[AnswerLike]) -> tuple[Bin, ...]:
    """By the nearest step that is offered; steps never chosen are left out."""
    parts: dict[float, list[AnswerLike]] = {step.confidence: [] for step in STEPS}
    for row in rows:
        parts[min(parts, key=lambda step: abs(step - row.confidence))].append(row)
    return tuple(Bin(fmean(row.confidence for row in part), _right(part)) for part in parts.values() if part)


def _kinds(rows: Sequence[AnswerLike]) -> tuple[tuple[str, Rate], ...]:
    names = {row.kind for row in rows}
    rates = [(name, _right([row for row in rows if row.kind == name])) for name in names]
    return tuple(sorted(rates, key=lambda item: (item[1].count / item[1].of, item[0])))


def _duel(rows: Sequence[AnswerLike]) -> Duel | None:
    """Over the answers for which the machine's is known; None when there are none."""
    same = [row for row in rows if row.machine_p_fake is not None and row.machine_label is not None]
    if not same:
        return None
    unsure = sum(row.machine_label == "unsure" for row in same)
    wrong = [row for row in same if row.machine_label not in (row.truth, "unsure")]
    return Duel(
        faces=len(same),
        right=_right(same).count,
        points=round(sum(row.points for row in same)),
        machine_right=len(same) - unsure - len(wrong),
        machine_wrong=len(wrong),
        machine_unsure=unsure,
        machine_points=sum(machine_points(row.machine_p_fake or 0.0, row.truth) for row in same),
        caught=_right(wrong),
    )


def _blocks(rows: Sequence[AnswerLike]) -> tuple[Rate, ...]:
    """As many as there may be, of the same length give or take one answer."""
    count = min(MOST_BLOCKS, len(rows) // _LEAST)
    edges = [len(rows) * n // count for n in range(count + 1)] if count else []
    return tuple(_right(rows[start:end]) for start, end in pairwise(edges))
