"""OpenRound: a round of the quiz with all that a chat needs to go on with it after a restart, as it is saved."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bot.quiz.game import Round, UnreadableRound
from bot.quiz.turns import Reveal
from bot.records import Account, Answer

IDLE_S = 15 * 60.0  # after which an endless round is over
LIFE_S = 24 * 3600.0  # after which any other is
_GRACE_S = 120.0  # that a round outlives its end in the records, so that the end can be said
_NOT_YET = ("truth", "kind", "machine_p_fake", "machine_verdict", "machine_wrong", "machine_points", "cue")


@dataclass
class OpenRound:
    """server: such as "discord:2000". language: of the message in which it is played. names: of players, by key.

    where: the platform's own words for the message; empty where it cannot be changed without a player's click.
    touched_at: when somebody last did something, seconds since 1970.
    """

    id: str
    round: Round
    server: str | None
    language: str
    touched_at: float
    where: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def due_at(self) -> float | None:
        """When something happens without a click: the time for a face is up, or an endless round has been forgotten."""
        if self.round.phase == "asking" and self.round.question.closes_at is not None:
            return self.round.question.closes_at
        return self.idle_at if self.round.length is None else None

    @property
    def idle_at(self) -> float:
        """When nobody plays any more."""
        return self.touched_at + (IDLE_S if self.round.length is None else LIFE_S)

    @property
    def expires_at(self) -> float:
        """When the records may drop it."""
        return self.idle_at + _GRACE_S

    def to_json(self) -> str:
        """In the form that `Records.save_round` asks for: what is about a player stands under the player's key."""
        saved = json.loads(self.round.to_json())
        for turn in saved["round"]["turns"]:
            turn["answers"] = {given.pop("player"): given for given in turn["answers"]}
        kept = {"language": self.language, "touched_at": self.touched_at, "where": self.where, "names": self.names}
        return json.dumps({**kept, "game": saved}, ensure_ascii=False)

    @classmethod
    def from_json(cls, round_id: str, server: str | None, text: str) -> OpenRound:
        """Raises UnreadableRound. A round whose owner wanted to be forgotten is nobody's."""
        try:
            kept = json.loads(text)
            saved = kept["game"]
            saved["round"]["owner"] = saved["round"]["owner"] or ""
            for turn in saved["round"]["turns"]:
                turn["answers"] = [{"player": player, **given} for player, given in turn["answers"].items()]
            return cls(
                round_id, Round.from_json(json.dumps(saved)), server,
                kept["language"], kept["touched_at"], kept["where"], kept["names"],
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UnreadableRound("a saved round cannot be read, it is broken or another version's") from None


def own_part(state: str, keys: Collection[str]) -> dict[str, Any]:
    """A saved round as one of its players may see it: nothing of a face that has not been revealed, nor of others.

    keys: of the player's accounts.
    """
    kept: dict[str, Any] = json.loads(state)
    saved = kept.get("game", {}).get("round", {})
    for turn in saved.get("turns", []):
        turn["answers"] = {key: given for key, given in turn.get("answers", {}).items() if key in keys}
        if not turn.get("is_revealed"):
            for name in _NOT_YET:
                turn.pop(name, None)
    kept["names"] = {key: name for key, name in kept.get("names", {}).items() if key in keys}
    saved["owner"] = saved.get("owner") if saved.get("owner") in keys else None
    saved.pop("queue", None)
    return kept


def answers_of(open_: OpenRound, told: Reveal, at: float) -> list[tuple[Account, Answer]]:
    """Everybody's answers to a face, for the records. at: of the reveal, seconds since 1970.

    The records take one answer of a person to a face in a round, but in a long round of a small deck faces come again.
    """
    round_id = open_.id if told.mode == "daily" else f"{open_.id}.{told.number}"
    answer = Answer(
        round_id=round_id, face_id=told.face, deck_id=told.deck, kind=told.kind, truth=told.truth, said=told.truth,
        confidence=1, points=0, mode=told.mode, at=datetime.fromtimestamp(at, UTC),
        machine_p_fake=told.machine_p_fake, machine_label=told.machine_verdict, server=open_.server, day=told.day,
    )  # fmt: skip
    return [
        (
            Account.of(result.player, open_.names.get(result.player)),
            replace(
                answer, said=result.said, confidence=result.confidence, points=result.points, seconds=result.seconds
            ),
        )
        for result in told.results
    ]
