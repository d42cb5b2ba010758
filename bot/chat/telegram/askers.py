"""Who asks on Telegram, where, and in which language, as the rest of the bot knows people and places."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from telegram import Chat, Message, User
from telegram.constants import ChatMemberStatus, ChatType

from bot.chat.app import App, Request
from bot.records import Account, Platform
from bot.words import Words

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

PLATFORM: Platform = "telegram"

# A group's anonymous admins and channels speak as a chat.
Sender: TypeAlias = User | Chat

_ADMINS = (ChatMemberStatus.OWNER, ChatMemberStatus.ADMINISTRATOR)


def sender_of(message: Message) -> Sender:
    """Whoever wrote `message`: a person, or the chat in whose name it was written."""
    return message.sender_chat or message.from_user or message.chat


def account_of(sender: Sender) -> Account:
    """A person's account; the name is the one that everybody sees."""
    name = sender.full_name if isinstance(sender, User) else sender.effective_name
    return Account(PLATFORM, str(sender.id), name or str(sender.id))


def place_of(chat: Chat) -> str | None:
    """The id of the group or channel; None alone with somebody."""
    return None if chat.type == ChatType.PRIVATE else str(chat.id)


def channel_of(message: Message) -> tuple[str, str | None]:
    """What the admins may open for pictures: a topic and the group it belongs to, or the whole group and None."""
    group = str(message.chat.id)
    if message.is_topic_message and message.message_thread_id is not None:
        return f"{group}/{message.message_thread_id}", group
    return group, None


async def words_for(app: App, sender: Sender, chat: Chat) -> Words:
    """The language for `sender` in `chat`."""
    locale = sender.language_code if isinstance(sender, User) else None
    return await app.words(account_of(sender), place_of(chat), locale)


def request_of(sender: Sender, chat: Chat, t: Words) -> Request:
    """The same, as the app takes it."""
    return Request(account_of(sender), place_of(chat), t.language)


async def is_admin(bot: TelegramBot, chat: Chat, sender: Sender) -> bool:
    """Whether `sender` may decide for `chat`: alone with the bot everybody, else its admins, anonymous ones too.

    Raises TelegramErrors.
    """
    if chat.type == ChatType.PRIVATE or sender.id == chat.id:
        return True
    if isinstance(sender, Chat):
        return False
    return (await bot.api.get_chat_member(chat.id, sender.id)).status in _ADMINS
