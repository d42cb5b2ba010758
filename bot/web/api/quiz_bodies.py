"""What the quiz takes and answers with over HTTP, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from bot.chat.quiz_showing import Played
from bot.chat.quiz_views import HEAT_NAME, Shown
from bot.quiz.scoring import STEPS
from bot.quiz.stats import Rate, Stats
from bot.quiz.summary import Summary
from bot.quiz.turns import Reveal
from bot.records import Standing
from bot.verdict import Label, Side
from bot.web.bodies import Body
from bot.words import Words


def _whole(value: object) -> object:
    """5.0 is an integer in JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


RoundId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8}$", examples=["k3J9_xQz"])]
Number = Annotated[
    int, Field(ge=1, le=999_999, description="Of the face in its round, from 1."), BeforeValidator(_whole)
]
_SURE = ", ".join(f"{n} is {step.confidence:.0%}" for n, step in enumerate(STEPS))


class Sent(Body):
    """What is taken: nothing but what is described, and nothing that would have to be converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StartBody(Sent):
    """Which round to begin."""

    mode: Literal["solo", "daily"] = Field(
        default="solo",
        description="daily: the set of today that everybody gets, once each; one that was begun goes on.",
    )
    length: Annotated[Literal[5, 10] | None, BeforeValidator(_whole)] = Field(
        default=5, description="How many faces; null is endless. Of solo only."
    )
    name: str | None = Field(
        default=None, max_length=80,
        description="What leaderboards are to call you from your next answer on; null leaves it as it is.",
    )  # fmt: skip


class AnswerBody(Sent):
    """An answer to a face."""

    number: Number
    said: Side
    step: Annotated[int, Field(ge=0, lt=len(STEPS)), BeforeValidator(_whole)] = Field(description=f"How sure: {_SURE}.")


class NextBody(Sent):
    """The face that is done."""

    number: Number


class NameBody(Sent):
    """What leaderboards are to call you."""

    name: str | None = Field(max_length=80, description="null takes the name away.", examples=["Ann"])


class CodeBody(Sent):
    """A code from another app, or nothing, to get one."""

    code: str | None = Field(default=None, max_length=40, examples=["ABCD-EFGH"])


class FaceBody(Body):
    """The face; nothing here depends on whether it is real."""

    number: Number
    picture: str = Field(
        description="Where the JPEG is, without the server's address.",
        examples=["/api/v1/quiz/rounds/k3J9_xQz/faces/1/picture"],
    )
    alt: str = Field(description="For people who do not see it.")
    heatmap: str | None = Field(description="Where the PNG with the machine's evidence is; null before the answer.")
    heat_alt: str | None


class MachineBody(Body):
    """What the machine said of the same face."""

    p_fake: float = Field(ge=0, le=1)
    verdict: Label
    points: int


class OutcomeBody(Body):
    """The truth about the face, and what the answer was worth."""

    truth: Side
    kind: str = Field(description="“real”, or the generator that drew it.")
    said: Side
    confidence: float
    is_right: bool
    points: int
    streak: int = Field(description="Right answers in a row, this one included.")
    seconds: float
    machine: MachineBody
    is_last: bool = Field(description="No face comes after this one.")

    @classmethod
    def of(cls, told: Reveal) -> OutcomeBody:
        given = told.results[0]
        machine = MachineBody(p_fake=told.machine_p_fake, verdict=told.machine_verdict, points=told.machine_points)
        return cls(
            truth=told.truth, kind=told.kind, said=given.said, confidence=given.confidence, is_right=given.is_right,
            points=given.points, streak=given.streak, seconds=given.seconds, machine=machine, is_last=told.is_last,
        )  # fmt: skip


class ScoreBody(Body):
    """You and the machine on the faces that you have answered in this round."""

    answered: int
    right: int
    points: int
    streak: int = Field(description="Most right answers in a row.")
    machine_right: int
    machine_unsure: int
    machine_points: int

    @classmethod
    def of(cls, so_far: Summary) -> ScoreBody:
        machine = {
            "machine_right": so_far.machine.right, "machine_unsure": so_far.machine.unsure,
            "machine_points": so_far.machine.points,
        }  # fmt: skip
        if not so_far.standings:
            return cls(answered=0, right=0, points=0, streak=0, **machine)
        own = so_far.standings[0]
        return cls(answered=own.answered, right=own.right, points=own.points, streak=own.streak, **machine)


class SaidBody(Body):
    """Sentences for people, in the language of Accept-Language that is spoken here (en, de)."""

    language: str
    title: str
    lines: list[str]
    note: str = Field(default="", description="Whom the picture is owed to, where that must be said.")


class RoundBody(Body):
    """A round as it stands now."""

    id: RoundId
    mode: Literal["solo", "daily"]
    length: int | None = Field(description="null is endless.")
    phase: Literal["asking", "revealed", "over"]
    face: FaceBody | None = Field(description="null when the round is over.")
    outcome: OutcomeBody | None = Field(description="null before the answer, and when the round is over.")
    score: ScoreBody
    words: SaidBody

    @classmethod
    def of(cls, played: Played) -> RoundBody:
        """A round that goes on."""
        shown, asked, told = played.shown, played.asked, played.told
        at = f"/api/v1/quiz/rounds/{shown.round_id}/faces/{asked.number}"
        alts = {picture.name: picture.alt for picture in shown.pictures}
        face = FaceBody(
            number=asked.number, picture=f"{at}/picture", alt=next(iter(alts.values()), ""),
            heatmap=f"{at}/heatmap" if HEAT_NAME in alts else None, heat_alt=alts.get(HEAT_NAME),
        )  # fmt: skip
        return cls(
            id=shown.round_id, mode="daily" if asked.mode == "daily" else "solo", length=asked.length,
            phase="asking" if told is None else "revealed", face=face,
            outcome=None if told is None else OutcomeBody.of(told), score=ScoreBody.of(played.so_far),
            words=_said(shown),
        )  # fmt: skip

    @classmethod
    def over(cls, last: Played, shown: Shown) -> RoundBody:
        """A round that is over. last: before it was. shown: what is said at the end."""
        return cls(
            id=shown.round_id, mode="daily" if last.asked.mode == "daily" else "solo", length=last.asked.length,
            phase="over", face=None, outcome=None, score=ScoreBody.of(last.so_far), words=_said(shown),
        )  # fmt: skip


class LeaderBody(Body):
    """A line of a leaderboard. Whoever gave no name has null."""

    rank: int = Field(ge=1, description="The same for equals.")
    name: str | None
    answers: int
    accuracy: float = Field(ge=0, le=1)
    points: float = Field(description="Of today's set their sum, else their mean.")
    is_you: bool

    @classmethod
    def of(cls, line: Standing, scope: Literal["everyone", "today"]) -> LeaderBody:
        points = line.total_points if scope == "today" else line.mean_points
        return cls(
            rank=line.rank, name=line.name, answers=line.answers, accuracy=line.accuracy, points=points,
            is_you=line.is_you,
        )  # fmt: skip


class StandingsBody(Body):
    """The best, and you below them where you are not among them."""

    scope: Literal["everyone", "today"]
    min_answers: int = Field(description="From so many answers on somebody is on it.")
    leaders: list[LeaderBody]


class RateBody(Body):
    """Some out of many, and where the true rate lies with 95% confidence."""

    count: int
    of: int
    low: float
    high: float

    @classmethod
    def maybe(cls, rate: Rate) -> RateBody:
        low, high = rate.interval
        return cls(count=rate.count, of=rate.of, low=low, high=high)


class BinBody(Body):
    """The answers that were given with about one confidence."""

    confidence: float
    right: RateBody


class OpenRoundBody(Body):
    """A round that can go on."""

    id: RoundId
    mode: Literal["solo", "daily"]


class MeBody(Body):
    """What you have done so far, on all accounts that are linked; all null and empty of somebody who is new."""

    name: str | None
    linked: int = Field(description="How many accounts are one person's with this one.")
    apps: list[str] = Field(description="Other apps in which accounts of this person are.", examples=[["Discord"]])
    rounds: list[OpenRoundBody] = Field(description="That can go on here; the one played last comes first.")
    points: int
    right: RateBody
    fakes_caught: RateBody
    false_alarms: RateBody = Field(description="Real photos called fake.")
    d_prime: float | None = Field(description="How well you tell the two apart: 0 is chance.")
    criterion: float | None = Field(description="Below 0 leans to “fake”, above to “real”.")
    confidence: float | None
    overconfidence: float | None = Field(description="Mean confidence less the share that was right.")
    brier: float | None = Field(description="0 is best, 0.25 a coin toss.")
    calibration: list[BinBody]
    streak: int
    words: SaidBody
    alt: str = Field(description="The picture of these in words; empty before the first answer.")

    @classmethod
    def of(cls, stats: Stats, data: dict[str, Any], said: SaidBody, alt: str, account_id: str) -> MeBody:
        """data: as `Quizzing.own_data` gives it."""
        names = [row["name"] for row in data["accounts"] if (row["platform"], row["id"]) == ("web", account_id)]
        rounds = [row for row in data["open_rounds"] if row["platform"] == "web" and row["kind"] != "channel"]
        rounds.sort(key=lambda row: -row["state"]["touched_at"])
        return cls(
            name=names[0] if names else None, linked=max(0, len(data["accounts"]) - 1),
            apps=sorted({row["platform"].capitalize() for row in data["accounts"]} - {"Web"}),
            rounds=[OpenRoundBody(id=row["id"], mode=row["kind"]) for row in rounds], points=stats.points,
            right=RateBody.maybe(stats.right), fakes_caught=RateBody.maybe(stats.hits),
            false_alarms=RateBody.maybe(stats.false_alarms), d_prime=stats.d_prime, criterion=stats.criterion,
            confidence=stats.confidence, overconfidence=stats.overconfidence, brier=stats.brier,
            calibration=[BinBody(confidence=each.confidence, right=RateBody.maybe(each.right)) for each in stats.bins],
            streak=stats.streak[1], words=said, alt=alt,
        )  # fmt: skip


class NamedBody(Body):
    """What leaderboards call you from now on."""

    name: str | None = Field(description="As it can be shown: one line, 30 characters; null for none.")


class ForgottenBody(Body):
    """What was deleted: how many rows of each kind."""

    deleted: dict[str, int]


class LinkBody(Body):
    """A code, or that two accounts are one person's now."""

    code: str | None = Field(description="To be typed in your other app; null where you sent one.")
    linked: bool
    lines: list[str] = Field(description="What to do or what that means, in the reader's language.")


def said_body(t: Words, title: str, lines: tuple[str, ...]) -> SaidBody:
    """A block of text for people."""
    return SaidBody(language=t.language, title=title, lines=list(lines))


def _said(shown: Shown) -> SaidBody:
    return SaidBody(language=shown.language, title=shown.title, lines=list(shown.lines), note=shown.note)
