"""/settings for a group's admins, /language for everybody: by buttons, or by words behind the command."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from telegram import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from bot.chat.info import settings_blocks
from bot.chat.refusals import NotAnAdmin
from bot.chat.telegram.askers import PLATFORM, account_of, channel_of, is_admin, place_of, sender_of, words_for
from bot.chat.telegram.info import block_text
from bot.chat.telegram.menu import MenuEntry
from bot.chat.telegram.private import person_or_say
from bot.chat.telegram.replies import edit, say, toast
from bot.records import PlaceSettings
from bot.records.settings import AUTO
from bot.words import LANGUAGES, Words, later

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

_SETTINGS = later("How I behave in this group")
_LANGUAGE = later("The language in which I answer you")
# A press says what is to hold from now on, so that two presses are as good as one.
_PRESS = re.compile("set:(?P<what>[pea]):(?P<wish>[a-z0-9]{1,4})(?::(?P<topic>[0-9]{1,10}))?", re.ASCII)
_OWN = re.compile("language:(?P<language>[a-z]{2,4})", re.ASCII)
_SWITCH = {"on": True, "off": False}
_PICTURES, _QUIET, _WORDS, _ALONE = "pictures", "quiet", "language", "private"


def register(bot: TelegramBot) -> None:
    """Add the commands and their buttons. (Whoever leaves a group is forgotten there by the client.)"""
    bot.add_command(MenuEntry("settings", _SETTINGS, in_private=False, for_admins=True), partial(settings, bot))
    bot.add_command(MenuEntry("language", _LANGUAGE), partial(language, bot))
    bot.add_button(_PRESS, partial(press, bot))
    bot.add_button(_OWN, partial(press_language, bot))


async def settings(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /settings: show them with buttons, after the change that stands behind the command."""
    bot.app.metrics.requests.labels(PLATFORM, "settings").inc()
    sender, place = sender_of(message), place_of(message.chat)
    t = await words_for(bot.app, sender, message.chat)
    if place is None:
        await say(bot, message, t("These are settings of a group: use /settings there. Your own language: /language."))
        return
    if not await is_admin(bot, message.chat, sender):
        raise NotAnAdmin
    channel, _ = channel_of(message)
    if text and not await _change(bot, place, channel, text.split()):
        await say(bot, message, _usage(t))
        return
    t = await words_for(bot.app, sender, message.chat)  # the language may just have changed
    found = await bot.app.settings(PLATFORM, place)
    await say(bot, message, _shown(found, place, t), buttons=_buttons(found, channel, t))


async def press(bot: TelegramBot, query: CallbackQuery, match: re.Match[str]) -> None:
    """Do what a button below /settings says, for admins."""
    message = query.message
    place = None if message is None else place_of(message.chat)
    if message is None or place is None or not await is_admin(bot, message.chat, query.from_user):
        raise NotAnAdmin
    bot.spawn(toast(bot, query))
    wish, channel = match["wish"], place if match["topic"] is None else f"{place}/{match['topic']}"
    if match["what"] == "p":
        await bot.app.open_channel(PLATFORM, place, channel, wish == "1")
    elif match["what"] == "a":
        await bot.app.change_settings(PLATFORM, place, language=wish)
    else:
        await bot.app.change_settings(PLATFORM, place, ephemeral=wish == "1")
    t = await words_for(bot.app, query.from_user, message.chat)
    found = await bot.app.settings(PLATFORM, place)
    await edit(bot, message, _shown(found, place, t), _buttons(found, channel, t))


async def language(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer /language with a choice, or /language CODE."""
    person = await person_or_say(bot, message)
    if person is None:
        return
    wish = text.lower()
    if wish in (AUTO, *LANGUAGES):
        await bot.app.set_language(account_of(person), None if wish == AUTO else wish)
        await say(bot, message, _from_now_on(wish, await words_for(bot.app, person, message.chat)))
        return
    t = await words_for(bot.app, person, message.chat)
    row = [InlineKeyboardButton(name, callback_data=f"language:{code}") for code, name in _spoken(t)]
    await say(bot, message, t("In which language shall I answer you?"), buttons=InlineKeyboardMarkup([row]))


async def press_language(bot: TelegramBot, query: CallbackQuery, match: re.Match[str]) -> None:
    """Keep the choice of whoever presses, and tell them in the language that they chose."""
    wish = match["language"]
    if query.message is None or wish not in (AUTO, *LANGUAGES):
        await toast(bot, query)
        return
    await bot.app.set_language(account_of(query.from_user), None if wish == AUTO else wish)
    t = await words_for(bot.app, query.from_user, query.message.chat)
    await toast(bot, query, _from_now_on(wish, t))


async def _change(bot: TelegramBot, place: str, channel: str, said: list[str]) -> bool:
    """Do what the words behind /settings say; whether they are understood. Raises ParamsError for what cannot be."""
    what, wishes = said[0].lower(), said[1:]
    wish = wishes[0].lower() if len(wishes) == 1 else ""
    if what == _PICTURES and wish in _SWITCH:
        await bot.app.open_channel(PLATFORM, place, channel, _SWITCH[wish])
    elif what == _ALONE and wish in _SWITCH:
        await bot.app.change_settings(PLATFORM, place, ephemeral=_SWITCH[wish])
    elif what == _WORDS and wish in (AUTO, *LANGUAGES):
        await bot.app.change_settings(PLATFORM, place, language=wish)
    elif what == _QUIET and wish == "off":
        await bot.app.change_settings(PLATFORM, place, quiet_from=None, quiet_to=None)
    elif what == _QUIET and len(wishes) in (2, 3):
        hours: dict[str, Any] = {"quiet_from": wishes[0], "quiet_to": wishes[1]}
        if len(wishes) == 3:
            hours["timezone"] = wishes[2]
        await bot.app.change_settings(PLATFORM, place, **hours)
    else:
        return False
    return True


def _usage(t: Words) -> str:
    ways = (
        f"{_PICTURES} on|off", f"{_QUIET} 22:00 07:30 Europe/Berlin", f"{_QUIET} off",
        f"{_WORDS} {'|'.join((AUTO, *LANGUAGES))}", f"{_ALONE} on|off",
    )  # fmt: skip
    return "\n".join([t("Use the buttons of /settings, or write it so:"), *(f"/settings {way}" for way in ways)])


def _shown(settings: PlaceSettings, place: str, t: Words) -> str:
    def named(channel: str) -> str:
        _, _, topic = channel.partition("/")
        return t("topic {number}", number=topic) if topic else t("this group")

    hint = t("Quiet hours: /settings {example}", example=f"{_QUIET} 22:00 07:30 Europe/Berlin")
    where, *others = settings_blocks(settings, t, named)
    blocks = [replace(where, title=t("Where I answer every picture")), *others]  # Telegram's channels are others
    return f"{block_text(t('Settings of this group'), blocks)}\n\n{hint}"


def _buttons(settings: PlaceSettings, channel: str, t: Words) -> InlineKeyboardMarkup:
    """One row a choice, what holds now marked by a tick."""
    _, _, topic = channel.partition("/")
    topic = f":{topic}" if topic else ""
    is_open = channel in settings.channels
    return InlineKeyboardMarkup([
        [
            _button(t("Answer every picture"), f"set:p:1{topic}", is_open),
            _button(t("Only when asked"), f"set:p:0{topic}", not is_open),
        ],
        [_button(name, f"set:a:{code}", settings.language == code) for code, name in _spoken(t)],
        [
            _button(t("Everybody sees answers"), "set:e:0", not settings.ephemeral),
            _button(t("Only who asked"), "set:e:1", settings.ephemeral),
        ],
    ])  # fmt: skip


def _button(label: str, data: str, is_on: bool) -> InlineKeyboardButton:
    return InlineKeyboardButton(f"✓ {label}" if is_on else label, callback_data=data)


def _spoken(t: Words) -> list[tuple[str, str]]:
    return [(AUTO, t("automatic")), *LANGUAGES.items()]


def _from_now_on(wish: str, t: Words) -> str:
    if wish == AUTO:
        return t("From now on I answer you in the language of your app, or of the group.")
    return t("From now on I answer you in {language}.", language=LANGUAGES[wish])
