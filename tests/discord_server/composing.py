"""What a message becomes: its payload checked, its files stored, its pings counted."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.discord_server import message_payloads, permissions
from tests.discord_server.cdn import Upload
from tests.discord_server.component_rules import check_components
from tests.discord_server.errors import ApiError, FormErrors
from tests.discord_server.message_rules import check_message
from tests.discord_server.rest import Call
from tests.discord_server.world import DEFAULT_SIZE_LIMIT, EPHEMERAL, IS_COMPONENTS_V2, Attachment, Channel, Message

if TYPE_CHECKING:
    from tests.discord_server.server import DiscordServer

SENDABLE_FLAGS = 1 << 2 | 1 << 12 | IS_COMPONENTS_V2  # suppress embeds, suppress notifications


def compose(server: DiscordServer, call: Call, where: Channel, *, flags: int = 0, **known: Any) -> Message:
    """A new message of the bot's from a payload and its files, checked; it is in no channel yet."""
    payload = form(call)
    flags |= (payload.get("flags") or 0) & SENDABLE_FLAGS
    check_message(payload, flags)
    check_components(payload.get("components") or [], is_v2=bool(flags & IS_COMPONENTS_V2))
    attachments = _take_files(server, call, payload, where, [], is_ephemeral=bool(flags & EPHEMERAL))
    fresh = Message(
        server.new_id(),
        where,
        server.bot,
        content=(payload.get("content") or "").strip(),
        embeds=payload.get("embeds") or [],
        components=payload.get("components") or [],
        attachments=attachments,
        flags=flags,
        created=server.clock.now(),
        nonce=payload.get("nonce"),
        **known,
    )
    _want_something(fresh)
    _want_embedded_files(fresh)
    _ping(server, fresh, payload.get("allowed_mentions"))
    message_payloads.message(server, fresh, sees_all=True)  # what cannot be told is refused here, not when it is told
    return fresh


def change(server: DiscordServer, call: Call, message: Message) -> None:
    """Edit a message in place; a key that is absent leaves its part as it is, null empties it."""
    payload = form(call)
    flags = message.flags | (payload.get("flags") or 0) & SENDABLE_FLAGS
    check_message(payload, flags)
    check_components(payload.get("components") or [], is_v2=bool(flags & IS_COMPONENTS_V2))
    draft = message.copy()
    draft.flags = flags & ~(1 << 7)
    old = message.attachments
    draft.attachments = _take_files(server, call, payload, message.channel, old, is_ephemeral=message.is_ephemeral)
    if "content" in payload:
        draft.content = (payload["content"] or "").strip()
    for key in ("embeds", "components"):
        if key in payload:
            setattr(draft, key, payload[key] or [])
    if draft.flags & IS_COMPONENTS_V2 and (draft.content or draft.embeds):  # what it had must go with the edit
        check_message({"content": draft.content, "embeds": draft.embeds}, draft.flags)
    _want_something(draft)
    _want_embedded_files(draft)
    message_payloads.message(server, draft, sees_all=True)
    for key in ("flags", "content", "embeds", "components", "attachments"):
        setattr(message, key, getattr(draft, key))
    message.edited = server.clock.now()


def form(call: Call) -> dict[str, Any]:
    payload = call.payload if call.payload is not None else {}
    if not isinstance(payload, dict):
        errors = {
            "_errors": [{"code": "MODEL_TYPE_CONVERT", "message": "Only dictionaries may be used in a ModelType"}]
        }
        raise ApiError(400, 50035, "Invalid Form Body", errors=errors)
    return payload


def _take_files(
    server: DiscordServer,
    call: Call,
    payload: dict[str, Any],
    where: Channel,
    old: list[Attachment],
    *,
    is_ephemeral: bool,
) -> list[Attachment]:
    """The attachments afterwards. Metadata ids name a file n of files[n], or an old attachment that is to stay."""
    limit = where.guild.size_limit if where.guild else DEFAULT_SIZE_LIMIT
    if any(len(data) > limit for _, _, data in call.files.values()):
        raise ApiError(413, 40005, "Request entity too large")
    listed = payload.get("attachments")
    errors = FormErrors()
    about: dict[int, dict[str, Any]] = {}
    kept: list[Attachment] = [] if listed is not None else list(old)
    by_id = {attachment.id: attachment for attachment in old}
    for index, entry in enumerate(listed or []):
        number = int(entry["id"]) if str(entry.get("id", "")).isdecimal() else -1
        if entry.get("description") is not None:
            errors.length(f"attachments.{index}.description", entry["description"], 0, 1024)
        if number in by_id:
            kept.append(replace(by_id[number], description=entry.get("description", by_id[number].description)))
        elif number in call.files:
            about[number] = entry
        else:
            errors.add(f"attachments.{index}.id", "ATTACHMENT_NOT_FOUND", "Attachment data not found")
    if len(kept) + len(call.files) > 10:
        errors.add("attachments", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    errors.check()
    for number, (name, _, data) in sorted(call.files.items()):
        entry = about.get(number, {})
        upload = Upload(entry.get("filename") or name, data, entry.get("description"))
        kept.append(server.cdn.store(upload, where, is_ephemeral=is_ephemeral))
    return kept


def _want_something(message: Message) -> None:
    if not (message.content or message.embeds or message.attachments or message.components or message.snapshots):
        raise ApiError(400, 50006, "Cannot send an empty message")


def _want_embedded_files(message: Message) -> None:
    """Media of components must exist; an embed whose attachment:// names nothing merely shows nothing."""
    names = {attachment.name for attachment in message.attachments}
    errors = FormErrors()
    for index, part in enumerate(message.components):
        for url in re.findall(r"'attachment://([^']+)'", repr(part)):
            if url not in names:
                path = f"components.{index}.media.url"
                errors.add(path, "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", f'"{url}" was not found.')
    errors.check()


def _ping(server: DiscordServer, message: Message, allowed: dict[str, Any] | None) -> None:
    """Who is notified: what the text names, as far as allowed_mentions lets it."""
    parse = ["users", "roles", "everyone"] if allowed is None else allowed.get("parse") or []
    users = [str(number) for number in (allowed or {}).get("users") or []]
    for number in re.findall(r"<@!?(\d+)>", message.content):
        person = server.people.get(int(number))
        if person and person not in message.pings and ("users" in parse or number in users):
            message.pings.append(person)
    roles = [str(number) for number in (allowed or {}).get("roles") or []]
    named = re.findall(r"<@&(\d+)>", message.content)
    message.role_pings = [int(number) for number in named if "roles" in parse or number in roles]
    may = server.bot_may(message.channel) & permissions.MENTION_EVERYONE
    wants = re.search(r"@(everyone|here)", message.content)
    message.pings_everyone = bool(wants and "everyone" in parse and may)
    replies = message.referenced.author if message.referenced else None
    if replies and replies not in message.pings and (allowed is None or allowed.get("replied_user")):
        message.pings.append(replies)
