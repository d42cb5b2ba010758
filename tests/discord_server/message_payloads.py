"""Messages as JSON: as the bot may see them, with addresses of files signed afresh each time."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.discord_server.payloads import member, user
from tests.discord_server.world import Message, walk

if TYPE_CHECKING:
    from tests.discord_server.people import Person
    from tests.discord_server.server import DiscordServer
    from tests.discord_server.world import Attachment


def attachment(server: DiscordServer, which: Attachment) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": str(which.id),
        "filename": which.name,
        "size": which.size,
        "url": server.cdn.url(which),
        "proxy_url": server.cdn.proxy_url(which),
        "content_scan_version": 1,
    }
    if which.is_ephemeral:
        shown["ephemeral"] = True
    for key in ("content_type", "title", "description", "width", "height"):
        if getattr(which, key) is not None:
            shown[key] = getattr(which, key)
    return shown


def message(server: DiscordServer, which: Message, *, sees_all: bool, in_event: bool = False) -> dict[str, Any]:
    """sees_all: without the message-content intent a message about which the bot is not told comes without content.

    in_event: gateway events name the guild and the author's membership, answers over REST do not.
    """
    embedded = _embedded_names(which)
    shown: dict[str, Any] = {
        "id": str(which.id),
        "channel_id": str(which.channel.id),
        "author": user(which.author),
        "content": which.content,
        "timestamp": _iso(which.created),
        "edited_timestamp": _iso(which.edited) if which.edited else None,
        "tts": False,
        "mention_everyone": which.pings_everyone,
        "mentions": [_mentioned(which, person, in_event) for person in which.pings],
        "mention_roles": [str(number) for number in which.role_pings],
        "attachments": [attachment(server, a) for a in which.attachments if a.name not in embedded],
        "embeds": [_embed(server, which, e) for e in which.embeds],
        "components": _components(server, which),
        "pinned": False,
        "type": which.kind,
        "flags": which.flags,
    }
    if which.nonce is not None:
        shown["nonce"] = which.nonce
    if which.reference:
        shown["message_reference"] = which.reference
    if which.kind in (19, 23) and (which.reference or {}).get("type") == 0:
        original = which.referenced
        alive = original is not None and not original.is_deleted
        shown["referenced_message"] = message(server, original, sees_all=sees_all) if alive and original else None
    if which.snapshots:
        shown["message_snapshots"] = [_snapshot(server, s) for s in which.snapshots]
    if which.interaction:
        shown |= which.interaction.as_metadata(which)
        shown |= {"application_id": str(server.bot.id), "webhook_id": str(server.bot.id)}
    if in_event and which.channel.guild and not which.is_ephemeral:
        home = which.channel.guild
        shown["guild_id"] = str(home.id)
        if which.author.id in home.members:
            shown["member"] = member(home.members[which.author.id], with_user=False)
    if not sees_all and not is_told(server, which):
        shown |= {"content": "", "embeds": [], "attachments": [], "components": []}
        if which.snapshots:
            empty = {"content": "", "embeds": [], "attachments": [], "components": []}
            shown["message_snapshots"] = [{"message": {**s["message"], **empty}} for s in shown["message_snapshots"]]
    return shown


def is_told(server: DiscordServer, which: Message) -> bool:
    """Whether the content is the bot's to see without the intent: its own, in direct messages, or naming it."""
    return which.author is server.bot or which.channel.kind == 1 or server.bot in which.pings


def _mentioned(which: Message, person: Person, in_event: bool) -> dict[str, Any]:
    home = which.channel.guild
    if in_event and home and person.id in home.members:
        return {**user(person), "member": member(home.members[person.id], with_user=False)}
    return user(person)


def _snapshot(server: DiscordServer, which: Message) -> dict[str, Any]:
    whole = message(server, which, sees_all=True)
    kept = ("type", "content", "embeds", "attachments", "timestamp", "edited_timestamp", "flags", "mentions")
    return {"message": {key: whole[key] for key in (*kept, "mention_roles", "components")}}


def _embedded_names(which: Message) -> set[str]:
    """Files that embeds or components show through attachment:// are not among the attachments.

    As documented for the message's `attachments`; an embed whose URL is the CDN's own does not hide its file
    (discord-api-docs #1340, #4809).
    """
    return set(re.findall(r"'attachment://([^']+)'", repr(which.embeds) + repr(which.components)))


def _embed(server: DiscordServer, which: Message, sent: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": "rich", **copy.deepcopy(sent), "content_scan_version": 0}
    shown["type"] = sent.get("type", "rich")
    for key, url, proxy in (
        ("image", "url", "proxy_url"),
        ("thumbnail", "url", "proxy_url"),
        ("author", "icon_url", "proxy_icon_url"),
        ("footer", "icon_url", "proxy_icon_url"),
    ):
        part = shown.get(key)
        if not isinstance(part, dict) or not part.get(url):
            continue
        stored = _named(which, part[url])
        if stored:
            part |= {url: server.cdn.url(stored), proxy: server.cdn.proxy_url(stored)}
            if key in ("image", "thumbnail"):
                part |= {"width": stored.width or 0, "height": stored.height or 0, "flags": 0}
                part["content_type"] = stored.content_type
        else:
            part[proxy] = f"{server.cdn.media}/external/{abs(hash(part[url])):x}/{part[url].replace('://', '/')}"
    return shown


def _components(server: DiscordServer, which: Message) -> list[dict[str, Any]]:
    shown = copy.deepcopy(which.components)
    for number, part in enumerate(walk(shown), start=1):
        part.setdefault("id", number)
        media = [part.get("media"), part.get("file"), *(item.get("media") for item in part.get("items") or [])]
        for item in media:
            stored = _named(which, item["url"]) if item else None
            if item and stored:
                item |= {"url": server.cdn.url(stored), "proxy_url": server.cdn.proxy_url(stored)}
                item |= {"width": stored.width, "height": stored.height, "content_type": stored.content_type}
                item |= {"attachment_id": str(stored.id), "loading_state": 2}
    return shown


def _named(which: Message, url: str) -> Attachment | None:
    name = url.removeprefix("attachment://") if url.startswith("attachment://") else None
    return next((a for a in which.attachments if a.name == name), None)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
