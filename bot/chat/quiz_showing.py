"""What a round shows now, read from its deck, and what a press comes to."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from bot.chat.quiz_deck import Decks
from bot.chat.quiz_state import OpenRound
from bot.chat.quiz_views import Shown, asking, revealed
from bot.quiz.summary import Summary
from bot.quiz.turns import Question, Reveal
from bot.words import words
from infra.errors import UserError

_log = logging.getLogger("bot.quiz")


@dataclass(frozen=True)
class Outcome:
    """What a press comes to. shown: what the message shows from now on, None where it stays as it is.

    note: for whoever pressed, and nobody else. counted: another answer was given to a face that is still open.
    """

    shown: Shown | None = None
    note: str = ""
    counted: bool = False


@dataclass(frozen=True)
class Played:
    """How a round of one player stands, in words and in figures, for platforms that show more than a message does.

    asked: the newest face; what it gives away of it, its id, is not for people. told: None before the reveal.
    so_far: of the faces that have been revealed.
    """

    shown: Shown
    asked: Question
    told: Reveal | None
    so_far: Summary


async def shown_now(open_: OpenRound, decks: Decks, at: float) -> Shown:
    """The face that is asked, or the truth about it. at: seconds since 1970.

    Raises DeckErrors and StorageError for a face that cannot be asked; the truth is told without its pictures then.
    """
    t = words(open_.language)
    if open_.round.phase == "asking":
        turn = open_.round.turns[-1]
        deck = decks.of(turn.deck) or await decks.current()
        return asking(t, open_, await asyncio.to_thread(deck.picture, turn.face))
    told = open_.round.reveal(at)
    if decks.at_hand is None:  # the program has just begun
        with suppress(UserError):
            await decks.current()
    known = decks.of(told.deck)
    try:
        if known is None:
            return revealed(t, open_, told, None, (), None)
        files = await asyncio.gather(
            asyncio.to_thread(known.picture, told.face), asyncio.to_thread(known.heatmap, told.face)
        )
    except UserError as error:
        _log.warning("a face is shown no more: %s", error)
        return revealed(t, open_, told, None, (), None)
    return revealed(t, open_, told, known.face(told.face), files, known.attribution(told.face))
