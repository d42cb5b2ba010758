"""The buttons below an answer. All they need is in their data and in the messages they stand under, so they outlive
restarts, and no picture is kept here.

The answer to one picture is a reply to the message that has it, and Telegram brings that along with a press: it is
fetched again, and is the same when its sha256 is that of the "wrong" button. The answer to several carries what the
network saw of each as its file; to look at that again gives the same heatmaps.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from telegram import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from bot.chat.answers import answer, layer_choices, thanks_for_claim, wrong_label
from bot.chat.app import Request
from bot.chat.buttons import (
    HOW_TO_READ,
    LAYER_ID,
    WRONG_ID,
    HowToReadButton,
    LayerButton,
    WrongButton,
    model_mark,
    parse_button,
    wrong_buttons,
)
from bot.chat.info import how_to_read
from bot.chat.presses import claim, layer_of
from bot.chat.refusals import OldButton
from bot.chat.telegram import pictures, seen
from bot.chat.telegram.askers import PLATFORM, request_of, words_for
from bot.chat.telegram.captions import caption_of
from bot.chat.telegram.replies import Upload, as_upload, at_work, say, toast
from bot.words import Words
from bot.worker import Checked, Want
from infra.errors import UserError
from infra.http import HttpError

if TYPE_CHECKING:
    from bot.chat.telegram.client import TelegramBot

MAX_PANEL_BYTES = 10 * 2**20 - 64 * 1024  # of a photo, https://core.telegram.org/bots/api#sendphoto
_MOST_LAYERS = 20  # ten rows of two, which a phone shows without scrolling far
_A_ROW = 2
_PICTURE_ID = re.compile(rf"picture:(?P<number>[0-9]):(?P<wrong>{WRONG_ID.pattern})", re.ASCII)


class PictureGone(UserError):  # noqa: N818 – says what happened
    """The picture that a button is about was deleted, or is another by now."""


@dataclass(frozen=True)
class Press:
    """message: the answer, below which the button stands."""

    query: CallbackQuery
    data: str
    message: Message
    t: Words
    request: Request


Work: TypeAlias = Callable[["TelegramBot", Press], Coroutine[Any, Any, None]]


def register(bot: TelegramBot) -> None:
    """Have presses of these buttons answered, also of those that were sent before the last restart."""
    bot.add_button(LAYER_ID, partial(_pressed, bot, _on_layer))
    bot.add_button(WRONG_ID, partial(_pressed, bot, _on_wrong))
    bot.add_button(re.compile(re.escape(HOW_TO_READ)), partial(_pressed, bot, _on_how))
    bot.add_button(_PICTURE_ID, partial(_pressed, bot, _on_picture))


def keyboard_of(checked: Checked, t: Words) -> InlineKeyboardMarkup:
    """The buttons of the only picture of an answer."""
    mark = model_mark(checked.verdict.model)
    layers = [
        InlineKeyboardButton(layer.label, callback_data=LayerButton(0, layer.index, mark).id)
        for layer in layer_choices(checked.verdict, _MOST_LAYERS, t)
    ]
    said = checked.verdict.verdict
    wrong = [
        InlineKeyboardButton(wrong_label(said, one.claimed, t), callback_data=one.id)
        for one in wrong_buttons(checked.sha256, said)
    ]
    return InlineKeyboardMarkup([*_rows(layers), [_how(t)], wrong])


def keyboard_of_several(checked: Sequence[tuple[int, Checked]], t: Words) -> InlineKeyboardMarkup:
    """A button for each picture that gets its own buttons. checked: with the number of each, counted from 1."""
    buttons = [
        InlineKeyboardButton(
            t("Picture {number}", number=number),
            callback_data=f"picture:{tile}:{wrong_buttons(one.sha256, one.verdict.verdict)[0].id}",
        )
        for tile, (number, one) in enumerate(checked)
    ]
    return InlineKeyboardMarkup([*_rows(buttons), [_how(t)]])


async def _pressed(bot: TelegramBot, work: Work, query: CallbackQuery, match: re.Match[str]) -> None:
    """Do what the button stands for; raises what goes wrong, but for a picture that is gone, which is said here."""
    message = query.message
    if not isinstance(message, Message):  # Telegram does not show it to bots any more
        raise OldButton
    bot.app.metrics.requests.labels(PLATFORM, "button").inc()
    t = await words_for(bot.app, query.from_user, message.chat)
    try:
        await work(bot, Press(query, match.string, message, t, request_of(query.from_user, message.chat, t)))
    except PictureGone:
        line = t("The picture that this was about is gone, or I can't see it any more. Send it again for a new answer.")
        if bot.is_unanswered(query.id):
            await toast(bot, query, line, alert=True)
        else:
            await say(bot, message, line)


async def _on_layer(bot: TelegramBot, press: Press) -> None:
    """Show one layer large; the whole answer anew where another model has come since."""
    button = parse_button(press.data)
    if not isinstance(button, LayerButton):
        raise OldButton
    await toast(bot, press.query)  # at once: a button shows that it is waited for, and not for long
    async with at_work(bot, press.message):
        data = await _picture(bot, press.message)
        layer = await layer_of(bot.app, button, data, press.request, MAX_PANEL_BYTES, press.t)
        if layer is None:
            await _look_anew(bot, press, data)
            return
        upload = as_upload(layer.picture, "layer") if layer.picture is not None else None
        await say(bot, press.message, f"{layer.title}\n{layer.caption}", upload=upload)


async def _on_picture(bot: TelegramBot, press: Press) -> None:
    """Say again what was said about one picture of several, with its own buttons and what they need."""
    match = _PICTURE_ID.fullmatch(press.data)
    wrong = parse_button(match["wrong"]) if match is not None else None
    if match is None or not isinstance(wrong, WrongButton):
        raise OldButton
    await toast(bot, press.query)
    async with at_work(bot, press.message):
        data = await asyncio.to_thread(seen.tile_of, await _seen(bot, press.message), int(match["number"]))
        want = Want(panel=False, language=press.t.language)
        checked = await bot.app.look_again(data, press.request, want)
        said = _line_of(press) or answer(checked.verdict, press.t).title
        buttons = keyboard_of(replace(checked, sha256=wrong.sha256), press.t)
        await say(bot, press.message, said, buttons=buttons, upload=Upload(data, seen.NAME, as_file=True))


async def _on_wrong(bot: TelegramBot, press: Press) -> None:
    """Keep that somebody disagrees, for review, and thank for it."""
    button = parse_button(press.data)
    if not isinstance(button, WrongButton):
        raise OldButton
    await claim(bot.app, button, press.request, partial(_picture, bot, press.message))
    await toast(bot, press.query, thanks_for_claim(press.t), alert=True)


async def _on_how(bot: TelegramBot, press: Press) -> None:
    """Explain numbers and heatmaps."""
    await toast(bot, press.query)
    text = "\n\n".join(f"{block.title}\n{block.text}" for block in how_to_read(press.t))
    await say(bot, press.message, text)


async def _look_anew(bot: TelegramBot, press: Press, data: bytes) -> None:
    """The answer of the new model, in reply to the message that its buttons find the picture in."""
    want = Want(max_bytes=MAX_PANEL_BYTES, language=press.t.language)
    checked = await bot.app.look_again(data, press.request, want)
    checked = replace(checked, sha256=_sha256_of(press.message) or checked.sha256)
    with_seen = _with_seen(bot, press.message)
    if with_seen is not None:
        text = press.t(
            "I have a newer model since this answer, so I looked again, at the small copy that I still have. Send the "
            "picture again for a full answer."
        )
    else:
        text = press.t("I have a newer model since this answer, so I looked again.")
    upload = as_upload(checked.panel, "panel") if checked.panel is not None else None
    text = caption_of(answer(checked.verdict, press.t), before=text)
    where = with_seen or press.message.reply_to_message or press.message
    await say(bot, where, text, buttons=keyboard_of(checked, press.t), upload=upload)


async def _picture(bot: TelegramBot, message: Message) -> bytes:
    """The picture that an answer is about, or what the network saw of it. Raises PictureGone and HttpErrors."""
    with_seen = _with_seen(bot, message)
    if with_seen is not None:
        return await _seen(bot, with_seen)
    expected, other = _sha256_of(message), message.reply_to_message
    if other is None:
        raise PictureGone("the message with the picture was deleted")
    found = pictures.of_messages([other], bot.app.params.telegram.max_images, with_links=True)
    for place in await pictures.candidates(bot, found.sources):
        try:
            if isinstance(place, Exception):
                raise place
            data = await bot.app.fetch(place)
        except HttpError as error:
            if error.retriable:
                raise
            continue  # a link that leads nowhere any more
        if expected is None or hashlib.sha256(data).hexdigest() == expected:
            return data
    raise PictureGone("the message no longer has the picture")


async def _seen(bot: TelegramBot, message: Message) -> bytes:
    """The file of a message. Raises PictureGone and HttpErrors."""
    for place in await pictures.candidates(bot, pictures.of_messages([message], 1, with_links=False).sources):
        if isinstance(place, Exception):
            raise place
        return await bot.app.fetch(place)
    raise PictureGone("the message has no file")


def _with_seen(bot: TelegramBot, message: Message) -> Message | None:
    """The message that has what the network saw as its file: the answer itself, or the one that it follows."""
    for one in (message, message.reply_to_message):
        is_own = one is not None and one.from_user is not None and one.from_user.id == bot.api.id
        if one is not None and is_own and one.document is not None and one.document.file_name == seen.NAME:
            return one
    return None


def _sha256_of(message: Message) -> str | None:
    """The hash of the picture as it came, which the buttons of its answer know."""
    parsed = (parse_button(str(button.callback_data or "")) for button in _buttons_of(message))
    return next((one.sha256 for one in parsed if isinstance(one, WrongButton)), None)


def _line_of(press: Press) -> str | None:
    """What the answer says about the picture of a button: the line that begins with its number."""
    label = next((button.text for button in _buttons_of(press.message) if button.callback_data == press.data), "")
    number = re.search(r"\d+", label)
    lines = (press.message.caption or "").splitlines()
    return next((line for line in lines if number is not None and line.startswith(f"{number[0]}. ")), None)


def _buttons_of(message: Message) -> list[InlineKeyboardButton]:
    return [button for row in (message.reply_markup.inline_keyboard if message.reply_markup else ()) for button in row]


def _how(t: Words) -> InlineKeyboardButton:
    return InlineKeyboardButton(t("How to read this"), callback_data=HowToReadButton().id)


def _rows(buttons: Sequence[InlineKeyboardButton]) -> list[list[InlineKeyboardButton]]:
    return [list(buttons[i : i + _A_ROW]) for i in range(0, len(buttons), _A_ROW)]
