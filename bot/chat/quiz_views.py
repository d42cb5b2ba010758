"""What a message of the quiz shows: text, pictures with neutral names, and buttons that carry no truth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.chat.quiz_state import OpenRound
from bot.quiz.cues import cue_words, cues
from bot.quiz.deck import Attribution, Face
from bot.quiz.scoring import STEPS
from bot.quiz.summary import summarise
from bot.quiz.texts import Names, face_title, question, reveal, summary
from bot.quiz.turns import Reveal, Turn
from bot.verdict import Side
from bot.wording import label_word, percent
from bot.words import Words, later

FACE_NAME = "face.jpg"  # of every face: a name that differs could be remembered
HEAT_NAME = "heat.png"

Deed: TypeAlias = Literal["answer", "next", "reveal", "stop", "rules"]
Look: TypeAlias = Literal["real", "fake", "go", "quiet"]

PRESS_ID = re.compile(
    r"q:(?P<round>[A-Za-z0-9_-]{8}):(?P<number>[0-9]{1,6}):(?P<what>[rf][0-3]|[nvsh])", re.ASCII
)  # at most 20 bytes
_LETTERS: dict[Deed, str] = {"next": "n", "reveal": "v", "stop": "s", "rules": "h"}
_SIDES: dict[str, Side] = {"r": "real", "f": "fake"}

_PLACES = {
    "upper left": later("strongest in the upper left"),
    "upper centre": later("strongest in the upper centre"),
    "upper right": later("strongest in the upper right"),
    "left": later("strongest at the left"),
    "centre": later("strongest in the centre"),
    "right": later("strongest at the right"),
    "lower left": later("strongest in the lower left"),
    "lower centre": later("strongest in the lower centre"),
    "lower right": later("strongest in the lower right"),
    "everywhere": later("spread all over the picture"),
}


@dataclass(frozen=True)
class Press:
    """What a button does. number: of the face under which it stands. said, step: of an answer; step in STEPS."""

    round_id: str
    number: int
    deed: Deed
    said: Side = "real"
    step: int = 0

    @property
    def id(self) -> str:
        """Up to 20 bytes of ASCII, for every platform."""
        what = f"{self.said[0]}{self.step}" if self.deed == "answer" else _LETTERS[self.deed]
        return f"q:{self.round_id}:{self.number}:{what}"

    @classmethod
    def of(cls, text: str) -> Press | None:
        """The press that an id belongs to; None for everything that no `id` ever was."""
        match = PRESS_ID.fullmatch(text)
        if match is None:
            return None
        what, number = match["what"], int(match["number"])
        if what[0] in _SIDES:
            press = cls(match["round"], number, "answer", _SIDES[what[0]], int(what[1]))
        else:
            press = cls(match["round"], number, next(deed for deed, letter in _LETTERS.items() if letter == what))
        return press if press.id == text else None


@dataclass(frozen=True)
class Button:
    """label: what stands on it. look: how it may be coloured; colour never is the only sign."""

    label: str
    press: Press
    look: Look


@dataclass(frozen=True)
class Picture:
    """A file of a message. alt: for people who do not see it."""

    name: str
    data: bytes
    alt: str


@dataclass(frozen=True)
class Shown:
    """A message of the quiz, in plain text: a platform that reads marks in it has to escape it.

    closes_at: when the time for the face is over, to be shown as the platform shows times. due_at: when
    `Quizzing.time_up` is to be called, unless something else happens before. truth: of a face that is revealed.
    where: as the platform has named it, see `Quizzing.stands`. language: of the text.
    """

    round_id: str
    language: str
    title: str
    lines: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()
    rows: tuple[tuple[Button, ...], ...] = ()
    note: str = ""
    closes_at: float | None = None
    due_at: float | None = None
    truth: Side | None = None
    where: tuple[tuple[str, str], ...] = ()


def asking(t: Words, open_: OpenRound, picture: bytes | None) -> Shown:
    """The face that is asked."""
    asked = open_.round.question
    block = question(t, asked)
    lines = [*block.lines, _steps_line(t)]
    if asked.mode == "channel":
        lines.append(t.n("One answer so far.", "{count} answers so far.", asked.answered))
    alt = t("{face}: a face, real or generated.", face=face_title(t, asked))
    rows = [_answer_buttons(t, open_.id, asked.number, side) for side in ("real", "fake")]
    last = [Button(t("Stop"), Press(open_.id, asked.number, "stop"), "quiet")]
    if asked.mode == "channel":
        last.insert(0, Button(t("Reveal"), Press(open_.id, asked.number, "reveal"), "quiet"))
    last.append(Button(t("How points work"), Press(open_.id, asked.number, "rules"), "quiet"))
    return Shown(
        open_.id, t.language, block.title, tuple(lines), () if picture is None else (Picture(FACE_NAME, picture, alt),),
        (*rows, tuple(last)), closes_at=asked.closes_at, due_at=open_.due_at, where=_where(open_),
    )  # fmt: skip


def revealed(
    t: Words, open_: OpenRound, told: Reveal, face: Face | None, files: Sequence[bytes], credit: Attribution | None
) -> Shown:
    """The truth. face, files (the face, its heatmap), credit: None and empty where the deck is no longer there."""
    block = reveal(t, told, names_of(open_, t))
    pictures: tuple[Picture, ...] = ()
    if face is not None and len(files) == 2:
        pictures = (Picture(FACE_NAME, files[0], block.title), Picture(HEAT_NAME, files[1], heat_alt(t, face)))
    onward = t("To the end") if told.is_last else t("Next face")
    buttons = [Button(onward, Press(open_.id, told.number, "next"), "go")]
    if not told.is_last:
        buttons.append(Button(t("Stop"), Press(open_.id, told.number, "stop"), "quiet"))
    return Shown(
        open_.id, t.language, block.title, block.lines, pictures, (tuple(buttons),), _credit_line(t, credit),
        due_at=open_.due_at, truth=told.truth, where=_where(open_),
    )  # fmt: skip


def ended(t: Words, open_: OpenRound) -> Shown:
    """How the round went, what was missed most, and what to look at next."""
    block = summary(t, summarise(open_.round), names_of(open_, t))
    return Shown(
        open_.id, t.language, block.title, (*block.lines, *_lessons(t, open_.round.turns)), where=_where(open_)
    )


def heat_alt(t: Words, face: Face) -> str:
    """The machine's heatmap in words."""
    if face.heat_place == "nowhere":
        return t("The face in grey: the machine found no evidence that has a place.")
    return t(
        "The face with the machine's evidence for “{side}” over it, {place}.",
        side=label_word(face.heat_side, t), place=t(_PLACES[face.heat_place]),
    )  # fmt: skip


def names_of(open_: OpenRound, t: Words) -> Names:
    """What to call the players of a round."""
    return lambda key: open_.names.get(key) or t("somebody")


def kind_word(t: Words, kind: str) -> str:
    """A kind of faces: real ones, or those of a generator."""
    return t("real photos") if kind == "real" else t("generated faces of {generator}", generator=kind)


def _answer_buttons(t: Words, round_id: str, number: int, side: Side) -> tuple[Button, ...]:
    said = label_word(side, t).capitalize()
    return tuple(
        Button(f"{said} {percent(step.confidence, t)}", Press(round_id, number, "answer", side, n), side)
        for n, step in enumerate(STEPS)
    )


def _steps_line(t: Words) -> str:
    return " · ".join(
        t("{percent}: {sure}", percent=percent(step.confidence, t), sure=t(step.name)) for step in STEPS
    )  # fmt: skip


def _credit_line(t: Words, credit: Attribution | None) -> str:
    if credit is None or not (credit.author or credit.licence):
        return ""
    return t("Picture: {credit}", credit=", ".join(part for part in (credit.author, credit.licence) if part))


def _lessons(t: Words, turns: Sequence[Turn]) -> list[str]:
    """The kind that was missed most, with a place to look at on one of its faces."""
    asked = Counter(turn.kind for turn in turns for _ in turn.answers)
    missed = Counter(turn.kind for turn in turns for given in turn.answers if not turn.is_right(given))
    if not missed:
        return [t("Nothing was missed.")] if asked else []
    kind = max(missed, key=lambda each: (missed[each] / asked[each], missed[each], each))
    lines = [
        t("Missed most: {kind}, {missed} of {asked}.", kind=kind_word(t, kind), missed=missed[kind], asked=asked[kind])
    ]
    known = (turn for turn in turns if turn.kind == kind and turn.cue in cues())
    turn = next((turn for turn in known if not all(turn.is_right(given) for given in turn.answers)), None)
    if turn is not None and turn.cue is not None:
        lines.append(cue_words(turn.cue, turn.truth, t))
    return lines


def _where(open_: OpenRound) -> tuple[tuple[str, str], ...]:
    return tuple(open_.where.items())
