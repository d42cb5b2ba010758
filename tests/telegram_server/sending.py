"""Methods by which the bot sends: texts, photos, files, albums, copies and forwards, and that it is typing."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from tests.telegram_server import payloads
from tests.telegram_server.api import method
from tests.telegram_server.composing import captioned, chat_known, chat_to_write, fresh, uploaded
from tests.telegram_server.errors import ApiError, bad
from tests.telegram_server.formatting import MAX_TEXT, parsed
from tests.telegram_server.parameters import CAPTION, SENDING, Call
from tests.telegram_server.world import Message

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer

ACTIONS = ("typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
           "choose_sticker", "find_location", "record_video_note", "upload_video_note")  # fmt: skip
_PREVIEW_FIELDS = {"is_disabled", "url", "prefer_small_media", "prefer_large_media", "show_above_text"}
_PLURALS = {"photo": "photos", "document": "documents", "animation": "animations", "video": "videos"}


def preview(args: dict[str, Any]) -> dict[str, Any]:
    """The details of a message that says how links are to be previewed."""
    options = args.get("link_preview_options")
    if options is None and args.get("disable_web_page_preview"):
        options = {"is_disabled": True}
    if options is None:
        return {}
    if not isinstance(options, dict) or not set(options) <= _PREVIEW_FIELDS:
        raise bad("can't parse link preview options")
    return {"link_preview_options": options}


@method("sendMessage", text="str", parse_mode="str", entities="json", link_preview_options="json",
        disable_web_page_preview="bool", reply_markup="json", **SENDING)  # fmt: skip
async def send_message(server: TelegramServer, call: Call) -> Any:
    args = call.args
    chat = chat_to_write(server, call)
    text, entities = parsed(args.get("text", ""), args.get("parse_mode"), args.get("entities"), MAX_TEXT)
    if not text:
        raise bad("message text is empty")
    made = fresh(server, call, chat, text=text, entities=entities)
    made.details |= preview(args)
    return _post(server, made)


@method("sendPhoto", photo="file", has_spoiler="bool", reply_markup="json", **CAPTION, **SENDING)
async def send_photo(server: TelegramServer, call: Call) -> Any:
    return await _send_media(server, call, "photo")


@method("sendDocument", document="file", thumbnail="file", disable_content_type_detection="bool", reply_markup="json",
        **CAPTION, **SENDING)  # fmt: skip
async def send_document(server: TelegramServer, call: Call) -> Any:
    return await _send_media(server, call, "document")


@method("sendAnimation", animation="file", duration="int", width="int", height="int", thumbnail="file",
        has_spoiler="bool", reply_markup="json", **CAPTION, **SENDING)  # fmt: skip
async def send_animation(server: TelegramServer, call: Call) -> Any:
    return await _send_media(server, call, "animation")


@method("sendVideo", video="file", duration="int", width="int", height="int", thumbnail="file", cover="file",
        start_timestamp="int", has_spoiler="bool", supports_streaming="bool", reply_markup="json", **CAPTION,
        **SENDING)  # fmt: skip
async def send_video(server: TelegramServer, call: Call) -> Any:
    return await _send_media(server, call, "video")


async def _send_media(server: TelegramServer, call: Call, kind: str) -> Any:
    chat = chat_to_write(server, call, _PLURALS[kind])
    media = uploaded(server, call, kind, call.args.get(kind), kind)
    made = fresh(server, call, chat, media=media, **captioned(call.args))
    media.is_spoiler = call.args.get("has_spoiler", False)
    if call.args.get("show_caption_above_media") and made.text:
        made.details["show_caption_above_media"] = True
    return _post(server, made)


@method("sendMediaGroup", media="json", **SENDING)
async def send_media_group(server: TelegramServer, call: Call) -> Any:
    chat = chat_to_write(server, call, "photos")
    items = call.args.get("media")
    if not isinstance(items, list):
        raise bad("can't parse media: expected an Array of InputMedia")
    if not 2 <= len(items) <= 10:
        # one alone Telegram sends as a plain message, which its documentation does not promise
        raise bad("too many messages to send as an album" if len(items) > 10 else "there are no messages to send")
    kinds = {item.get("type") for item in items}
    if kinds - {"photo", "video", "document", "audio"}:
        raise bad(f"can't parse InputMedia: type {sorted(kinds, key=str)} can't be used in an album")
    for kind in ("document", "audio"):
        if kind in kinds and len(kinds) > 1:
            raise bad(f"{kind} can't be mixed with other media types")
    group = str(secrets.randbits(53) + 10**16)
    made = []
    for number, item in enumerate(items, 1):
        try:
            media = uploaded(server, call, item["type"], item.get("media"), "")
        except ApiError as error:
            if error.what in ("IMAGE_PROCESS_FAILED", "PHOTO_INVALID_DIMENSIONS"):
                raise bad(f'failed to send message #{number} with the error message "{error.what}"') from None
            raise
        made.append(fresh(server, call, chat, media=media, media_group_id=group, **captioned(item)))
    return [_post(server, message) for message in made]


@method("copyMessage", from_chat_id="chat", message_id="int", video_start_timestamp="int", reply_markup="json",
        **CAPTION, **SENDING)  # fmt: skip
async def copy_message(server: TelegramServer, call: Call) -> Any:
    found = _original(server, call, "copy")
    chat = chat_to_write(server, call)
    made = fresh(server, call, chat, text=found.text, entities=found.entities, media=found.media)
    if "caption" in call.args and found.media:
        made.text, made.entities = captioned(call.args)["text"], captioned(call.args)["entities"]
    _post(server, made)
    return {"message_id": made.id}


@method("forwardMessage", from_chat_id="chat", message_id="int", video_start_timestamp="int", **SENDING)
async def forward_message(server: TelegramServer, call: Call) -> Any:
    found = _original(server, call, "forward")
    chat = chat_to_write(server, call)
    made = fresh(server, call, chat, text=found.text, entities=found.entities, media=found.media)
    made.origin = server.origin_of(found)
    return _post(server, made)


@method("sendChatAction", chat_id="chat", action="str", message_thread_id="int", business_connection_id="str")
async def send_chat_action(server: TelegramServer, call: Call) -> Any:
    chat = chat_to_write(server, call)
    action = call.args.get("action", "")
    if action not in ACTIONS:
        raise bad("wrong parameter action in request")
    server.record("action", chat=chat, action=action)
    return True


@method("getFile", file_id="str")
async def get_file(server: TelegramServer, call: Call) -> Any:
    _, stored = server.files.find(call.args.get("file_id", ""))
    server.files.publish(stored)
    shown = stored.shown
    return {key: shown[key] for key in ("file_id", "file_unique_id", "file_size")} | {"file_path": stored.path}


def _original(server: TelegramServer, call: Call, verb: str) -> Message:
    home = chat_known(server, Call(call.method, {"chat_id": call.args.get("from_chat_id")}))
    found = home.messages.get(call.args.get("message_id", 0))
    if found is None or found.is_deleted:
        raise bad(f"message to {verb} not found")
    if found.service:
        raise bad(f"message can't be {'copied' if verb == 'copy' else 'forwarded'}")
    return found


def _post(server: TelegramServer, made: Message) -> dict[str, Any]:
    server.post(made)
    server.record("message", message=made.copy(), live=made)
    return payloads.message(made)
