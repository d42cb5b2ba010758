"""What the quiz says in a round: plain text in titled blocks, for any chat to dress as it likes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bot.quiz.cues import cue_words, cues
from bot.quiz.game import Reason, Refused
from bot.quiz.scoring import STEPS, answer_points
from bot.quiz.summary import MachineScore, Standing, Summary
from bot.quiz.turns import Question, Result, Reveal
from bot.verdict import Side
from bot.wording import label_word, percent
from bot.words import Words, later

Names: TypeAlias = Callable[[str], str]  # a player's key ▶ what to call them, already safe to show on that platform

MOST_NAMED = 10  # players in a reveal or a summary; a busy channel would fill a screen


@dataclass(frozen=True)
class Block:
    """A title and lines below it, without any markup."""

    title: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines."""
        return "\n".join(self.lines)


def question(t: Words, asked: Question) -> Block:
    """What is said with the picture."""
    lines = [t("Real or fake, and how sure are you?")]
    if asked.seconds is not None:
        lines.append(
            t.n(
                "You have {count} second. Your first answer counts; who said what comes with the answer.",
                "You have {count} seconds. Your first answer counts; who said what comes with the answer.",
                round(asked.seconds),
            )
        )
    return Block(face_title(t, asked), tuple(lines))


def face_title(t: Words, asked: Question | Reveal) -> str:
    """ "Face 3 of 10"; also all that may be said about the picture to people who do not see it."""
    if asked.length is None:
        title = t("Face {number}", number=asked.number)
    else:
        title = t("Face {number} of {length}", number=asked.number, length=asked.length)
    return t("Today's set: {face}", face=title) if asked.mode == "daily" else title


def answer_label(t: Words, said: Side, confidence: float) -> str:
    """For a button: "Fake, very sure (95%)"."""
    sure = min(STEPS, key=lambda step: abs(step.confidence - confidence))
    return t("{said}, {sure} ({percent})", said=_said(t, said), sure=t(sure.name), percent=percent(confidence, t))


def reveal(t: Words, told: Reveal, names: Names) -> Block:
    """The truth, the machine's answer, everybody's answers and a place to look at."""
    if told.mode == "channel":
        lines = _everybody(t, told.results, names)
    else:
        lines = [_yours(t, result) for result in told.results]
    lines.append(_machine_said(t, told))
    if told.truth == "fake":
        lines.append(t("Drawn by {generator}.", generator=told.kind))
    if told.cue is not None and told.cue in cues():
        lines.append(cue_words(told.cue, told.truth, t))
    title = t("It is fake") if told.truth == "fake" else t("It is real")
    return Block(f"{face_title(t, told)} · {title}", tuple(lines))


def summary(t: Words, round: Summary, names: Names) -> Block:
    """The end of a round."""
    if not round.standings:
        return Block(t("The round is over"), (t("Nobody answered."),))
    if round.mode == "channel":
        lines = [_ranked(t, standing, names) for standing in round.standings[:MOST_NAMED]]
        lines += _and_more(t, len(round.standings) - MOST_NAMED)
        lines.append(_machine_line(t, round.machine))
    else:
        own = round.standings[0]
        lines = [_own_line(t, own)]
        if own.streak > 1:
            lines.append(t.n("{count} right in a row.", "{count} right in a row.", own.streak))
        lines.append(_machine_line(t, own.machine))
    return Block(t("The round is over"), tuple(lines))


def rules(t: Words) -> Block:
    """How points work, with what each step earns and costs."""
    steps = []
    for step in STEPS:
        right, wrong = (signed(t, answer_points(step.confidence, is_right)) for is_right in (True, False))
        sure, said = t(step.name).capitalize(), percent(step.confidence, t)
        steps.append(
            t(
                "{sure} ({percent}): {right} if right, {wrong} if wrong",
                sure=sure,
                percent=said,
                right=right,
                wrong=wrong,
            )
        )
    return Block(
        t("How points work"),
        (
            t("For every face you say real or fake, and how sure you are."),
            *steps,
            t("Over time you earn the most by saying how sure you really are. No answer is 0 points."),
            t("The machine plays by the same rule."),
        ),
    )


def refusal(t: Words, refused: Refused) -> str:
    """Why a click was not taken, in a friendly line."""
    return t(_REFUSALS[refused.reason])


def signed(t: Words, points: float) -> str:
    """Whole points with their sign: "+84", "−1,560", "0"."""
    whole = round(points)
    return ("+" if whole > 0 else "−" if whole else "") + t.number(abs(whole))


_REFUSALS: Mapping[Reason, str] = {
    "already_answered": later("You have answered this face already; the first answer counts."),
    "too_late": later("Too late: this face is closed. The next one is yours."),
    "too_early": later("Not yet: this face is still open."),
    "other_face": later("That face is done; please answer the newest one."),
    "not_yours": later("This round is somebody else's. Start your own with /quiz."),
    "not_revealed": later("First the answer to this face, then the next one."),
    "deck_changed": later("There are new faces in the quiz, so this daily set has ended."),
    "over": later("This round is over. Start another with /quiz."),
}


def _said(t: Words, said: Side) -> str:
    return label_word(said, t).capitalize()


def _machine_said(t: Words, told: Reveal) -> str:
    values = {"label": label_word(told.machine_verdict, t), "percent": percent(told.machine_p_fake, t)}
    if told.machine_verdict == "unsure":
        text = t("The machine was unsure: {percent} likely to be generated.", percent=values["percent"])
    elif told.machine_wrong:
        text = t("The machine was wrong here: it said {label}, {percent} likely to be generated.", **values)
    else:
        text = t("The machine was right: it said {label}, {percent} likely to be generated.", **values)
    return f"{text} {_points(t, told.machine_points)}"


def _points(t: Words, points: int) -> str:
    return t.n("{points} point.", "{points} points.", abs(points), points=signed(t, points))


def _yours(t: Words, result: Result) -> str:
    label = answer_label(t, result.said, result.confidence)
    said = t("You were right: {answer}.", answer=label) if result.is_right else t("You said: {answer}.", answer=label)
    return f"{said} {_points(t, result.points)}{_streak(t, result)}"


def _everybody(t: Words, results: Sequence[Result], names: Names) -> list[str]:
    if not results:
        return [t("Nobody answered.")]
    lines = [
        t(
            "{mark} {name}: {answer}. {points}",
            mark="✓" if result.is_right else "✗", name=names(result.player),
            answer=answer_label(t, result.said, result.confidence), points=_points(t, result.points),
        )
        + _streak(t, result)
        for result in results[:MOST_NAMED]
    ]  # fmt: skip
    return lines + _and_more(t, len(results) - MOST_NAMED)


def _streak(t: Words, result: Result) -> str:
    """Said when an answer made it longer."""
    if not result.is_right or result.confidence <= 0.5 or result.streak < 2:
        return ""
    return " " + t.n("{count} right in a row.", "{count} right in a row.", result.streak)


def _and_more(t: Words, count: int) -> list[str]:
    return [t.n("… and {count} more.", "… and {count} more.", count)] if count > 0 else []


def _ranked(t: Words, standing: Standing, names: Names) -> str:
    return t(
        "{rank}. {name}: {points} {right} of {answered} right.",
        rank=standing.rank, name=names(standing.player), points=_points(t, standing.points),
        right=standing.right, answered=standing.answered,
    )  # fmt: skip


def _own_line(t: Words, own: Standing) -> str:
    right = t("You: {right} of {answered} right.", right=own.right, answered=own.answered)
    return f"{right} {_points(t, own.points)}"


def _machine_line(t: Words, machine: MachineScore) -> str:
    faces = machine.right + machine.wrong + machine.unsure
    right = t("The machine: {right} of {faces} right.", right=machine.right, faces=faces)
    unsure = t.n("It was unsure about {count}.", "It was unsure about {count}.", machine.unsure)
    return " ".join([right, *([unsure] if machine.unsure else []), _points(t, machine.points)])
