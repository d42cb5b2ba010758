"""Making the bot's messages: where they may go, what they reply to, their text, file and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.telegram_server import keyboards
from tests.telegram_server.errors import ApiError, bad, forbidden
from tests.telegram_server.files import MAX_UPLOAD, Media
from tests.telegram_server.formatting import MAX_CAPTION, parsed
from tests.telegram_server.parameters import Call
from tests.telegram_server.world import CHANNEL, PRIVATE, SUPERGROUP, Chat, Message

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer

_REPLY_FIELDS = {"message_id", "chat_id", "allow_sending_without_reply", "quote", "quote_parse_mode", "quote_entities",
                 "quote_position", "checklist_task_id"}  # fmt: skip


def chat_known(server: TelegramServer, call: Call) -> Chat:
    """The chat that is meant, where the bot has ever been; raises ApiError."""
    wanted = call.args.get("chat_id")
    if wanted is None:
        raise bad("chat_id is empty")
    if isinstance(wanted, str):
        found = next((c for c in server.chats.values() if c.username == wanted[1:] and c.kind != PRIVATE), None)
    else:
        found = server.chats.get(wanted)
    if found is None or (found.kind == PRIVATE and not found.is_started):
        raise bad("chat not found")
    if found.migrated_to:
        error = bad("group chat was upgraded to a supergroup chat")
        error.parameters = {"migrate_to_chat_id": found.migrated_to.id}
        raise error
    if found.kind != PRIVATE:
        name = f"{found.kind} chat"
        status = found.member(server.bot).status
        if status == "kicked":
            raise forbidden(f"bot was kicked from the {name}")
        if status == "left":
            raise forbidden(f"bot is not a member of the {name}")
    return found


def chat_to_write(server: TelegramServer, call: Call, what: str = "text messages") -> Chat:
    """A chat in which the bot may send that."""
    found = chat_known(server, call)
    if found.kind == PRIVATE:
        if found.person and found.person.id in server.deactivated:
            raise forbidden("user is deactivated")
        if found.is_blocked:
            raise forbidden("bot was blocked by the user")
        return found
    member = found.member(server.bot)
    if found.kind == CHANNEL and not member.is_admin:
        raise bad("need administrator rights in the channel chat")
    may = found.may_send and member.can_send and (found.may_send_media or what == "text messages")
    if not member.is_admin and not may:
        raise bad(f"not enough rights to send {what} to the chat")
    return found


def fresh(server: TelegramServer, call: Call, chat: Chat, **content: Any) -> Message:
    """A message of the bot's, not posted yet, with what every sending method takes."""
    args = call.args
    made = Message(chat.new_id(), chat, server.bot, int(server.clock.now()), **content)
    if chat.kind == CHANNEL:
        made.author, made.sender = None, chat
    made.reply_to, made.quote = _reply(server, call, chat)
    made.thread = _thread(chat, args.get("message_thread_id"), made.reply_to)
    made.silent = args.get("disable_notification", False)
    made.parse_mode = args.get("parse_mode")
    if args.get("reply_markup") is not None:
        made.keyboard, made.markup = keyboards.any_markup(args["reply_markup"])
    if args.get("protect_content"):
        made.details["has_protected_content"] = True
    if "message_effect_id" in args and chat.kind == PRIVATE:
        made.details["effect_id"] = args["message_effect_id"]
    return made


def captioned(args: dict[str, Any]) -> dict[str, Any]:
    """text and entities of a caption."""
    text, entities = parsed(args.get("caption", ""), args.get("parse_mode"), args.get("caption_entities"), MAX_CAPTION)
    return {"text": text or None, "entities": entities}


def uploaded(server: TelegramServer, call: Call, kind: str, value: Any, field: str) -> Media:
    """The file that a parameter means: an upload, attach://name, or a file_id; raises ApiError."""
    if field in call.files and value is None:
        value = f"attach://{field}"
    if not isinstance(value, str) or not value:
        raise bad(f"there is no {kind} in the request")
    if value.startswith("attach://"):
        name = value.removeprefix("attach://")
        if name not in call.files:
            raise bad(f"can't find attached file {name!r}: there is no such part in the request")
        return _made(server, kind, *call.files[name])
    if value.startswith(("http://", "https://")):
        raise bad("failed to get HTTP URL content")  # fetching from the web is left out
    media, _ = server.files.find(value, kind)
    return media


def _made(server: TelegramServer, kind: str, name: str, mime: str, data: bytes) -> Media:
    if kind == "photo":
        return server.files.photo(data)
    if not data:
        raise bad("file must be non-empty")
    if len(data) > MAX_UPLOAD:
        raise ApiError(413)
    sides: dict[str, Any] = {"width": 320, "height": 240, "duration": 1} if kind in ("animation", "video") else {}
    return server.files.file(kind, data, name, mime, **sides)


def thread_of(chat: Chat, reply_to: Message | None) -> int | None:
    """Where a reply stands."""
    if reply_to is None or chat.kind != SUPERGROUP or reply_to.chat is not chat:
        return None
    return reply_to.thread or (None if chat.topics else reply_to.id)


def _thread(chat: Chat, wanted: int | None, reply_to: Message | None) -> int | None:
    if wanted is None:
        return thread_of(chat, reply_to)
    begins = chat.messages.get(wanted)
    is_there = wanted in chat.topics if chat.topics else begins is not None and not begins.is_deleted
    if chat.kind != SUPERGROUP or not is_there:
        raise bad("message thread not found")
    return wanted


def _reply(server: TelegramServer, call: Call, chat: Chat) -> tuple[Message | None, dict[str, Any] | None]:
    args = call.args
    wanted = args.get("reply_parameters")
    if wanted is None:
        if not args.get("reply_to_message_id"):
            return None, None
        wanted = {
            "message_id": args["reply_to_message_id"],
            "allow_sending_without_reply": args.get("allow_sending_without_reply", False),
        }
    if not isinstance(wanted, dict) or not set(wanted) <= _REPLY_FIELDS:
        raise bad("can't parse reply parameters")
    if not isinstance(wanted.get("message_id"), int):
        raise bad("can't parse reply parameters: message_id must be a Number")
    elsewhere = wanted.get("chat_id")
    home = chat if elsewhere in (None, chat.id) else server.chats.get(elsewhere)
    found = home.messages.get(wanted["message_id"]) if home else None
    if found is None or found.is_deleted:
        if wanted.get("allow_sending_without_reply"):
            return None, None
        raise bad("message to be replied not found")
    quote = {"text": wanted["quote"], "position": wanted.get("quote_position", 0)} if wanted.get("quote") else None
    if quote and quote["text"] not in (found.text or ""):
        raise bad("message text to be replied not found: QUOTE_TEXT_INVALID")
    return found, quote
