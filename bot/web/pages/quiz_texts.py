"""What *Quiz* says: the words in its template, and those that its scripts speak."""

from __future__ import annotations

from dataclasses import dataclass

from bot.chat.info import forgotten
from bot.quiz.scoring import STEPS
from bot.quiz.texts import rules
from bot.verdict import Side
from bot.wording import NO_PROOF, label_word, percent
from bot.words import Words


@dataclass(frozen=True)
class AnswerButton:
    """key: the digit that gives this answer. sure: in words."""

    step: int
    key: int
    percent: str
    sure: str


@dataclass(frozen=True)
class AnswerRow:
    """The answers for one side. letter: the key that goes to them."""

    side: Side
    name: str
    letter: str
    buttons: tuple[AnswerButton, ...]


def answer_buttons(t: Words) -> tuple[AnswerRow, ...]:
    """A row for each side, the least sure first."""
    sides: tuple[tuple[Side, str], ...] = (("real", "R"), ("fake", "F"))
    return tuple(
        AnswerRow(
            side, label_word(side, t).capitalize(), letter,
            tuple(
                AnswerButton(n, row * len(STEPS) + n + 1, percent(step.confidence, t), t(step.name))
                for n, step in enumerate(STEPS)
            ),
        )
        for row, (side, letter) in enumerate(sides)
    )  # fmt: skip


def quiz_words(t: Words) -> dict[str, object]:
    """What the template of *Quiz* says, by its name there."""
    points = rules(t)
    return {
        "title": t("Real or generated?"),
        "lead": t("Look at a face, say what it is and how sure you are. Then you see the truth, and where to look."),
        "start": t("Play"),
        "five": t.n("{count} face", "{count} faces", 5),
        "ten": t.n("{count} face", "{count} faces", 10),
        "endless": t("endless").capitalize(),
        "daily": t("Today's set"),
        "daily_note": t("Today's set is the same for all, once a day, wherever you began it."),
        "name": t("Your name on the leaderboard, if you want one"),
        "rules": points.title,
        "rule_lines": points.lines,
        "kept": t(
            "Kept once you play: your answers and that name, under a random number that a cookie of this page holds. "
            "Nothing else, and nobody else gets it."
        ),
        "script": t("This page needs JavaScript, which comes from this server only."),
        "answer": t("Real or fake, and how sure are you?"),
        "key_hints": t(
            "Keys: {real} or {fake}, then 1 to 4; or 1 to 8 at once. Arrows move, Enter takes.", real="R", fake="F"
        ),
        "next": t("Next face"),
        "stop": t("Stop"),
        "heat": t("where the machine found evidence"),
        "face": t("the face"),
        "beside": t("Side by side"),
        "opacity": t("Heat over the face"),
        "no_proof": t(NO_PROOF),
        "look": t("What it was"),
        "again": t("Play another round"),
        "retry": t("Try again"),
        "board": t("Leaderboard"),
        "everyone": t("The best of all"),
        "rank": t("Rank"),
        "who": t("Name"),
        "points": t("Points"),
        "right": t("Right"),
        "answers": t("Answers"),
        "mine": t("You"),
        "unname": t("Take my name off the leaderboard"),
        "link": t("Play in other apps too"),
        "link_about": t(
            "With one score on Discord, on Telegram and here. Get a code here, or type the one from there."
        ),
        "get_code": t("Get a code"),
        "code": t("Code from the other app"),
        "join": t("Link"),
        "data": t("Your data"),
        "download": t("Show everything that is kept about me"),
        "forget": t("Delete everything"),
        "question": t(
            "This deletes your answers, your rounds and your name on the leaderboard, for good. Are you sure?"
        ),
        "keep": t("Keep it"),
    }


def quiz_script_words(t: Words) -> dict[str, object]:
    """What the scripts of *Quiz* say, by its name there; they fill the braces."""
    return {
        "score": t("You: {points} · The machine: {machine}"),
        "next": t("Next face"),
        "toEnd": t("To the end"),
        "noAnswer": t("I could not reach the server. Is it running? Please try again."),
        "odd": t("The server gave an answer that I don't understand. Please try again."),
        "somebody": t("somebody"),
        "you": t("you"),
        "percent": t("{percent}%"),
        "empty": t("Nobody is on it yet."),
        "from": t("Answers needed: {count}."),
        "sum": t("Points are added up."),
        "mean": t("Points are the mean of all faces."),
        "named": t("The name that you gave here: {name}."),
        "forgotten": forgotten(t),
        "sure": t("This deletes your answers, your rounds and your name on the leaderboard, for good. Are you sure?"),
        "sureOfAll": t(
            "This deletes everything that I have about you in {apps} too, for good: answers, verdicts, names and "
            "settings, not only those from here. Are you sure?"
        ),
        "linked": t("Linked accounts besides this one: {count}."),
    }
