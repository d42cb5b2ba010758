"""What goes into the records and comes out of them: accounts, answers, results, standings, rounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from bot.verdict import Label, Side  # which brings torch

Platform: TypeAlias = Literal["discord", "telegram", "web"]
Mode: TypeAlias = Literal["solo", "channel", "daily"]

PLATFORMS: tuple[Platform, ...] = get_args(Platform)


@dataclass(frozen=True)
class Account:
    """Whom a platform knows by `id`. name: as leaderboards are to show it; it says nothing about who it is."""

    platform: Platform
    id: str
    name: str | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """Such as "discord:4000"."""
        return f"{self.platform}:{self.id}"

    @classmethod
    def of(cls, key: str, name: str | None = None) -> Account:
        """The account of a key. Raises ValueError for what is none."""
        platform, _, account = key.partition(":")
        if platform not in PLATFORMS or not account:
            raise ValueError(f"'{key}' is not the key of an account")
        return cls(platform, account, name)


@dataclass(frozen=True)
class Answer:
    """One person's answer about one face of the quiz.

    kind: the generator that drew the face, or "real". confidence: in [0.5, 1]. machine_p_fake, machine_label: what the
    detector said, None where it was not asked. server: such as "discord:2000", None outside of any. day: of the daily
    set, None in other modes. seconds: from the face to the answer. at: aware.
    """

    round_id: str
    face_id: str
    deck_id: str
    kind: str
    truth: Side
    said: Side
    confidence: float
    points: float
    mode: Mode
    at: datetime
    machine_p_fake: float | None = None
    machine_label: Label | None = None
    server: str | None = None
    day: date | None = None
    seconds: float | None = None

    @property
    def is_right(self) -> bool:
        """Whether the person saw it."""
        return self.said == self.truth


@dataclass(frozen=True)
class Result:
    """What a model said about the picture with this hash."""

    sha256: str
    verdict: Label
    p_fake: float
    model: str
    at: datetime


@dataclass(frozen=True)
class ClaimedPicture:
    """A picture about which people said "that's wrong". said_real, said_fake: how many called it so.

    verdict, p_fake, model, server: as the newest claim has them; at: of that claim.
    """

    sha256: str
    said_real: int
    said_fake: int
    verdict: Label
    p_fake: float
    model: str
    server: str | None
    at: datetime


@dataclass(frozen=True)
class Standing:
    """A line of a leaderboard. rank: from 1, the same for equals, the next after two firsts being 3.

    person: as `Records.person` gives it. name: None where no account has one. accuracy: in [0, 1].
    """

    rank: int
    person: int
    name: str | None
    answers: int
    accuracy: float
    mean_points: float
    total_points: float
    is_you: bool


@dataclass(frozen=True)
class SavedRound:
    """A round that is still open. state: JSON text, as it was saved."""

    id: str
    platform: Platform
    server: str | None
    kind: str
    state: str
    expires: datetime


@dataclass(frozen=True)
class Totals:
    """How much there is. right: of the answers."""

    people: int
    answers: int
    right: int
    results: int
    claims: int
