"""How accounts, chats and messages are shown to the bot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.telegram_server.world import CHANNEL, Account, Chat, Member, Message

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer

ANONYMOUS = Account(1087968824, "Group", "GroupAnonymousBot", is_bot=True, language=None)
CHANNEL_BOT = Account(136817688, "Channel", "Channel_Bot", is_bot=True, language=None)


def user(account: Account) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": account.id, "is_bot": account.is_bot, "first_name": account.first_name}
    if account.last_name:
        shown["last_name"] = account.last_name
    if account.username:
        shown["username"] = account.username
    if account.language and not account.is_bot:
        shown["language_code"] = account.language
    return shown


def chat(place: Chat) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": place.id, "type": place.kind}
    if place.person:
        names = user(place.person)
        return shown | {key: names[key] for key in ("first_name", "last_name", "username") if key in names}
    shown["title"] = place.title
    if place.username:
        shown["username"] = place.username
    if place.topics:
        shown["is_forum"] = True
    return shown


def message(shown: Message, *, with_reply: bool = True) -> dict[str, Any]:
    """A Message object. What it replies to is shown without what that replies to."""
    payload: dict[str, Any] = {"message_id": shown.id}
    if shown.author:
        payload["from"] = user(shown.author)
    if shown.sender:
        payload["sender_chat"] = chat(shown.sender)
    payload |= {"chat": chat(shown.chat), "date": shown.date}
    if shown.thread:
        payload["message_thread_id"] = shown.thread
        if shown.chat.topics:
            payload["is_topic_message"] = True
    if shown.origin:
        payload["forward_origin"] = shown.origin
    if with_reply and shown.reply_to and not shown.reply_to.is_deleted:
        payload["reply_to_message"] = message(shown.reply_to, with_reply=False)
    if shown.quote:
        payload["quote"] = shown.quote
    if shown.via_bot:
        payload["via_bot"] = user(shown.via_bot)
    if shown.edit_date:
        payload["edit_date"] = shown.edit_date
    if shown.media_group_id:
        payload["media_group_id"] = shown.media_group_id
    payload |= _content(shown)
    if shown.keyboard is not None:
        payload["reply_markup"] = {"inline_keyboard": shown.keyboard}
    return payload | shown.details | shown.service


def message_or_stub(shown: Message) -> dict[str, Any]:
    """What a button was under: of a deleted message only its number."""
    if shown.is_deleted:
        return {"chat": chat(shown.chat), "message_id": shown.id, "date": 0}
    return message(shown)


def _content(shown: Message) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    if shown.media:
        payload |= shown.media.shown
        if shown.media.is_spoiler:
            payload["has_media_spoiler"] = True
    if shown.text:
        payload["caption" if shown.media else "text"] = shown.text
        if shown.entities:
            payload["caption_entities" if shown.media else "entities"] = shown.entities
    return payload


def bot(server: TelegramServer) -> dict[str, Any]:
    """As getMe shows it."""
    return user(server.bot) | {
        "can_join_groups": True,
        "can_read_all_group_messages": not server.has_privacy,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


_ADMIN_RIGHTS = (
    "can_be_edited", "can_manage_chat", "can_change_info", "can_delete_messages", "can_invite_users",
    "can_restrict_members", "can_promote_members", "can_manage_video_chats", "can_post_stories", "can_edit_stories",
    "can_delete_stories",
)  # fmt: skip
_MEMBER_RIGHTS = (
    "can_send_messages", "can_send_audios", "can_send_documents", "can_send_photos", "can_send_videos",
    "can_send_video_notes", "can_send_voice_notes", "can_send_polls", "can_send_other_messages",
    "can_add_web_page_previews", "can_change_info", "can_invite_users", "can_pin_messages", "can_manage_topics",
    "can_edit_tag", "can_react_to_messages",
)  # fmt: skip


def member(found: Member, place: Chat) -> dict[str, Any]:
    """A ChatMember object."""
    shown: dict[str, Any] = {"user": user(found.account), "status": found.status}
    if found.status == "creator":
        shown["is_anonymous"] = found.is_anonymous
    elif found.status == "administrator":
        shown |= dict.fromkeys(_ADMIN_RIGHTS, True) | {"is_anonymous": found.is_anonymous, "can_pin_messages": True}
        if place.kind == CHANNEL:
            shown |= {"can_post_messages": True, "can_edit_messages": True}
    elif found.status == "restricted":
        shown |= dict.fromkeys(_MEMBER_RIGHTS, found.can_send) | {"is_member": True, "until_date": 0}
    elif found.status == "kicked":
        shown["until_date"] = 0
    return shown
