"""Sending an answer, whatever Telegram says to it: elsewhere, plainer, or not at all. Nothing here raises for that."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image
from telegram import (
    CallbackQuery,
    InlineKeyboardMarkup,
    InputFile,
    InputMediaPhoto,
    LinkPreviewOptions,
    MaybeInaccessibleMessage,
    Message,
    ReplyParameters,
)
from telegram.constants import MessageLimit
from telegram.error import BadRequest, ChatMigrated, Forbidden, TelegramError

from bot.chat.refusals import friendly, is_unexpected
from bot.chat.telegram.askers import PLATFORM, sender_of, words_for
from bot.words import ENGLISH

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

_log = logging.getLogger("bot.telegram")

MAX_TEXT = int(MessageLimit.MAX_TEXT_LENGTH)  # UTF-16 code units, as Telegram counts
MAX_CAPTION = int(MessageLimit.CAPTION_LENGTH)
_MAX_TOAST = 200  # of the words over the chat that a press is answered with
_PHOTO_SIDE = 1280  # pixels of a photo's longer side; of a larger one Telegram's programs show a smaller copy
_ACTION_EVERY_S = 4.5  # Telegram shows one for five seconds

Buttons: TypeAlias = InlineKeyboardMarkup | None
Place: TypeAlias = Message | MaybeInaccessibleMessage
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Upload:
    """A picture that goes along. as_file: byte for byte, rather than as a photo, which Telegram recompresses.

    caption: below it, in an album.
    """

    data: bytes
    name: str
    as_file: bool = False
    caption: str = ""


def as_upload(picture: bytes, name: str) -> Upload:
    """A panel or a layer as it is sent best: as a photo, which is seen at once; but as a file where Telegram would
    shrink it, since the writing in it could not be read any more.
    """
    with Image.open(io.BytesIO(picture)) as opened:
        longest = max(opened.size)
    suffix = "png" if picture.startswith(b"\x89PNG") else "jpg"
    return Upload(picture, f"{name}.{suffix}", as_file=longest > _PHOTO_SIDE)


async def say(
    bot: TelegramBot,
    message: Place,
    text: str,
    *,
    buttons: Buttons = None,
    upload: Upload | None = None,
) -> Message | None:
    """Answer `message` with plain text, and perhaps a picture above it; the message with the buttons, or None when
    nobody could be told. A text that is too long goes on in further messages.
    """
    first, *more = parts(text, MAX_CAPTION if upload is not None else MAX_TEXT)
    where = _where(message, is_reply=True)
    sent = await _attempt(bot, where, lambda to: _send(bot, to, first, buttons, upload))
    for part in more if sent is not None else ():
        await _attempt(bot, where, lambda to, part=part: _send(bot, to, part, None, None))  # type: ignore[misc]
    return sent if isinstance(sent, Message) else None


async def say_album(bot: TelegramBot, message: Place, uploads: Sequence[Upload]) -> bool:
    """Answer with two to ten photos as one album; whether somebody could be told."""

    async def send(to: dict[str, Any]) -> Any:
        media = [
            InputMediaPhoto(upload.data, caption=_cut(upload.caption, MAX_CAPTION) or None, filename=upload.name)
            for upload in uploads
        ]
        return await bot.api.send_media_group(media=media, **to)

    return await _attempt(bot, _where(message, is_reply=True), send) is not None


async def edit(bot: TelegramBot, message: Place, text: str, buttons: Buttons = None) -> bool:
    """Give a message of the bot's other words and buttons; whether it shows them now."""
    has_media = isinstance(message, Message) and bool(message.photo or message.document)
    try:
        if has_media:
            await bot.api.edit_message_caption(
                message.chat.id, message.message_id, caption=parts(text, MAX_CAPTION)[0], reply_markup=buttons
            )
        else:
            await bot.api.edit_message_text(
                parts(text, MAX_TEXT)[0], message.chat.id, message.message_id, reply_markup=buttons,
                link_preview_options=LinkPreviewOptions(is_disabled=True),
            )  # fmt: skip
    except TelegramError as error:
        if (
            "message is not modified" in str(error).lower()
        ):  # somebody pressed twice, or the first try arrived after all
            return True
        note(bot, error, "edit")
        return False
    return True


async def toast(bot: TelegramBot, query: CallbackQuery, text: str = "", *, alert: bool = False) -> None:
    """Answer a press, once: words over the chat that only who pressed sees, for a moment or, with `alert`, until they
    are read. To be done soon, since a button shows that it is waited for.
    """
    if not bot.heard(query.id):
        return
    try:
        await bot.api.answer_callback_query(query.id, _sentences(text, _MAX_TOAST) or None, show_alert=alert)
    except TelegramError as error:  # too old: the bot was away
        note(bot, error, "toast")


async def say_failed(bot: TelegramBot, where: Message | CallbackQuery, error: BaseException) -> None:
    """One friendly line for whoever wrote, or pressed; never raises."""
    note(bot, error, "message" if isinstance(where, Message) else "button")
    if isinstance(error, Forbidden):
        return
    try:
        if isinstance(where, Message):
            await say(bot, where, friendly(error, await words_for(bot.app, sender_of(where), where.chat)))
            return
        message = where.message
        chat = message.chat if message is not None else None
        line = friendly(error, await words_for(bot.app, where.from_user, chat) if chat else ENGLISH)
        if bot.is_unanswered(where.id):
            await toast(bot, where, line, alert=True)
        elif message is not None:
            await say(bot, message, line)
    except Exception as failure:  # there is nobody left to tell
        _log.info("nobody could be told: %s", bot.redacted(f"{type(failure).__name__}: {failure}"))


def note(bot: TelegramBot, error: BaseException, kind: str) -> None:
    """Count what went wrong, and log it: in a line where it is Telegram's, with its traceback where it is ours."""
    bot.app.metrics.errors.labels(PLATFORM, kind).inc()
    if isinstance(error, TelegramError | OSError):
        _log.info("%s: %s", kind, bot.redacted(f"{type(error).__name__}: {error}"))
    elif is_unexpected(error):
        _log.error("%s failed", kind, exc_info=error)


@asynccontextmanager
async def at_work(bot: TelegramBot, message: Place, action: str = "upload_photo") -> AsyncIterator[None]:
    """ "sending a photo…" meanwhile; the answer does not wait for it."""
    shown = asyncio.create_task(_act(bot, message, action))
    try:
        yield
    finally:
        shown.cancel()


def units(text: str) -> int:
    """The length of `text` as Telegram counts it."""
    return len(text.encode("utf-16-le")) // 2


def parts(text: str, first: int) -> list[str]:
    """`text` in pieces that messages hold, the first of `first` UTF-16 code units at most; broken at lines, or where
    there are none at words.
    """
    pieces: list[str] = []
    most = first
    while units(text) > most:
        head = _cut(text, most, "")
        at = max(head.rfind("\n"), 0) or max(head.rfind(" "), 0) or len(head)
        pieces.append(text[:at].rstrip())
        text = text[at:].lstrip()
        most = MAX_TEXT
    return [*pieces, text] if text or not pieces else pieces


async def _send(bot: TelegramBot, to: dict[str, Any], text: str, buttons: Buttons, upload: Upload | None) -> Message:
    if upload is None:
        return await bot.api.send_message(
            text=text, reply_markup=buttons, link_preview_options=LinkPreviewOptions(is_disabled=True), **to
        )
    if not upload.as_file:
        try:
            photo = InputFile(upload.data, upload.name)
            return await bot.api.send_photo(photo=photo, caption=text or None, reply_markup=buttons, **to)
        except BadRequest as error:
            if _is_about_the_chat(error):
                raise
            note(bot, error, "photo")  # such as one that is too large or too narrow, or a group without photos
    try:
        document = InputFile(upload.data, upload.name)
        return await bot.api.send_document(
            document=document, caption=text or None, reply_markup=buttons, disable_content_type_detection=True, **to
        )
    except BadRequest as error:
        if _is_about_the_chat(error):
            raise
        note(bot, error, "document")
    return await _send(bot, to, text, buttons, None)


async def _attempt(bot: TelegramBot, where: dict[str, Any], send: Send) -> Any:
    """What `send` gives, where the chat is now; None when nobody could be told."""
    to = dict(where)
    for _ in range(3):
        try:
            return await send(to)
        except ChatMigrated as error:
            to = {"chat_id": error.new_chat_id}
        except BadRequest as error:
            if "reply_parameters" not in to or "repl" not in str(error).lower():
                note(bot, error, "send")
                return None
            del to["reply_parameters"]  # the message is gone, and a server that has not heard of how we ask minds it
        except TelegramError as error:  # blocked by the person, put out of the group, or no connection for long
            note(bot, error, "send")
            return None
    return None


def _where(message: Place, *, is_reply: bool) -> dict[str, Any]:
    where: dict[str, Any] = {"chat_id": message.chat.id}
    if isinstance(message, Message) and message.is_topic_message:
        where["message_thread_id"] = message.message_thread_id
    if is_reply and message.message_id:  # 0: the beginning of a chat, such as somebody's own
        where["reply_parameters"] = ReplyParameters(message.message_id, allow_sending_without_reply=True)
    return where


def _is_about_the_chat(error: BadRequest) -> bool:
    """Whether another form of the same would not help either."""
    text = str(error).lower()
    return any(words in text for words in ("chat not found", "repl", "topic", "thread"))


async def _act(bot: TelegramBot, message: Place, action: str) -> None:
    where = _where(message, is_reply=False)
    while True:
        with suppress(TelegramError):
            await bot.api.send_chat_action(action=action, **where)
        await asyncio.sleep(_ACTION_EVERY_S)


def _cut(text: str, most: int, mark: str = "…") -> str:
    """`text` in at most `most` UTF-16 code units."""
    if units(text) <= most:
        return text
    return text.encode("utf-16-le")[: 2 * (most - len(mark))].decode("utf-16-le", "ignore") + mark


def _sentences(text: str, most: int) -> str:
    """As many whole sentences as fit, or what fits of the first."""
    if units(text) <= most:
        return text
    end = _cut(text, most, "").rfind(". ")
    return text[: end + 1] if end > 0 else _cut(text, most)
