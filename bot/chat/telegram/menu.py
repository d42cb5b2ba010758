"""The menu of commands that Telegram shows beside the text field, in each language that the bot speaks."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telegram import (
    BotCommand,
    BotCommandScope,
    BotCommandScopeAllChatAdministrators,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
)
from telegram.error import TelegramError

from bot.words import LANGUAGES, words

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

_log = logging.getLogger("bot.telegram")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


@dataclass(frozen=True)
class MenuEntry:
    """A command. name: lower case letters, digits and underscores. text: `later("…")`, or empty to leave it out of the
    menu. Where it is offered: to everybody in private, in groups, or to their admins only. aliases: further names.
    """

    name: str
    text: str = ""
    in_private: bool = True
    in_groups: bool = True
    for_admins: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that it answers to."""
        return (self.name, *self.aliases)


async def publish(bot: TelegramBot) -> None:
    """Tell Telegram the commands, once a start; that they cannot be told is no reason not to answer."""
    pause_s = _FIRST_PAUSE_S
    while not bot.is_stopping:
        try:
            for scope, entries in _menus(bot.menu):
                for language in LANGUAGES:
                    t = words(language)
                    commands = [BotCommand(entry.name, t(entry.text)) for entry in entries]
                    await bot.api.set_my_commands(commands, scope, language_code=None if language == "en" else language)
        except TelegramError as error:
            bot.app.metrics.errors.labels("telegram", "menu").inc()
            _log.warning("the commands could not be told, next try in %.0f s: %s", pause_s, error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        else:
            _log.info("told %d commands", sum(bool(entry.text) for entry in bot.menu))
            return


def _menus(entries: list[MenuEntry]) -> list[tuple[BotCommandScope, list[MenuEntry]]]:
    """What is offered where; admins see what everybody sees, and their own."""
    told = [entry for entry in entries if entry.text]
    in_groups = [entry for entry in told if entry.in_groups]
    return [
        (BotCommandScopeAllPrivateChats(), [entry for entry in told if entry.in_private]),
        (BotCommandScopeAllGroupChats(), [entry for entry in in_groups if not entry.for_admins]),
        (BotCommandScopeAllChatAdministrators(), in_groups),
    ]
