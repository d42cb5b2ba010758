"""Which messages a bot is told of: privacy mode, as core.telegram.org/bots/features and /bots/faq describe it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.telegram_server.entities import cut
from tests.telegram_server.world import CHANNEL, PRIVATE, Message

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer


def bot_hears(server: TelegramServer, message: Message) -> bool:
    """Whether the bot gets an update for that."""
    chat = message.chat
    if chat.kind == PRIVATE:
        return True
    member = chat.member(server.bot)
    if not member.is_in:
        return False
    if message.author is not None and message.author.is_bot and message.sender is None:
        return False  # bots do not hear each other
    if message.service or chat.kind == CHANNEL or member.is_admin or not server.has_privacy:
        return True
    return _is_meant(server, message)


def _is_meant(server: TelegramServer, message: Message) -> bool:
    """In privacy mode: commands for this bot, replies to its messages and to messages meant for it.

    A mention is no command and does not count, whatever @BotFather says of the mode (telegraf #545, tdesktop #2117).
    """
    if message.via_bot is server.bot:
        return True
    text = message.text or ""
    for entity in message.entities:
        if entity["type"] == "bot_command" and entity["offset"] == 0:
            _, at, whom = cut(text, entity).lower().partition("@")
            if whom == (server.bot.username or "").lower() or (not at and _spoke_last(server, message)):
                return True
            if at:
                return False  # it is another bot's
    replied = message.reply_to
    return replied is not None and (replied.author is server.bot or _is_meant(server, replied))


def _spoke_last(server: TelegramServer, message: Message) -> bool:
    return message.chat.last_bot in (None, server.bot)
