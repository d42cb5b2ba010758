"""Methods by which the bot changes or deletes what it sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.telegram_server import keyboards, payloads
from tests.telegram_server.api import method
from tests.telegram_server.composing import captioned, chat_known, uploaded
from tests.telegram_server.errors import bad, forbidden
from tests.telegram_server.formatting import MAX_TEXT, parsed
from tests.telegram_server.parameters import CAPTION, Call, Kind
from tests.telegram_server.sending import preview
from tests.telegram_server.world import PRIVATE, Message

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer

DELETABLE_S = 48 * 3600  # the documentation of deleteMessage
_WHICH: dict[str, Kind] = {
    "chat_id": "chat", "message_id": "int", "inline_message_id": "str", "business_connection_id": "str",
    "reply_markup": "json",
}  # fmt: skip
_EDITABLE = ("photo", "document", "video", "animation", "audio")
_MEDIA_FIELDS = {"type", "media", "caption", "parse_mode", "caption_entities", "show_caption_above_media",
                 "has_spoiler", "thumbnail", "width", "height", "duration", "supports_streaming", "cover",
                 "start_timestamp", "disable_content_type_detection"}  # fmt: skip


@method("editMessageText", text="str", parse_mode="str", entities="json", link_preview_options="json",
        disable_web_page_preview="bool", **_WHICH)  # fmt: skip
async def edit_message_text(server: TelegramServer, call: Call) -> Any:
    args = call.args
    found = _to_edit(server, call)
    if found.media:
        raise bad("there is no text in the message to edit")
    text, entities = parsed(args.get("text", ""), args.get("parse_mode"), args.get("entities"), MAX_TEXT)
    if not text:
        raise bad("message text is empty")

    def change(message: Message) -> None:
        message.text, message.entities, message.details = text, entities, found.details | preview(args)

    return _changed(server, call, found, change)


@method("editMessageCaption", **CAPTION, **_WHICH)
async def edit_message_caption(server: TelegramServer, call: Call) -> Any:
    found = _to_edit(server, call)
    if not found.media:
        raise bad("there is no caption in the message to edit")
    content = captioned(call.args)

    def change(message: Message) -> None:
        message.text, message.entities = content["text"], content["entities"]

    return _changed(server, call, found, change)


@method("editMessageMedia", media="json", **_WHICH)
async def edit_message_media(server: TelegramServer, call: Call) -> Any:
    found = _to_edit(server, call)
    item = call.args.get("media")
    if not isinstance(item, dict) or not set(item) <= _MEDIA_FIELDS:
        raise bad("can't parse InputMedia")
    if item.get("type") not in _EDITABLE:
        raise bad('can\'t parse InputMedia: field "type" is wrong')
    if found.media and found.media.kind not in _EDITABLE:
        raise bad("message media can't be edited")
    if found.media_group_id and (item["type"] == "document") != (found.media and found.media.kind == "document"):
        raise bad("can't change media type in the album")
    media = uploaded(server, call, item["type"], item.get("media"), "")
    content = captioned(item)

    def change(message: Message) -> None:
        message.media, message.text, message.entities = media, content["text"], content["entities"]

    return _changed(server, call, found, change)


@method("editMessageReplyMarkup", **_WHICH)
async def edit_message_reply_markup(server: TelegramServer, call: Call) -> Any:
    return _changed(server, call, _to_edit(server, call), lambda message: None)


@method("deleteMessage", chat_id="chat", message_id="int")
async def delete_message(server: TelegramServer, call: Call) -> Any:
    _delete(server, call, call.args.get("message_id", 0))
    return True


@method("deleteMessages", chat_id="chat", message_ids="json")
async def delete_messages(server: TelegramServer, call: Call) -> Any:
    numbers = call.args.get("message_ids")
    if not isinstance(numbers, list) or not 1 <= len(numbers) <= 100:
        raise bad("message identifiers are not specified" if not numbers else "too many message identifiers specified")
    chat = chat_known(server, call)
    for number in numbers:
        if number in chat.messages and not chat.messages[number].is_deleted:
            _delete(server, call, number)
    return True


def _delete(server: TelegramServer, call: Call, number: int) -> None:
    chat = chat_known(server, call)
    found = chat.messages.get(number)
    if found is None or found.is_deleted:
        raise bad("message to delete not found")
    is_old = server.clock.now() - found.date > DELETABLE_S
    may_others = chat.kind == PRIVATE or chat.member(server.bot).is_admin
    if is_old or (found.author is not server.bot and not may_others):
        raise bad("message can't be deleted for everyone" if is_old else "message can't be deleted")
    server.remove(found)


def _to_edit(server: TelegramServer, call: Call) -> Message:
    """A message of the bot's own; raises ApiError."""
    if "inline_message_id" in call.args:
        raise bad("MESSAGE_ID_INVALID")
    chat = chat_known(server, call)
    if not call.args.get("message_id"):
        raise bad("message identifier is not specified")
    found = chat.messages.get(call.args["message_id"])
    if found is None or found.is_deleted:
        raise bad("message to edit not found")
    if (found.author is not server.bot and found.sender is not chat) or found.origin or found.markup:
        raise bad("message can't be edited")
    if chat.is_blocked:
        raise forbidden("bot was blocked by the user")
    return found


def _changed(server: TelegramServer, call: Call, found: Message, change: Callable[[Message], None]) -> dict[str, Any]:
    """Apply a change to a message, its keyboard to be what is given, or none; raises where it changes nothing."""
    markup = call.args.get("reply_markup")
    before = found.copy()
    after = found.copy()
    change(after)
    after.keyboard = keyboards.inline(markup) if markup is not None else None
    fields = ("text", "entities", "media", "keyboard")
    if all(getattr(before, name) == getattr(after, name) for name in fields) and before.details == after.details:
        raise bad("message is not modified: specified new message content and reply markup are exactly the same as a "
                  "current content and reply markup of the message")  # fmt: skip
    change(found)
    found.keyboard = after.keyboard
    found.edit_date = int(server.clock.now())
    server.record("edit", message=found.copy(), live=found, before=before)
    return payloads.message(found)
