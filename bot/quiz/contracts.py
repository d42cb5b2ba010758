"""What the game asks of a deck of faces, and of the answers that are kept: all that the quiz knows of them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from bot.quiz.deck import Face
from bot.verdict import Label, Side


class DeckLike(Protocol):
    """id: changes whenever the faces do. face: raises DeckError for an id that is not in the deck."""

    @property
    def id(self) -> str: ...
    @property
    def faces(self) -> tuple[Face, ...]: ...
    def face(self, face_id: str) -> Face: ...


class AnswerLike(Protocol):
    """One answer of one player, as it was scored.

    kind: "real", or what drew the face. confidence: in [0.5, 1]. machine_p_fake, machine_label: what the machine said
    of the same face, None where it was not asked. at: aware.
    """

    @property
    def face_id(self) -> str: ...
    @property
    def truth(self) -> Side: ...
    @property
    def said(self) -> Side: ...
    @property
    def confidence(self) -> float: ...
    @property
    def points(self) -> float: ...
    @property
    def kind(self) -> str: ...
    @property
    def machine_p_fake(self) -> float | None: ...
    @property
    def machine_label(self) -> Label | None: ...
    @property
    def at(self) -> datetime: ...
