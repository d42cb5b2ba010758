"""/leaderboard and /stats."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from telegram import Message

from bot.chat.quiz_scores import Scope, board, own_stats
from bot.chat.telegram.askers import PLATFORM, account_of, place_of, sender_of, words_for
from bot.chat.telegram.menu import MenuEntry
from bot.chat.telegram.private import person_or_say, say_as_wished, say_privately
from bot.chat.telegram.quiz import rounds_of
from bot.chat.telegram.quiz_cards import plain
from bot.chat.telegram.replies import Upload, say
from bot.quiz.texts import Block
from bot.words import later

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

_LEADERBOARD = later("The best of the quiz")
_STATS = later("How well you tell real from generated, and how well you know it")
_SCOPES: dict[str, Scope] = {"": "server", "everyone": "everyone", "today": "today"}
_SHOW = "show"
_PICTURE = "stats.png"


def register(bot: TelegramBot) -> None:
    """Add the commands."""
    bot.add_command(MenuEntry("leaderboard", _LEADERBOARD), partial(leaderboard, bot))
    bot.add_command(MenuEntry("stats", _STATS), partial(stats, bot))


async def leaderboard(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /leaderboard, of this group; /leaderboard everyone or today."""
    bot.app.metrics.requests.labels(PLATFORM, "leaderboard").inc()
    sender, place = sender_of(message), place_of(message.chat)
    t = await words_for(bot.app, sender, message.chat)
    scope = _SCOPES.get(text.lower())
    if scope is None:
        await say(bot, message, t("There is /leaderboard, /leaderboard everyone and /leaderboard today."))
        return
    faces = rounds_of(bot).quizzing.daily_faces
    block = await board(bot.app, account_of(sender), place, scope, faces, t)
    await say_as_wished(bot, message, _text(block))


async def stats(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /stats, so that only the player sees it; /stats show, for everybody here."""
    bot.app.metrics.requests.labels(PLATFORM, "stats").inc()
    person = await person_or_say(bot, message)
    if person is None:
        return
    t = await words_for(bot.app, person, message.chat)
    found = await own_stats(bot.app, account_of(person), t)
    upload = None if found.picture is None else Upload(found.picture, _PICTURE)
    if text.lower() == _SHOW:
        await say(bot, message, _text(found.block), upload=upload)
    else:
        await say_privately(bot, message, person, _text(found.block), upload=upload)


def _text(block: Block) -> str:
    return plain("\n".join((block.title, *block.lines)))
