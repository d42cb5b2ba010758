"""One face of a round: what players may see before the reveal, and what after it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, TypeAlias

from bot.quiz.deck import Face
from bot.quiz.scoring import answer_points, machine_points
from bot.verdict import Label, Side

Mode: TypeAlias = Literal["solo", "channel", "daily"]


@dataclass(frozen=True)
class Question:
    """All that may be known of a face before the reveal.

    face: the id by which the deck gives the picture. number: 1 for the round's first. length: None when endless.
    seconds: for an answer; None: as long as you like. closes_at: the clock's time when they are over. answered: how
    many players have; who they are is said after the reveal.
    """

    mode: Mode
    face: str
    number: int
    length: int | None
    seconds: float | None
    closes_at: float | None
    answered: int


@dataclass(frozen=True)
class Given:
    """A player's answer as it was given. confidence: in [0.5, 1]. at: the clock's time."""

    player: str
    said: Side
    confidence: float
    at: float


@dataclass(frozen=True)
class Result:
    """A player's answer, scored. seconds: from the face to the answer.

    streak: right answers in a row in this round, this one included; see `scoring.streaks`.
    """

    player: str
    said: Side
    confidence: float
    seconds: float
    is_right: bool
    points: int
    streak: int


@dataclass(frozen=True)
class Reveal:
    """The truth about a face, with everybody's answers: most points first, then the quickest.

    deck: the id of the one it came from. day: of a daily set. is_last: no face comes after it. machine_points: by the
    players' rule. cue: a key of cues.yaml, or None.
    """

    mode: Mode
    deck: str
    day: date | None
    face: str
    number: int
    length: int | None
    is_last: bool
    truth: Side
    kind: str
    machine_p_fake: float
    machine_verdict: Label
    machine_wrong: bool
    machine_points: int
    cue: str | None
    results: tuple[Result, ...]


@dataclass
class Turn:
    """A face with all that the game knows of it, truth included: state, never shown. Later decks do not change it."""

    face: str
    truth: Side
    kind: str
    machine_p_fake: float
    machine_verdict: Label
    machine_wrong: bool
    cue: str | None
    deck: str
    asked_at: float
    is_revealed: bool = False
    answers: list[Given] = field(default_factory=list)

    @classmethod
    def of(cls, face: Face, deck: str, asked_at: float, cues_shown: Collection[str | None]) -> Turn:
        """The cue is the best that this round has not shown, so that a round teaches several."""
        cue = next((cue for cue in face.cues if cue not in cues_shown), next(iter(face.cues), None))
        return cls(
            face=face.id,
            truth=face.truth,
            kind=face.kind,
            machine_p_fake=face.machine_p_fake,
            machine_verdict=face.machine_verdict,
            machine_wrong=face.machine_wrong,
            cue=cue,
            deck=deck,
            asked_at=asked_at,
        )

    @property
    def machine_points(self) -> int:
        return machine_points(self.machine_p_fake, self.truth)

    def answer_of(self, player: str) -> Given | None:
        return next((given for given in self.answers if given.player == player), None)

    def is_right(self, given: Given) -> bool:
        return given.said == self.truth

    def points(self, given: Given) -> int:
        return answer_points(given.confidence, self.is_right(given))
