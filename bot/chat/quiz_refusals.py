"""What may go wrong in the quiz ▶ one friendly line."""

from __future__ import annotations

from bot.chat.refusals import friendly
from bot.quiz.deck import NoDeck
from bot.quiz.game import Refused
from bot.quiz.texts import refusal
from bot.words import Words
from infra.errors import UserError


class NotNow(UserError):  # noqa: N818 – nothing failed
    """What was asked for cannot be had now; the message is for people, in their language."""


def said(error: BaseException, t: Words) -> str:
    """What went wrong in the quiz, in one friendly line."""
    if isinstance(error, Refused):
        return refusal(t, error)
    if isinstance(error, NotNow):
        return str(error)
    if isinstance(error, NoDeck):
        return t(
            "The quiz has no faces yet. Whoever runs me can make them with: {command}", command="python -m bot deck"
        )
    return friendly(error, t)
