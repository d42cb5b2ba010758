"""/start, /help, /about, /privacy, and what belongs to whoever asks: /mydata and /forgetme."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from telegram import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from bot.chat.about import about_blocks
from bot.chat.info import (
    Block,
    forget_question,
    forgotten,
    gone_lines,
    help_blocks,
    own_data_blocks,
    privacy_blocks,
)
from bot.chat.telegram.askers import PLATFORM, account_of, sender_of, words_for
from bot.chat.telegram.menu import MenuEntry
from bot.chat.telegram.private import person_or_say, say_as_wished, say_privately
from bot.chat.telegram.quiz import rounds_of
from bot.chat.telegram.replies import Upload, edit, toast
from bot.words import Words, later

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

_HELP = later("What I do, and how to ask me")
_ABOUT = later("The model that answers, its limits, and where its data comes from")
_PRIVACY = later("What is kept about you, and how to be rid of it")
_MY_DATA = later("Everything that I have about you, as a file")
_FORGET_ME = later("Delete everything that I have about you")
_FORGET = re.compile("forget:(?P<person>[0-9]{1,16})", re.ASCII)
_FILE = "my-data.json"


def register(bot: TelegramBot) -> None:
    """Add the commands, and the button that confirms a deletion."""
    bot.add_command(MenuEntry("help", _HELP), partial(help_, bot))
    bot.add_command(MenuEntry("start"), partial(start, bot))
    bot.add_command(MenuEntry("about", _ABOUT, aliases=("model",)), partial(about, bot))
    bot.add_command(MenuEntry("privacy", _PRIVACY), partial(privacy, bot))
    bot.add_command(MenuEntry("mydata", _MY_DATA, aliases=("my_data",)), partial(my_data, bot))
    bot.add_command(MenuEntry("forgetme", _FORGET_ME, aliases=("forget_me",)), partial(forget_me, bot))
    bot.add_button(_FORGET, partial(forget, bot))


def typed(name: str) -> str:
    """A command as people type it here, where names hold no hyphens."""
    return "/" + name.replace("-", "")


async def start(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /start. What a link put behind it is left alone: a press on somebody's link must not link accounts."""
    await help_(bot, message, text)


async def help_(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /help."""
    t = await _heard(bot, message, "help")
    ways = [t("As a file a picture reaches me as it is; as a photo Telegram has made it smaller.")]
    await say_as_wished(bot, message, block_text(t("How to use me"), help_blocks(t, typed, ways)))


async def about(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /about."""
    t = await _heard(bot, message, "about")
    deck = rounds_of(bot).quizzing.decks.at_hand
    await say_as_wished(
        bot, message, block_text(t("About me"), about_blocks(bot.app.desk.card, t, deck.attributions if deck else ()))
    )


async def privacy(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /privacy."""
    t = await _heard(bot, message, "privacy")
    await say_as_wished(bot, message, block_text(t("Privacy"), privacy_blocks(t, bot.app.params.keep_days, typed)))


async def my_data(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /mydata with a file, so that nobody else sees it."""
    t = await _heard(bot, message, "my-data")
    if person := await person_or_say(bot, message):
        await bot.app.saved()  # what was asked a moment ago belongs to it
        data = await rounds_of(bot).quizzing.own_data(account_of(person))
        file = Upload(json.dumps(data, ensure_ascii=False, indent=1).encode(), _FILE, as_file=True)
        await say_privately(bot, message, person, block_text("", own_data_blocks(data, t)), upload=file)


async def forget_me(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /forgetme with a question."""
    t = await _heard(bot, message, "forget-me")
    if person := await person_or_say(bot, message):
        button = InlineKeyboardButton(t("Delete everything"), callback_data=f"forget:{person.id}", style="danger")
        await say_privately(bot, message, person, forget_question(t), buttons=InlineKeyboardMarkup([[button]]))


async def forget(bot: TelegramBot, query: CallbackQuery, match: re.Match[str]) -> None:
    """Delete everything about whoever asked and now presses."""
    message = query.message
    if message is None:
        await toast(bot, query)
        return
    if str(query.from_user.id) != match["person"]:  # a forwarded question, or a made-up press
        t = await words_for(bot.app, query.from_user, message.chat)
        await toast(bot, query, t("This button is somebody else's. Yours: {command}", command=typed("forget-me")))
        return
    bot.spawn(toast(bot, query))  # a large database takes seconds
    t = await words_for(bot.app, query.from_user, message.chat)
    gone = await bot.app.forget(account_of(query.from_user))
    await edit(bot, message, "\n".join([forgotten(t), *gone_lines(gone, t)]))


def block_text(title: str, blocks: Sequence[Block]) -> str:
    """Blocks one below the other, each below its title."""
    return "\n\n".join(filter(None, [title, *(f"{block.title}\n{block.text}" for block in blocks)]))


async def _heard(bot: TelegramBot, message: Message, kind: str) -> Words:
    """Counted; in which language to answer."""
    bot.app.metrics.requests.labels(PLATFORM, kind).inc()
    return await words_for(bot.app, sender_of(message), message.chat)
