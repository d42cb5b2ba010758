"""What only one person is to see: said in their own chat with the bot, which Telegram lets only them begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telegram import Chat, InaccessibleMessage, Message, User
from telegram.constants import ChatType

from bot.chat.manners import is_private
from bot.chat.telegram.askers import PLATFORM, place_of, sender_of, words_for
from bot.chat.telegram.replies import Buttons, Place, Upload, say

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot


def person_of(message: Message) -> User | None:
    """Who wrote `message`; None for somebody who writes in the name of a group or channel, whoever that is."""
    return None if message.sender_chat is not None else message.from_user


async def person_or_say(bot: TelegramBot, message: Message) -> User | None:
    """The same, but those who cannot be known are told so."""
    person = person_of(message)
    if person is None:
        t = await words_for(bot.app, sender_of(message), message.chat)
        await say(bot, message, t("You write in the name of a chat, so I can't know who you are. Ask me in private."))
    return person


def private_place(message: Message, person: User) -> Place:
    """Where `person` is answered alone."""
    if place_of(message.chat) is None:
        return message
    return InaccessibleMessage(Chat(person.id, ChatType.PRIVATE), 0)


async def say_privately(
    bot: TelegramBot,
    message: Message,
    person: User,
    text: str,
    *,
    buttons: Buttons = None,
    upload: Upload | None = None,
) -> Message | None:
    """Answer so that only `person`, who wrote `message`, sees it; the message, None where that cannot be done yet."""
    place = private_place(message, person)
    sent = await say(bot, place, text, buttons=buttons, upload=upload)
    if place is not message:
        await say_where(bot, message, person, is_there=sent is not None)
    return sent


async def say_where(bot: TelegramBot, message: Message, person: User, *, is_there: bool) -> None:
    """Tell in the group where the answer is. is_there: whether it could be sent."""
    t = await words_for(bot.app, person, message.chat)
    link = f"https://t.me/{bot.username}"
    if is_there:
        await say(bot, message, t("I have answered you in our own chat: {link}", link=link))
    else:
        await say(bot, message, t("I can't write to you yet. Open {link}, press Start, and ask again.", link=link))


async def say_as_wished(bot: TelegramBot, message: Message, text: str) -> None:
    """Answer a command: to everybody, or alone where the group's admins want it so."""
    if not is_private(await bot.app.settings(PLATFORM, place_of(message.chat))):
        await say(bot, message, text)
    elif person := await person_or_say(bot, message):
        await say_privately(bot, message, person, text)
