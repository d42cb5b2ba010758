"""A player's statistics against known values, how they are told, and their picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import norm

from bot.palette import ACCENT, BACKGROUND, MARGIN
from bot.quiz.pictures import HEIGHT, WIDTH, stats_alt, stats_picture
from bot.quiz.scoring import STEPS
from bot.quiz.stats import Rate, signal_detection, stats_of
from bot.quiz.stats_texts import leaderboard, stats
from bot.records import Answer, Standing
from bot.words import ENGLISH
from tests.quiz_decks import answer, face

CONFIDENCES = [step.confidence for step in STEPS]


def answers(outcomes: Sequence[tuple[str, bool, float]]) -> list[Answer]:
    """One for each (truth, is right, confidence)."""
    return [
        answer(face(f"f{n}", "fake" if truth == "fake" else "real"), is_right, n, confidence)
        for n, (truth, is_right, confidence) in enumerate(outcomes)
    ]


ROWS = st.lists(
    st.tuples(st.sampled_from(["real", "fake"]), st.booleans(), st.sampled_from(CONFIDENCES)), max_size=120
).map(answers)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (0, 0, 0, 1)]
)
def test_wilsons_interval(count: int, of: int, low: float, high: float) -> None:
    assert Rate(count, of).interval == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50), st.integers(1, 50))
def test_d_prime_and_criterion_agree_with_scipy(hits: int, misses: int, alarms: int, rejections: int) -> None:
    d_prime, criterion = signal_detection(Rate(hits, hits + misses), Rate(alarms, alarms + rejections))
    z_hit = norm.ppf((hits + 0.5) / (hits + misses + 1))
    z_alarm = norm.ppf((alarms + 0.5) / (alarms + rejections + 1))
    assert (d_prime, criterion) == pytest.approx((z_hit - z_alarm, -(z_hit + z_alarm) / 2))


def test_known_d_primes() -> None:
    assert signal_detection(Rate(8, 10), Rate(2, 10)) == pytest.approx((1.4956, 0), abs=1e-3)
    assert signal_detection(Rate(10, 10), Rate(0, 10)) == pytest.approx((3.3812, 0), abs=1e-3)  # finite when perfect
    d_prime, criterion = signal_detection(Rate(9, 10), Rate(9, 10))
    assert d_prime == 0
    assert criterion is not None and criterion < -1  # says "fake" of everything
    assert signal_detection(Rate(3, 5), Rate(0, 0)) == (None, None)


def test_a_hand_counted_player() -> None:
    of = stats_of(
        answers([("fake", True, 0.95), ("fake", False, 0.8), ("real", True, 0.65), ("real", False, 0.5)])[::-1]
    )
    assert (of.right, of.hits, of.false_alarms) == (Rate(2, 4), Rate(1, 2), Rate(1, 2))
    assert of.points == 99 - 156 + 51
    assert of.brier == pytest.approx((0.05**2 + 0.8**2 + 0.35**2 + 0.5**2) / 4)
    assert of.confidence == pytest.approx(0.725)
    assert of.overconfidence == pytest.approx(0.225)
    assert [(each.confidence, each.right) for each in of.bins] == [
        (0.5, Rate(0, 1)), (0.65, Rate(1, 1)), (0.8, Rate(0, 1)), (0.95, Rate(1, 1)),
    ]  # fmt: skip
    assert of.kinds == (("real", Rate(1, 2)), ("stylegan1", Rate(1, 2)))
    assert of.streak == (1, 1)
    assert (of.early, of.blocks) == (None, ())


@given(ROWS)
def test_whatever_the_answers_the_numbers_fit_together(rows: list[Answer]) -> None:
    of = stats_of(rows)
    assert sum(each.right.of for each in of.bins) == len(rows)
    assert sum(rate.of for _, rate in of.kinds) == len(rows)
    assert of.hits.of + of.false_alarms.of == len(rows)
    assert sum(block.of for block in of.blocks) == (len(rows) if len(rows) >= 10 else 0)
    assert all(block.of >= 10 for block in of.blocks)
    low, high = of.right.interval
    assert 0 <= low <= (of.right.value or 0) + 1e-12 <= high + 2e-12
    if of.brier is not None:
        assert of.points == pytest.approx(len(rows) * (100 - 400 * of.brier), abs=0.5 + 1e-6)
    assert stats(ENGLISH, of).text
    assert stats_alt(ENGLISH, of)


def test_early_and_late_never_overlap() -> None:
    rows = answers([("fake", n >= 20, 0.8) for n in range(40)])
    assert stats_of(rows[:39]).early is None
    of = stats_of(rows)
    assert (of.early, of.late) == (Rate(0, 20), Rate(20, 20))
    assert of.blocks == (Rate(0, 10), Rate(0, 10), Rate(10, 10), Rate(10, 10))


def test_the_machine_on_the_same_faces() -> None:
    shown = [face("a", "fake", 0.9), face("b", "real", 0.9), face("c", "fake", 0.5), face("d", "real", 0.1)]
    rows = [answer(each, True, n) for n, each in enumerate(shown)]
    unasked = replace(answer(face("e", "real"), False, 9), machine_p_fake=None, machine_label=None)
    duel = stats_of([*rows, unasked]).duel
    assert duel is not None
    assert (duel.faces, duel.right, duel.points) == (4, 4, 4 * 84)
    assert (duel.machine_right, duel.machine_wrong, duel.machine_unsure) == (2, 1, 1)
    assert duel.machine_points == 96 - 224 + 0 + 96
    assert duel.caught == Rate(1, 1)
    assert stats_of([unasked]).duel is None
    text = stats(ENGLISH, stats_of(rows)).text
    assert "you 4 right, +336 points; the machine 2 right, −32 points. It was unsure about 1." in text
    assert "Where the machine was wrong you were right on 1 of 1." in text


@pytest.mark.parametrize(
    ("confidence", "right", "said"),
    [(0.95, 24, "You are surer than you are right."), (0.5, 36, "You may be surer."), (0.65, 26, "That fits.")],
)
def test_confidence_is_only_called_wrong_beyond_chance(confidence: float, right: int, said: str) -> None:
    rows = answers([("fake" if n % 2 else "real", n < right, confidence) for n in range(40)])
    assert said in stats(ENGLISH, stats_of(rows)).text
    assert said not in stats(ENGLISH, stats_of(rows[::4][:8])).text  # too few to tell


@pytest.mark.parametrize(("fakes", "reals", "leaning"), [(9, 3, "“fake”"), (3, 9, "“real”"), (8, 8, "neither side")])
def test_the_leaning_is_named(fakes: int, reals: int, leaning: str) -> None:
    rows = answers([("fake", n < fakes, 0.8) for n in range(10)] + [("real", n < reals, 0.8) for n in range(10)])
    assert f"You lean to{'' if leaning.startswith('n') else 'wards'} {leaning}" in stats(ENGLISH, stats_of(rows)).text


@pytest.mark.parametrize(("fakes", "reals", "is_told"), [(4, 16, False), (16, 4, False), (5, 14, False), (5, 15, True)])
def test_d_prime_is_told_once_both_kinds_were_seen_often_enough(fakes: int, reals: int, is_told: bool) -> None:
    rows = answers([("fake", True, 0.8)] * fakes + [("real", True, 0.8)] * reals)
    assert ("d′" in stats(ENGLISH, stats_of(rows)).text) is is_told


def test_a_beginner_is_told_how_to_start() -> None:
    assert stats(ENGLISH, stats_of([])).lines == ("No answers yet. Play a round of the quiz first.",)


def test_a_leaderboard() -> None:
    leaders = [
        Standing(1, 7, "Ann", 40, 1.0, 51.4, 2056, is_you=False),
        Standing(2, 8, None, 20, 0.55, -3.0, -60, is_you=True),
    ]
    board = leaderboard(ENGLISH, "This server", leaders, 20, lambda name: f"<{name}>")
    assert board.lines == (
        "1. <Ann>: +51 points a face, 100% right, 40 answers",
        "▸ 2. somebody: −3 points a face, 55% right, 20 answers",
        "From 20 answers on.",
    )
    day = leaderboard(ENGLISH, "Today", leaders, 1, str, is_daily=True)
    assert day.lines[0] == "1. Ann: +2,056 points, 100% right, 40 answers"
    assert leaderboard(ENGLISH, "Today", [], 1, str).lines[0] == "Nobody is on it yet."


@dataclass(frozen=True)
class _Picture:
    pixels: np.ndarray  # uint8 [HEIGHT, WIDTH, 3]

    @classmethod
    def of(cls, rows: list[Answer]) -> _Picture:
        data = stats_picture(ENGLISH, stats_of(rows))
        opened = Image.open(io.BytesIO(data))
        assert (opened.format, opened.size, opened.info) == ("PNG", (WIDTH, HEIGHT), {})
        return cls(np.asarray(opened.convert("RGB")))

    @property
    def drawn(self) -> int:
        """Pixels of what stands for answers."""
        return int((self.pixels == ACCENT).all(axis=2).sum())


@settings(max_examples=8)
@given(ROWS)
def test_nothing_of_the_picture_is_cut_off(rows: list[Answer]) -> None:
    pixels = _Picture.of(rows).pixels
    edge = MARGIN // 2
    for strip in (pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:]):
        assert (strip == BACKGROUND).all()


def test_the_picture_shows_what_there_is_and_claims_no_more() -> None:
    none = _Picture.of([])
    assert none.drawn == 0
    few = answers([("fake", True, c) for c in CONFIDENCES])
    many = answers([("fake", n % 3 > 0, CONFIDENCES[n % 4]) for n in range(3000)])
    assert 0 < _Picture.of(few).drawn < _Picture.of(many).drawn
    # No line joins two points of which either rests on few answers.
    columns = (_Picture.of(few).pixels[:600] == ACCENT).all(axis=2).any(axis=0)
    assert not columns[260:400].any()
    joined = (_Picture.of(many).pixels[:600] == ACCENT).all(axis=2).any(axis=0)
    assert joined[260:400].all()


def test_the_picture_in_words() -> None:
    assert stats_alt(ENGLISH, stats_of([])) == "Two empty charts: no answers yet."
    rows = answers([("fake", n % 2 == 0, 0.65) for n in range(10)])
    assert stats_alt(ENGLISH, stats_of(rows)) == (
        "How often you were right, by how sure you were: 50% of 10 at 65%. "
        "How often you were right, over time, oldest first: 50%."
    )
