"""Messages over REST: what may be read, sent, edited and deleted where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.discord_server import message_payloads, permissions
from tests.discord_server.composing import change, compose, form
from tests.discord_server.errors import ApiError, FormErrors, missing_access, missing_permissions, unknown
from tests.discord_server.rest import Call, route
from tests.discord_server.world import Channel, Message

if TYPE_CHECKING:
    from tests.discord_server.server import DiscordServer

NONCE_LIVES_S = 180.0  # "the past few minutes"


def channel_for(server: DiscordServer, number: int) -> Channel:
    """A channel that the bot can see; raises 10003 and 50001."""
    where = server.channels.get(number)
    if where is None or (where.guild and not where.guild.has_bot):
        raise unknown("Channel")
    if not server.bot_may(where) & permissions.VIEW_CHANNEL:
        raise missing_access()
    return where


def message_for(server: DiscordServer, call: Call) -> Message:
    where = channel_for(server, call.number("channel"))
    found = where.messages.get(call.number("message"))
    if found is None:
        raise unknown("Message")
    return found


@route("GET", "/channels/{channel}/messages/{message}")
async def get_message(server: DiscordServer, call: Call) -> Any:
    found = message_for(server, call)
    if not server.bot_may(found.channel) & permissions.READ_MESSAGE_HISTORY:
        raise missing_permissions()
    return message_payloads.message(server, found, sees_all=server.sees_content)


@route("GET", "/channels/{channel}/messages")
async def list_messages(server: DiscordServer, call: Call) -> Any:
    where = channel_for(server, call.number("channel"))
    limit = int(call.query.get("limit", 50))
    if not 1 <= limit <= 100:
        errors = FormErrors()
        errors.add("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        errors.check()
    if not server.bot_may(where) & permissions.READ_MESSAGE_HISTORY:
        return []
    found = sorted(where.messages.values(), key=lambda m: -m.id)
    if "before" in call.query:
        found = [m for m in found if m.id < int(call.query["before"])]
    if "after" in call.query:
        found = [m for m in found if m.id > int(call.query["after"])][-limit:]
    return [message_payloads.message(server, m, sees_all=server.sees_content) for m in found[:limit]]


@route("POST", "/channels/{channel}/messages")
async def create_message(server: DiscordServer, call: Call) -> Any:
    where = channel_for(server, call.number("channel"))
    if where.kind == 4:
        raise ApiError(400, 50008, "Cannot send messages in a non-text channel")
    payload = form(call)
    _may_send(server, where, payload, bool(call.files))
    if (
        payload.get("enforce_nonce")
        and payload.get("nonce")
        and (sent := _sent_already(server, where, payload["nonce"]))
    ):
        return message_payloads.message(server, sent, sees_all=True)
    reference = _reference(server, where, payload.get("message_reference"))
    fresh = compose(server, call, where, **reference)
    where.messages[fresh.id] = fresh
    server.messages[fresh.id] = fresh
    server.record("message", message=fresh.copy(), live=fresh)
    await server.gateway.dispatch_message("MESSAGE_CREATE", fresh)
    return message_payloads.message(server, fresh, sees_all=True)


def _sent_already(server: DiscordServer, where: Channel, nonce: Any) -> Message | None:
    """The bot's message with this nonce of the last minutes: with enforce_nonce it stands for the new one."""
    since = server.clock.now() - NONCE_LIVES_S
    recent = (m for m in where.messages.values() if m.author is server.bot and m.created > since)
    return next((m for m in recent if str(m.nonce) == str(nonce)), None)


def _may_send(server: DiscordServer, where: Channel, payload: dict[str, Any], has_files: bool) -> None:
    may = server.bot_may(where)
    send = permissions.SEND_MESSAGES_IN_THREADS if where.kind == 11 else permissions.SEND_MESSAGES
    if where.recipient and where.recipient.blocks_bot:
        raise ApiError(403, 50007, "Cannot send messages to this user")
    if not may & send:
        raise missing_permissions()
    if payload.get("embeds") and not may & permissions.EMBED_LINKS:
        raise missing_permissions()
    if has_files and not may & permissions.ATTACH_FILES:
        raise missing_permissions()


def _reference(server: DiscordServer, where: Channel, wanted: dict[str, Any] | None) -> dict[str, Any]:
    if not wanted:
        return {}
    if not server.bot_may(where) & permissions.READ_MESSAGE_HISTORY:
        raise ApiError(400, 160002, "Cannot reply without permission to read message history")
    if wanted.get("type") == 1:
        return _forward(server, wanted)
    original = where.messages.get(int(wanted.get("message_id") or 0))
    if original is None:
        if wanted.get("fail_if_not_exists", True) is False:
            return {}
        errors = FormErrors()
        errors.add("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        errors.check()
    reference: dict[str, Any] = {"type": 0, "channel_id": str(where.id), "message_id": str(wanted["message_id"])}
    if where.guild:
        reference["guild_id"] = str(where.guild.id)
    return {"kind": 19, "reference": reference, "referenced": original}


def _forward(server: DiscordServer, wanted: dict[str, Any]) -> dict[str, Any]:
    source = channel_for(server, int(wanted.get("channel_id") or 0))
    original = source.messages.get(int(wanted.get("message_id") or 0))
    if original is None:
        raise unknown("Message")
    if not (server.sees_content or message_payloads.is_told(server, original)):
        raise ApiError(400, 160014, "You cannot forward a message whose content you cannot read.")
    reference = {"type": 1, "channel_id": str(source.id), "message_id": str(original.id)}
    return {"reference": reference, "snapshots": [original.copy()]}


@route("PATCH", "/channels/{channel}/messages/{message}")
async def edit_message(server: DiscordServer, call: Call) -> Any:
    found = message_for(server, call)
    if found.author is not server.bot:
        raise ApiError(403, 50005, "Cannot edit a message authored by another user")
    change(server, call, found)
    server.record("edit", message=found.copy(), live=found)
    await server.gateway.dispatch_message("MESSAGE_UPDATE", found)
    return message_payloads.message(server, found, sees_all=True)


@route("DELETE", "/channels/{channel}/messages/{message}")
async def delete_message(server: DiscordServer, call: Call) -> Any:
    found = message_for(server, call)
    may = server.bot_may(found.channel)
    if found.author is not server.bot and (found.channel.kind == 1 or not may & permissions.MANAGE_MESSAGES):
        raise (
            ApiError(403, 50003, "Cannot execute action on a DM channel")
            if found.channel.kind == 1
            else (missing_permissions())
        )
    await server.delete(found)
    server.record("delete", message=found.copy(), live=found)


@route("POST", "/channels/{channel}/typing")
async def typing(server: DiscordServer, call: Call) -> Any:
    where = channel_for(server, call.number("channel"))
    _may_send(server, where, {}, False)
    server.record("typing", channel=where)
