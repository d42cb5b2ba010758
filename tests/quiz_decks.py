"""Decks without pictures, and answers about their faces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from bot.quiz.deck import Face
from bot.quiz.scoring import answer_points
from bot.records import Answer
from bot.verdict import Label, Side

DAY = date(2026, 1, 2)


@dataclass(frozen=True)
class FakeDeck:
    """As much of a deck as the game asks for."""

    id: str
    faces: tuple[Face, ...]

    def face(self, face_id: str) -> Face:
        return next(face for face in self.faces if face.id == face_id)


def face(
    face_id: str,
    truth: Side,
    p_fake: float | None = None,
    difficulty: float = 0.5,
    kind: str | None = "stylegan1",
    cues: tuple[str, ...] = ("eyes", "hair", "teeth"),
) -> Face:
    """A face on which the machine is right, unless `p_fake` says otherwise; unsure from 0.4 to 0.6."""
    if p_fake is None:
        p_fake = 0.93 if truth == "fake" else 0.07
    verdict: Label = "unsure" if 0.4 < p_fake < 0.6 else "fake" if p_fake >= 0.5 else "real"
    return Face(
        id=face_id,
        truth=truth,
        kind="real" if truth == "real" else kind or "stylegan1",
        difficulty=difficulty,
        machine_p_fake=p_fake,
        machine_verdict=verdict,
        machine_wrong=verdict not in (truth, "unsure"),
        cues=cues,
        heat_side="fake",
        heat_place="left",
    )


def deck_of(size: int = 50, machine_wrong_reals: float = 0.1) -> FakeDeck:
    """`size` reals and `size` fakes of two kinds, difficulties spread evenly in [0, 1] in each.

    The machine is wrong on every tenth fake and on that share of reals.
    """
    faces = []
    for n in range(size):
        difficulty = (n + 0.5) / size
        faces.append(face(f"r{n}", "real", 0.9 if n % 20 < 20 * machine_wrong_reals else None, difficulty))
        kind = "sd3" if n % 2 else "stylegan1"
        faces.append(face(f"f{n}", "fake", 0.1 if n % 10 == 4 else None, difficulty, kind))
    return FakeDeck("deck", tuple(faces))


def answer(of: Face, is_right: bool, n: int, confidence: float = 0.8) -> Answer:
    """The answer number `n` of somebody, an hour after the one before."""
    other: Side = "real" if of.truth == "fake" else "fake"
    return Answer(
        round_id="r",
        face_id=of.id,
        deck_id="deck",
        kind=of.kind,
        truth=of.truth,
        said=of.truth if is_right else other,
        confidence=confidence,
        points=answer_points(confidence, is_right),
        mode="solo",
        at=datetime(2026, 1, 2, tzinfo=UTC) + timedelta(hours=n),
        machine_p_fake=of.machine_p_fake,
        machine_label=of.machine_verdict,
    )
