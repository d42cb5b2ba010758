"""The quiz: honest confidence earns the most, the choice of faces tells nothing, and a round survives everything."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot.quiz.choice import AIM, OneSidedDeck, ability, daily, next_face
from bot.quiz.cues import cues
from bot.quiz.deck import Face
from bot.quiz.game import Refused, Round, UnreadableRound
from bot.quiz.scoring import STEPS, answer_points, machine_points, points, streaks
from bot.quiz.summary import summarise
from bot.quiz.texts import answer_label, face_title, question, refusal, reveal, rules, summary
from bot.quiz.turns import Question
from bot.records import Answer
from bot.verdict import Side
from bot.words import ENGLISH
from tests.quiz_decks import DAY, FakeDeck, answer, deck_of, face

BELIEFS = st.floats(0, 1)


def expected(belief: float, said: float) -> float:
    """Of points, for somebody who believes the answer right with `belief` and says `said`."""
    return belief * points(said) + (1 - belief) * points(1 - said)


# Scoring


@given(BELIEFS, BELIEFS)
def test_whoever_says_what_they_believe_expects_the_most(belief: float, said: float) -> None:
    lost = expected(belief, belief) - expected(belief, said)
    assert lost == pytest.approx(400 * (belief - said) ** 2, abs=1e-9)  # so never below 0, and 0 for honesty alone


@given(st.floats(0.5, 1))
def test_of_the_steps_offered_the_nearest_to_the_belief_expects_the_most(belief: float) -> None:
    distances = sorted(abs(step.confidence - belief) for step in STEPS)
    assume(distances[1] - distances[0] > 1e-6)
    best = max(STEPS, key=lambda step: expected(belief, step.confidence))
    assert abs(best.confidence - belief) == distances[0]


def test_known_points() -> None:
    assert [points(p) for p in (1, 0.5, 0)] == [100, 0, -300]
    assert [(answer_points(s.confidence, True), answer_points(s.confidence, False)) for s in STEPS] == [
        (0, 0), (51, -69), (84, -156), (99, -261),
    ]  # fmt: skip
    assert all(points(s.confidence) == pytest.approx(answer_points(s.confidence, True)) for s in STEPS)
    assert (machine_points(0.9, "fake"), machine_points(0.9, "real")) == (96, -224)
    assert abs(machine_points(0.52, "real")) < 10  # an unsure machine neither earns nor pays


@pytest.mark.parametrize("confidence", [0.49, 1.01, -1, math.nan])
def test_a_confidence_that_belongs_to_the_other_answer_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        answer_points(confidence, True)
    with pytest.raises(ValueError, match="probability"):
        points(confidence if not 0 <= confidence <= 1 else 2)


def test_a_guess_neither_lengthens_a_streak_nor_ends_it() -> None:
    assert streaks([]) == (0, 0)
    assert streaks([(True, 0.8), (False, 0.5), (True, 0.65), (True, 0.5)]) == (2, 2)
    assert streaks([(True, 0.8), (True, 0.95), (False, 0.65), (True, 0.65)]) == (1, 2)


# The choice of faces


def play(
    deck: FakeDeck, count: int, is_right: Callable[[Face], bool], seed: int = 0, stumbles: float = 0.0
) -> list[Answer]:
    """`count` faces answered by somebody who is right where `is_right` says so."""
    rng = random.Random(seed)
    history: list[Answer] = []
    for _ in range(count):
        chosen = next_face(deck, history, [], rng, stumbles)
        history.append(answer(chosen, is_right(chosen), len(history)))
    return history


def test_the_same_chance_gives_the_same_faces() -> None:
    deck = deck_of()
    first, second = (play(deck, 60, lambda _: True, seed=4, stumbles=0.2) for _ in range(2))
    assert first == second
    assert first != play(deck, 60, lambda _: True, seed=5, stumbles=0.2)


@pytest.mark.parametrize("size", [2, 3, 10, 100])
def test_no_face_comes_back_while_it_is_fresh(size: int) -> None:
    history = play(deck_of(size), 150, lambda _: True, stumbles=0.3)
    for side in ("real", "fake"):
        shown = [row.face_id for row in history if row.truth == side]
        rest = min(30, size // 2)
        assert all(len(set(shown[n : n + rest + 1])) == rest + 1 for n in range(len(shown) - rest))


def test_faces_of_the_round_count_as_shown() -> None:
    deck = deck_of(4)
    shown = [each.id for each in deck.faces if each.id.endswith(("0", "1"))]
    chosen = {next_face(deck, [], shown, random.Random(seed), 0).id for seed in range(50)}
    assert not chosen & set(shown)


@pytest.mark.parametrize("skill", [0, 1])
def test_the_truth_is_a_fair_coin_whatever_went_before(skill: int) -> None:
    history = play(deck_of(machine_wrong_reals=0.5), 800, lambda _: bool(skill), stumbles=0.5)
    fakes = [row.truth == "fake" for row in history]
    assert 0.45 < sum(fakes) / len(fakes) < 0.55
    after_fake = [now for before, now in pairwise(fakes) if before]
    assert 0.43 < sum(after_fake) / len(after_fake) < 0.57


def test_stumbles_are_as_frequent_as_asked_for() -> None:
    deck = deck_of(machine_wrong_reals=0.1)
    wrong = {each.id for each in deck.faces if each.machine_wrong}
    natural = len(wrong) / len(deck.faces)

    def share(stumbles: float) -> float:
        rng = random.Random(1)
        return sum(next_face(deck, [], [], rng, stumbles).id in wrong for _ in range(1500)) / 1500

    assert share(1) == 1
    assert share(0) < natural + 0.05
    assert share(0.3) == pytest.approx(0.3 + 0.7 * share(0), abs=0.05)


# To the weakest even the easiest faces of a deck are hard; drawn at random they would be right with 31%.
@pytest.mark.parametrize(("theta", "least"), [(-1.0, 0.5), (0.0, AIM - 0.08), (1.5, AIM - 0.08)])
def test_faces_are_as_hard_as_the_player_is_good(theta: float, least: float) -> None:
    deck = deck_of(200)
    luck = random.Random(3)

    def is_right(shown: Face) -> bool:
        hardness = 4 * (shown.difficulty - 0.5)
        return luck.random() < 1 / (1 + math.exp(hardness - theta))

    history = play(deck, 300, is_right)
    settled = history[100:]
    assert least < sum(row.is_right for row in settled) / len(settled) < AIM + 0.08
    assert ability(deck, history) == pytest.approx(theta, abs=0.9)
    assert ability(deck, []) == 0


def test_a_kind_that_is_missed_comes_back_sooner() -> None:
    history = play(deck_of(60), 800, lambda shown: shown.kind != "sd3")
    counts = Counter(row.kind for row in history if row.truth == "fake")
    assert counts["sd3"] > 1.3 * counts["stylegan1"]
    even = Counter(row.kind for row in play(deck_of(60), 800, lambda _: True) if row.truth == "fake")
    assert even["sd3"] < 1.15 * even["stylegan1"]


@given(st.integers(3, 30), st.dates(date(2026, 1, 1), date(2030, 1, 1)))
def test_a_daily_set_is_balanced_and_the_same_for_everyone(count: int, day: date) -> None:
    deck = deck_of(40)
    faces = daily(deck, day, count)
    assert len(set(faces)) == count
    fakes = sum(deck.face(each).truth == "fake" for each in faces)
    assert abs(fakes - count / 2) <= 1
    shuffled = FakeDeck(deck.id, tuple(reversed(deck.faces)))
    assert daily(shuffled, day, count) == faces


def test_daily_sets_differ_by_day_and_deck_and_counting_does_not_give_the_last_face_away() -> None:
    deck, other = deck_of(40), replace(deck_of(40), id="other")
    days = [DAY + timedelta(days=n) for n in range(60)]
    sets = [daily(deck, day, 10) for day in days]
    assert len(set(sets)) == 60
    assert daily(other, DAY, 10) != sets[0]
    fakes = {sum(deck.face(each).truth == "fake" for each in faces) for faces in sets}
    assert fakes == {4, 5, 6}
    # Pinned: every platform and version must choose the same.
    assert daily(deck, DAY, 3) == ("r8", "f13", "f34")


def test_a_small_deck_gives_a_shorter_daily_set_and_a_one_sided_one_none() -> None:
    small = FakeDeck("s", (face("a", "real"), face("b", "fake")))
    assert set(daily(small, DAY, 10)) == {"a", "b"}
    reals = FakeDeck("r", (face("a", "real"), face("b", "real")))
    with pytest.raises(OneSidedDeck, match="no fake faces"):
        daily(reals, DAY, 3)


# Rounds

AT = 1_000.0


def started(mode: str = "solo", length: int | None = 5, deck: FakeDeck | None = None) -> Round:
    deck = deck or deck_of()
    if mode == "daily":
        round = Round.daily("ann", deck, DAY, length or 5)
    else:
        round = Round.channel("ann", deck, length, 30) if mode == "channel" else Round.solo("ann", deck, length)
    round.next(deck, [], random.Random(1), AT, 0.15)
    return round


def right(round: Round) -> Any:
    return round.turns[-1].truth


def wrong(round: Round) -> Any:
    return "real" if right(round) == "fake" else "fake"


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(Refused) as error:
        action()
    assert refusal(ENGLISH, error.value)
    return error.value.reason


@pytest.mark.parametrize("mode", ["solo", "channel", "daily"])
def test_a_whole_round(mode: str) -> None:
    deck, rng, at = deck_of(), random.Random(2), AT
    round = started(mode)
    for number in range(1, 6):
        assert (round.phase, round.question.number, round.question.length) == ("asking", number, 5)
        round.answer("ann", right(round), 0.8, at + 5)
        at += 30
        told = round.reveal(at)
        assert (told.is_last, round.phase) == (number == 5, "revealed")
        [result] = told.results
        assert (result.points, result.streak, result.seconds, result.is_right) == (84, number, 5, True)
        asked = round.next(deck, [], rng, at, 0.15)
        assert (asked is None) == (number == 5)
    assert round.phase == "over"
    [standing] = summarise(round).standings
    assert (standing.points, standing.right, standing.accuracy, standing.streak) == (420, 5, 1, 5)
    assert refused(lambda: round.next(deck, [], rng, at, 0)) == "over"


def test_an_endless_round_goes_on_until_it_is_stopped() -> None:
    deck, rng, round = deck_of(), random.Random(2), started(length=None)
    for _ in range(40):
        round.answer("ann", "real", 0.5, AT)
        assert not round.reveal(AT).is_last
        assert round.next(deck, [], rng, AT, 0.15) is not None
    assert refused(lambda: round.stop("ben")) == "not_yours"
    round.stop("ann")
    assert (round.phase, summarise(round).faces) == ("over", 40)
    assert len(round.turns) == 40  # the one that was still open does not count, and its truth is gone
    assert refused(lambda: round.stop("ann")) == "over"
    assert refused(lambda: round.answer("ann", "real", 0.5, AT)) == "over"
    assert refused(lambda: round.reveal(AT)) == "over"


def test_late_double_and_foreign_clicks_are_refused_and_change_nothing() -> None:
    deck, rng, solo = deck_of(), random.Random(2), started()
    before = solo.to_json()
    assert refused(lambda: solo.answer("ben", "real", 0.8, AT)) == "not_yours"
    assert refused(lambda: solo.answer("ann", "real", 0.8, AT, number=2)) == "other_face"
    assert refused(lambda: solo.reveal(AT)) == "too_early"
    assert refused(lambda: solo.next(deck, [], rng, AT, 0)) == "not_revealed"
    with pytest.raises(ValueError, match="confidence"):
        solo.answer("ann", "real", 0.2, AT)
    assert solo.to_json() == before
    solo.answer("ann", "real", 0.8, AT, number=1)
    assert refused(lambda: solo.answer("ann", "fake", 0.95, AT)) == "already_answered"
    assert solo.turns[-1].answers[0].said == "real"
    solo.reveal(AT)
    solo.next(deck, [], rng, AT, 0)
    assert refused(lambda: solo.answer("ann", "real", 0.8, AT, number=1)) == "other_face"
    assert refused(lambda: Round.solo("ann", deck, 5).answer("ann", "real", 0.8, AT)) == "other_face"


def test_a_channel_has_a_timer_and_names_come_after_it() -> None:
    round = started("channel")
    assert (round.question.seconds, round.question.closes_at) == (30, AT + 30)
    round.answer("ben", wrong(round), 0.95, AT + 1)
    round.answer("cat", right(round), 0.8, AT + 20)
    round.answer("dan", right(round), 0.8, AT + 10)
    assert round.question.answered == 3
    assert not any(name in repr(round.question) for name in ("ben", "cat", "dan"))
    assert not round.can_reveal(AT + 29.9)
    assert refused(lambda: round.reveal(AT + 29.9)) == "too_early"
    assert refused(lambda: round.answer("eve", "real", 0.8, AT + 30)) == "too_late"
    told = round.reveal(AT + 30)
    assert [(r.player, r.points) for r in told.results] == [("dan", 84), ("cat", 84), ("ben", -261)]
    assert refused(lambda: round.answer("eve", "real", 0.8, AT + 5)) == "too_late"
    assert round.reveal(AT + 99) == told  # said once more after a crash
    assert [(s.rank, s.player) for s in summarise(round).standings] == [(1, "cat"), (1, "dan"), (3, "ben")]


def test_a_face_that_nobody_answers_is_revealed_when_its_time_is_up() -> None:
    round = started("channel")
    assert round.reveal(AT + 31).results == ()
    assert summarise(round).standings == ()
    assert summary(ENGLISH, summarise(round), str).text == "Nobody answered."


def test_a_channel_may_cut_its_timer_short_and_a_face_alone_may_not() -> None:
    round = started("channel")
    assert refused(lambda: Round.channel("ann", deck_of(), 5, 30).reveal(AT, early=True)) == "too_early"
    round.answer("ben", right(round), 0.8, AT + 1)
    assert len(round.reveal(AT + 2, early=True).results) == 1
    assert refused(lambda: round.answer("cat", "real", 0.8, AT + 3)) == "too_late"
    assert refused(lambda: started().reveal(AT, early=True)) == "too_early"


def test_who_wants_to_be_forgotten_is_gone_from_the_saved_round() -> None:
    round = started("channel")
    round.answer("ben", "real", 0.8, AT)
    round.answer("cat", "real", 0.8, AT)
    round.forget("ben")
    assert "ben" not in round.to_json()
    assert [result.player for result in round.reveal(AT + 30).results] == ["cat"]


def test_a_daily_set_goes_on_elsewhere_and_ends_with_its_deck() -> None:
    deck = deck_of()
    faces = daily(deck, DAY, 5)
    round = Round.daily("ann", deck, DAY, 5, done=faces[:3])
    asked = round.next(deck, [], random.Random(1), AT, 0)
    assert asked is not None
    assert (asked.face, asked.number, asked.length) == (faces[3], 4, 5)
    round.answer("ann", "real", 0.5, AT)
    round.reveal(AT)
    newer = replace(deck, id="newer")
    assert refused(lambda: round.next(newer, [], random.Random(1), AT, 0)) == "deck_changed"
    done = Round.daily("ann", deck, DAY, 5, done=faces)
    assert done.next(deck, [], random.Random(1), AT, 0) is None


def test_the_machine_is_scored_by_the_same_rule_and_unsure_is_neither_right_nor_wrong() -> None:
    faces = (
        face("a", "fake", p_fake=0.9),
        face("b", "real", p_fake=0.9),
        face("c", "fake", p_fake=0.5),
        face("d", "real", p_fake=0.1),
    )
    deck = FakeDeck("d", faces)
    round, rng = Round.daily("ann", deck, DAY, 4), random.Random(1)
    while round.next(deck, [], rng, AT, 0):
        round.answer("ann", "fake", 0.65, AT)
        told = round.reveal(AT)
        assert told.machine_wrong == (told.face == "b")
    machine = summarise(round).machine
    assert (machine.points, machine.right, machine.wrong, machine.unsure) == (96 - 224 + 0 + 96, 2, 1, 1)
    assert summarise(round).standings[0].machine == machine


def test_a_round_shows_different_cues_while_it_can() -> None:
    deck, rng, round = deck_of(), random.Random(2), started()
    shown = []
    for _ in range(4):
        round.answer("ann", "real", 0.5, AT)
        shown.append(round.reveal(AT).cue)
        round.next(deck, [], rng, AT, 0)
    assert shown[:3] == ["eyes", "hair", "teeth"]
    assert shown[3] == "eyes"


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.sampled_from(["ann", "ben", "cat"]), st.sampled_from(["real", "fake"]),
                  st.sampled_from([0.5, 0.65, 0.8, 0.95]), st.sampled_from([None, 1, 2])),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 31.0])),
        st.tuples(st.just("reveal"), st.booleans()),
        st.tuples(st.just("next")),
        st.tuples(st.just("stop"), st.sampled_from([None, "ann", "ben"])),
        st.tuples(st.just("forget"), st.sampled_from(["ann", "ben"])),
    ),
    max_size=40,
)  # fmt: skip


def step(round: Round, name: str, arguments: Sequence[Any], rng: random.Random, at: float) -> object:
    if name == "next":
        return round.next(SMALL, [], rng, at, 0.15)
    if name == "reveal":
        return round.reveal(at, *arguments)
    if name == "answer":
        *answered, number = arguments
        return getattr(round, name)(*answered, at, number)
    return getattr(round, name)(*arguments)


def drive(mode: str, operations: Sequence[tuple[Any, ...]], saved: bool) -> list[object]:
    """What every operation gave, or why it was refused. saved: through JSON between any two."""
    rng, at, round = random.Random(7), AT, started(mode, deck=SMALL)
    outcomes: list[object] = []
    for name, *arguments in operations:
        if saved:
            again = Round.from_json(round.to_json())
            assert again == round
            round = again
        if name == "wait":
            at += arguments[0]
            continue
        try:
            outcomes.append(step(round, name, arguments, rng, at))
        except Refused as error:
            outcomes.append(error.reason)
        outcomes += [round.phase, round.can_reveal(at), summarise(round)]
    return outcomes


SMALL = deck_of(6)


@settings(max_examples=150)
@given(st.sampled_from(["solo", "channel", "daily"]), OPERATIONS)
def test_a_round_survives_being_saved_between_any_two_steps(mode: str, operations: list[tuple[Any, ...]]) -> None:
    assert drive(mode, operations, saved=True) == drive(mode, operations, saved=False)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"version": 2}', '{"version": 1, "round": {}}', "\x00"],
)
def test_a_saved_round_that_is_broken_or_newer_is_one_clear_line(text: str) -> None:
    with pytest.raises(UnreadableRound, match="cannot be read"):
        Round.from_json(text)
    saved = started().to_json()
    with pytest.raises(UnreadableRound):
        Round.from_json(saved.replace('"version":1', '"version":2'))
    with pytest.raises(UnreadableRound):
        Round.from_json(saved.replace('"mode":"solo"', '"mode":"duel"'))


# What may be known before the reveal


def strings_in(thing: object) -> list[str]:
    """Everything a question holds, as text."""
    if isinstance(thing, dict):
        return [text for key, value in thing.items() for text in (*strings_in(key), *strings_in(value))]
    if isinstance(thing, list | tuple):
        return [text for each in thing for text in strings_in(each)]
    return [str(thing)]


@given(st.sampled_from(["solo", "channel", "daily"]), st.integers(0, 10_000))
def test_a_question_holds_nothing_of_the_truth_or_the_machine(mode: str, seed: int) -> None:
    deck, round = deck_of(), started(mode)
    for step in range(3):
        turn = round.turns[-1]
        held = strings_in(asdict(round.question))
        block = question(ENGLISH, round.question)
        public = " ".join([*held, block.title, *block.lines, face_title(ENGLISH, round.question)]).lower()
        secrets = [turn.kind, str(turn.machine_p_fake), "heat", "machine", turn.cue or ""]
        assert not [secret for secret in secrets if secret != "real" and secret in public]
        assert "fake" not in " ".join(held)
        round.answer("ann", "real", 0.5, AT + step)
        round.reveal(AT + 40 * (step + 1))
        round.next(deck, [], random.Random(seed), AT + 40 * step, 0.15)


@pytest.mark.parametrize("mode", ["solo", "channel", "daily"])
def test_a_question_about_a_face_is_the_same_whatever_the_truth(mode: str) -> None:
    """Two decks that differ in everything but the ids give questions that cannot be told apart."""
    seen: list[dict[str, tuple[Question, Any]]] = []
    truths: list[tuple[Side, Side]] = [("real", "fake"), ("fake", "real")]
    for first, second in truths:
        deck = FakeDeck("d", (face("a", first, p_fake=0.9, kind=None), face("b", second, p_fake=0.2, cues=("hair",))))
        found: dict[str, tuple[Question, Any]] = {}
        for seed in range(20):
            round = {
                "daily": Round.daily("ann", deck, DAY, 2),
                "channel": Round.channel("ann", deck, 5, 30),
                "solo": Round.solo("ann", deck, 5),
            }[mode]
            asked = round.next(deck, [], random.Random(seed), AT, 0)
            assert asked is not None
            round.answer("ann", "real", 0.8, AT)
            found[asked.face] = (round.question, question(ENGLISH, round.question))
        seen.append(found)
    assert seen[0] == seen[1]


# What is said


def test_a_reveal_says_the_truth_the_machines_mistake_and_everybodys_answer() -> None:
    deck = FakeDeck("d", (face("a", "fake", p_fake=0.1, kind="sd3", cues=(next(iter(cues())),)), face("b", "real")))
    rng = random.Random(0)
    round = Round.channel("ann", deck, 5, 30)
    while (asked := round.next(deck, [], rng, AT, 1)) and asked.face != "a":
        round.reveal(AT + 30)
    round.answer("ben", "real", 0.95, AT)
    round.answer("cat", "fake", 0.65, AT)
    told = round.reveal(AT + 30)
    block = reveal(ENGLISH, told, lambda player: player.upper())
    assert block.title.endswith("· It is fake")
    assert "The machine was wrong here: it said real, 10% likely to be generated. −224 points." in block.text
    assert "✗ BEN: Real, very sure (95%). −261 points." in block.text
    assert "✓ CAT: Fake, rather sure (65%). +51 points." in block.text
    assert "Drawn by sd3." in block.text
    assert next(iter(cues().values())).title in block.text


def test_a_busy_channel_is_counted_not_listed() -> None:
    round = started("channel")
    for n in range(25):
        round.answer(f"p{n}", right(round), 0.8, AT + n)
    block = reveal(ENGLISH, round.reveal(AT + 30), str)
    assert "… and 15 more." in block.text
    assert len(block.text) < 4096  # what a Discord card's text holds
    assert "… and 15 more." in summary(ENGLISH, summarise(round), str).text


def test_a_question_and_its_alt_text_leak_nothing() -> None:
    round = started(length=10)
    assert question(ENGLISH, round.question).lines == ("Real or fake, and how sure are you?",)
    assert face_title(ENGLISH, round.question) == "Face 1 of 10"
    assert face_title(ENGLISH, started("daily").question) == "Today's set: Face 1 of 5"
    assert face_title(ENGLISH, started(length=None).question) == "Face 1"
    assert "30 seconds" in question(ENGLISH, started("channel").question).text


def test_your_own_round_is_told_with_the_machine_beside_it() -> None:
    round = started()
    round.answer("ann", right(round), 0.8, AT)
    told = reveal(ENGLISH, round.reveal(AT), str)
    assert told.lines[0].startswith("You were right: ")
    assert "(80%). +84 points." in told.lines[0]
    text = summary(ENGLISH, summarise(round), str).text
    assert "You: 1 of 1 right. +84 points." in text
    assert "The machine: " in text


def test_labels_rules_and_points_in_words() -> None:
    assert answer_label(ENGLISH, "fake", 0.95) == "Fake, very sure (95%)"
    assert answer_label(ENGLISH, "real", 0.5) == "Real, a guess (50%)"
    assert "Fairly sure (80%): +84 if right, −156 if wrong" in rules(ENGLISH).lines
