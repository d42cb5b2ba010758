"""What an event may lack, added before discord.py reads it: it wants more than Discord promises, and than proxies send.

A field without which there is nothing to answer (an id, a token, an attachment's URL) is not made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_INTERACTION: dict[str, Any] = {"version": 1, "attachment_size_limit": 10 * 2**20}
_MESSAGE: dict[str, Any] = {"type": 0, "content": "", "embeds": [], "attachments": [], "edited_timestamp": None}
_USER: dict[str, Any] = {"discriminator": "0", "avatar": None}
_MEMBER: dict[str, Any] = {"roles": [], "flags": 0}
_ATTACHMENT: dict[str, Any] = {"size": 0}
# What a thread among a command's options may lack; nobody here looks at it.
_THREAD: dict[str, Any] = {"owner_id": "0", "member_count": 0, "message_count": 0, "permissions": "0"}
_THREAD_METADATA: dict[str, Any] = {
    "archived": False, "auto_archive_duration": 1440, "archive_timestamp": "1970-01-01T00:00:00+00:00"
}  # fmt: skip


def complete_interaction(data: dict[str, Any], application_id: int | None) -> None:
    """Complete INTERACTION_CREATE in place, the message and the options that it brings along too."""
    _fill(data, {**_INTERACTION, "application_id": str(application_id or 0)})
    if "channel" not in data and "channel_id" in data:
        data["channel"] = {"id": data["channel_id"]}
    _complete_author(data, "user")
    if isinstance(data.get("message"), dict):
        complete_message(data["message"])
    options = data.get("data")
    resolved = options.get("resolved") if isinstance(options, dict) else None
    if not isinstance(resolved, dict):
        return
    for message in _parts(resolved.get("messages")):
        message.setdefault("channel_id", data.get("channel_id"))
        complete_message(message)
    for attachment in _parts(resolved.get("attachments")):
        _complete_attachment(attachment)
    for channel in _parts(resolved.get("channels")):
        channel.setdefault("permissions", "0")
        if "parent_id" in channel and "position" not in channel:
            _fill(channel, _THREAD)
            channel["thread_metadata"] = {**_THREAD_METADATA, **(channel.get("thread_metadata") or {})}


def complete_message(data: dict[str, Any]) -> None:
    """Complete MESSAGE_CREATE, or any message, in place."""
    _fill(data, _MESSAGE)
    _complete_author(data, "author")
    for attachment in _parts(data["attachments"]):
        _complete_attachment(attachment)
    if isinstance(data.get("referenced_message"), dict):
        complete_message(data["referenced_message"])


def _complete_author(data: dict[str, Any], name: str) -> None:
    member = data.get("member")
    users = [data.get(name), *_parts(data.get("mentions"))]
    if isinstance(member, dict):
        _fill(member, _MEMBER)
        users.append(member.get("user"))
    for user in users:
        if isinstance(user, dict):
            _fill(user, {**_USER, "username": str(user.get("id"))})


def _complete_attachment(attachment: dict[str, Any]) -> None:
    _fill(attachment, {**_ATTACHMENT, "proxy_url": attachment.get("url")})


def _fill(data: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Add what is not there, or null; a list is a new one each time."""
    for name, value in defaults.items():
        if data.get(name) is None:
            data[name] = list(value) if isinstance(value, list) else value


def _parts(found: Any) -> list[dict[str, Any]]:
    """The objects in a list, or those of a mapping by id."""
    values = found.values() if isinstance(found, dict) else found if isinstance(found, list) else []
    return [value for value in values if isinstance(value, dict)]
