"""A round of the quiz: a state machine that any chat can drive, stop at any point and take up again from JSON.

ready ──next──▶ asking ──reveal──▶ revealed ──next──▶ asking … ──next──▶ over
                  └──────────────── stop, from anywhere ────────────────▶ over
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, TypeAlias

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from bot.quiz.choice import daily, next_face
from bot.quiz.contracts import AnswerLike, DeckLike
from bot.quiz.scoring import answer_points, streaks
from bot.quiz.turns import Given, Mode, Question, Result, Reveal, Turn
from bot.verdict import Side
from infra.errors import UserError

VERSION: Literal[1] = 1  # of the JSON

Phase: TypeAlias = Literal["ready", "asking", "revealed", "over"]
Reason: TypeAlias = Literal[
    "already_answered", "too_late", "too_early", "other_face", "not_yours", "not_revealed", "deck_changed", "over"
]


class Refused(UserError):  # noqa: N818 – nothing failed
    """A click that the round does not take; nothing has changed. `bot.quiz.texts.refusal` says why to people."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the round refuses this: {reason.replace('_', ' ')}")
        self.reason = reason


class UnreadableRound(UserError):  # noqa: N818 – says what is so
    """A saved round that is broken or of another version; it can only be thrown away."""


@with_config(ConfigDict(extra="forbid"))
@dataclass
class Round:
    """One round. Made by `solo`, `channel` or `daily`; times are seconds of one clock that outlives the process.

    owner: who started it; in solo and daily rounds nobody else answers. deck: the id of the deck it began with.
    length: None is endless. answer_s: the timer of a face; None has none. queue: faces still to come, where they are
    fixed. begun: faces of a daily set that were answered elsewhere before. The state holds the truth of the face
    that is being asked: what people may see is `question`.
    """

    mode: Mode
    owner: str
    deck: str
    length: int | None
    answer_s: float | None = None
    day: date | None = None
    begun: int = 0
    queue: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    is_over: bool = False

    @classmethod
    def solo(cls, owner: str, deck: DeckLike, length: int | None) -> Round:
        """Only `owner` plays, without a timer."""
        return cls("solo", owner, deck.id, length)

    @classmethod
    def channel(cls, owner: str, deck: DeckLike, length: int | None, answer_s: float) -> Round:
        """Whoever is there plays, `answer_s` seconds a face."""
        return cls("channel", owner, deck.id, length, answer_s)

    @classmethod
    def daily(cls, owner: str, deck: DeckLike, day: date, count: int, done: Collection[str] = ()) -> Round:
        """The set of `day`; done: ids of those faces that `owner` has answered before, on whatever platform."""
        faces = daily(deck, day, count)
        queue = [face for face in faces if face not in done]
        return cls("daily", owner, deck.id, len(faces), day=day, begun=len(faces) - len(queue), queue=queue)

    @property
    def phase(self) -> Phase:
        if self.is_over:
            return "over"
        if not self.turns:
            return "ready"
        return "revealed" if self.turns[-1].is_revealed else "asking"

    @property
    def question(self) -> Question:
        """The face that is asked, or was asked last. Raises Refused (other_face) when there is none."""
        if not self.turns:
            raise Refused("other_face")
        turn = self.turns[-1]
        return Question(
            mode=self.mode,
            face=turn.face,
            number=self.begun + len(self.turns),
            length=self.length,
            seconds=self.answer_s,
            closes_at=self._closes_at(turn),
            answered=len(turn.answers),
        )

    def next(
        self, deck: DeckLike, history: Sequence[AnswerLike], rng: random.Random, at: float, stumbles: float
    ) -> Question | None:
        """Go on to the next face; None when there is none: then the round is over.

        history: the owner's earlier answers, oldest first; of no use to a channel or daily round. stumbles: see
        `choice.next_face`. Raises Refused: not_revealed, over, or deck_changed (a daily set ends with its deck).
        """
        self._refuse_unless(not self.is_over, "over")
        self._refuse_unless(self.phase != "asking", "not_revealed")
        if self._is_complete:
            self.is_over = True
            return None
        if self.mode == "daily":
            self._refuse_unless(deck.id == self.deck, "deck_changed")
            face = deck.face(self.queue.pop(0))
        else:
            met = history if self.mode == "solo" else ()
            face = next_face(deck, met, [turn.face for turn in self.turns], rng, stumbles)
        self.turns.append(Turn.of(face, deck.id, at, {turn.cue for turn in self.turns}))
        return self.question

    def answer(self, player: str, said: Side, confidence: float, at: float, number: int | None = None) -> None:
        """Take a player's answer. The first one counts: what others do after it cannot change it, nor a second click.

        number: of the face that was clicked, so that a button of an earlier face does not answer this one.
        Raises Refused: over, other_face, not_yours, already_answered, too_late; ValueError for a confidence outside
        [0.5, 1].
        """
        self._refuse_unless(not self.is_over, "over")
        self._refuse_unless(bool(self.turns) and number in (None, self.question.number), "other_face")
        self._refuse_unless(self.mode == "channel" or player == self.owner, "not_yours")
        turn = self.turns[-1]
        self._refuse_unless(turn.answer_of(player) is None, "already_answered")
        self._refuse_unless(not turn.is_revealed and not self._is_closed(turn, at), "too_late")
        answer_points(confidence, True)
        turn.answers.append(Given(player, said, confidence, at))

    def can_reveal(self, at: float) -> bool:
        """Whether the face is done: its only player has answered, or the time is up, answered or not."""
        if self.phase == "revealed":
            return True
        return self.phase == "asking" and (
            self._is_closed(self.turns[-1], at) if self.mode == "channel" else bool(self.turns[-1].answers)
        )

    def reveal(self, at: float, early: bool = False) -> Reveal:
        """The truth. Asking again gives it again, so that it may be said once more after a crash.

        early: a channel does not wait for its timer; who may ask for that is the caller's to know.
        Raises Refused: over, too_early.
        """
        self._refuse_unless(not self.is_over, "over")
        is_cut_short = early and self.mode == "channel" and self.phase == "asking"
        self._refuse_unless(is_cut_short or self.can_reveal(at), "too_early")
        turn = self.turns[-1]
        turn.is_revealed = True
        results = (self._result(turn, given) for given in turn.answers)
        return Reveal(
            mode=self.mode,
            deck=turn.deck,
            day=self.day,
            face=turn.face,
            number=self.question.number,
            length=self.length,
            is_last=self._is_complete,
            truth=turn.truth,
            kind=turn.kind,
            machine_p_fake=turn.machine_p_fake,
            machine_verdict=turn.machine_verdict,
            machine_wrong=turn.machine_wrong,
            machine_points=turn.machine_points,
            cue=turn.cue,
            results=tuple(sorted(results, key=lambda result: (-result.points, result.seconds))),
        )

    def stop(self, player: str | None) -> None:
        """End the round; a face that is not revealed yet does not count. player: None for somebody with the right to.

        Raises Refused: over, not_yours.
        """
        self._refuse_unless(not self.is_over, "over")
        self._refuse_unless(player in (None, self.owner), "not_yours")
        self.is_over = True
        self.turns = [turn for turn in self.turns if turn.is_revealed]

    def forget(self, player: str) -> None:
        """Remove a player's answers from a channel's round; a round of their own is deleted as a whole."""
        for turn in self.turns:
            turn.answers = [given for given in turn.answers if given.player != player]

    def to_json(self) -> str:
        """All of it, as JSON text."""
        return _SAVED.dump_json(_Saved(VERSION, self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Round:
        """The round that `to_json` saved. Raises UnreadableRound."""
        try:
            return _SAVED.validate_json(text).round
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"]) or "its beginning"
            raise UnreadableRound(f"a saved round cannot be read, it is broken or another version's: {place}") from None

    @property
    def _is_complete(self) -> bool:
        return self.length is not None and self.begun + len(self.turns) >= self.length

    def _closes_at(self, turn: Turn) -> float | None:
        return None if self.answer_s is None else turn.asked_at + self.answer_s

    def _is_closed(self, turn: Turn, at: float) -> bool:
        closes_at = self._closes_at(turn)
        return closes_at is not None and at >= closes_at

    def _result(self, turn: Turn, given: Given) -> Result:
        before = [(each, each.answer_of(given.player)) for each in self.turns]
        streak, _ = streaks((each.is_right(own), own.confidence) for each, own in before if own)
        return Result(
            player=given.player,
            said=given.said,
            confidence=given.confidence,
            seconds=given.at - turn.asked_at,
            is_right=turn.is_right(given),
            points=turn.points(given),
            streak=streak,
        )

    @staticmethod
    def _refuse_unless(allowed: bool, reason: Reason) -> None:
        if not allowed:
            raise Refused(reason)


@with_config(ConfigDict(extra="forbid"))
@dataclass
class _Saved:
    version: Literal[1]
    round: Round


_SAVED = TypeAdapter(_Saved)
