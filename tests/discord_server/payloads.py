"""The JSON objects that Discord sends, as its documentation lays them out: users, members, roles, channels, guilds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.discord_server.permissions import permissions_of
from tests.discord_server.world import Channel, Guild, Member, Role

if TYPE_CHECKING:
    from tests.discord_server.people import Person
    from tests.discord_server.server import DiscordServer

JOINED = "2024-03-01T12:00:00.000000+00:00"
NULLS_OF_CHANNELS = {"topic": None, "last_message_id": None, "rate_limit_per_user": 0, "last_pin_timestamp": None}


def user(person: Person) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": str(person.id),
        "username": person.name,
        "discriminator": "0" if not person.is_bot else "4242",
        "global_name": person.global_name,
        "avatar": None,
        "avatar_decoration_data": None,
        "banner": None,
        "accent_color": None,
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
        "collectibles": None,
    }
    if person.is_bot:
        shown["bot"] = True
    return shown


def member(whose: Member, *, with_user: bool = True) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "roles": [str(role.id) for role in whose.roles],
        "nick": whose.nick,
        "avatar": None,
        "banner": None,
        "joined_at": JOINED,
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "communication_disabled_until": None,
        "flags": 0,
    }
    return {"user": user(whose.person), **shown} if with_user else shown


def role(which: Role) -> dict[str, Any]:
    return {
        "id": str(which.id),
        "name": which.name,
        "description": None,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": which.position,
        "permissions": str(which.permissions),
        "managed": which.managed,
        "mentionable": False,
        "flags": 0,
    }


def channel(which: Channel, *, with_guild: bool = True) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": str(which.id), "type": which.kind, "flags": 0, "last_message_id": None}
    if which.messages:
        shown["last_message_id"] = str(max(which.messages))
    if which.kind == 1 and which.recipient:
        return {**shown, "recipients": [user(which.recipient)]}
    shown |= {"name": which.name, "parent_id": str(which.parent.id) if which.parent else None}
    if with_guild and which.guild:
        shown["guild_id"] = str(which.guild.id)
    if which.kind == 11:
        metadata = {"archived": False, "archive_timestamp": JOINED, "auto_archive_duration": 4320, "locked": False}
        owner = which.guild.owner.id if which.guild else 0
        return {
            **shown,
            "owner_id": str(owner),
            "thread_metadata": {**metadata, "create_timestamp": JOINED},
            "message_count": len(which.messages),
            "member_count": 1,
            "total_message_sent": len(which.messages),
            "rate_limit_per_user": 0,
        }
    overwrites = [
        {"id": str(whom), "type": kind, "allow": str(allow), "deny": str(deny)}
        for whom, kind, allow, deny in which.overwrites
    ]
    shown |= {"position": 0, "permission_overwrites": overwrites, "nsfw": which.nsfw, **NULLS_OF_CHANNELS}
    if which.kind == 2:
        shown |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
    return shown


def guild(server: DiscordServer, which: Guild, *, with_members: bool) -> dict[str, Any]:
    """What GUILD_CREATE tells; without the presences intent only the bot itself is among the members."""
    members = [m for m in which.members.values() if with_members or m.person is server.bot]
    threads = [c for c in which.channels if c.kind == 11 and server.bot_may(c) & 1 << 10]
    return {
        **guild_object(which),
        "joined_at": JOINED,
        "large": False,
        "unavailable": False,
        "member_count": len(which.members),
        "voice_states": [],
        "members": [member(m) for m in members],
        "channels": [channel(c, with_guild=False) for c in which.channels if c.kind != 11],
        "threads": [channel(c) for c in threads],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def guild_object(which: Guild) -> dict[str, Any]:
    nothing: tuple[str, ...] = (
        "icon",
        "splash",
        "discovery_splash",
        "afk_channel_id",
        "application_id",
        "system_channel_id",
        "banner",
    )
    nothing += ("rules_channel_id", "vanity_url_code", "description", "public_updates_channel_id")
    return {
        "id": str(which.id),
        "name": which.name,
        "owner_id": str(which.owner.id),
        **dict.fromkeys(nothing),
        "afk_timeout": 300,
        "verification_level": 1,
        "default_message_notifications": 1,
        "explicit_content_filter": 2,
        "roles": [role(r) for r in which.roles],
        "emojis": [],
        "stickers": [],
        "features": [],
        "mfa_level": 0,
        "system_channel_flags": 0,
        "max_members": 500000,
        "max_video_channel_users": 25,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": which.locale,
        "nsfw_level": 0,
        "nsfw": False,
        "premium_progress_bar_enabled": False,
        "safety_alerts_channel_id": None,
    }


def app_permissions(server: DiscordServer, where: Channel) -> str:
    home = where.guild
    return str(permissions_of(home.members.get(server.bot.id) if home else None, home, where))
