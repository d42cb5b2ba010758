"""Who the bot is, where its gateway is, its guilds, channels and members: the routes that only tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.discord_server import payloads
from tests.discord_server.composing import form
from tests.discord_server.errors import ApiError, FormErrors, missing_access, unknown
from tests.discord_server.messages import channel_for
from tests.discord_server.rest import Call, route
from tests.discord_server.world import Guild

if TYPE_CHECKING:
    from tests.discord_server.server import DiscordServer


@route("GET", "/users/@me")
async def me(server: DiscordServer, call: Call) -> Any:
    return payloads.user(server.bot) | {"verified": True, "mfa_enabled": True, "locale": "en-US", "bio": ""}


@route("GET", "/users/{user}")
async def user(server: DiscordServer, call: Call) -> Any:
    person = server.people.get(call.number("user"))
    if person is None:
        raise unknown("User")
    return payloads.user(person)


@route("GET", "/users/@me/guilds")
async def my_guilds(server: DiscordServer, call: Call) -> Any:
    return [
        {
            "id": str(g.id),
            "name": g.name,
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": "0",
            "features": [],
        }
        for g in server.guilds
        if g.has_bot
    ]


@route("GET", "/oauth2/applications/@me")
@route("GET", "/applications/@me")
async def application(server: DiscordServer, call: Call) -> Any:
    owner = server.guilds[0].owner
    return {
        "id": str(server.bot.id),
        "name": server.bot.name,
        "icon": None,
        "description": "",
        "summary": "",
        "type": None,
        "bot": payloads.user(server.bot),
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": server.application_flags,
        "hook": True,
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": payloads.user(owner),
        "team": None,
        "approximate_guild_count": len(server.guilds),
        "approximate_user_install_count": 0,
        "integration_types_config": {"0": {"oauth2_install_params": None}},
    }


@route("GET", "/gateway")
async def gateway(server: DiscordServer, call: Call) -> Any:
    return {"url": server.gateway.url}


@route("GET", "/gateway/bot")
async def gateway_bot(server: DiscordServer, call: Call) -> Any:
    limit = {"total": 1000, "remaining": 999, "reset_after": 86_400_000, "max_concurrency": 1}
    return {"url": server.gateway.url, "shards": server.shards, "session_start_limit": limit}


@route("GET", "/channels/{channel}")
async def channel(server: DiscordServer, call: Call) -> Any:
    return payloads.channel(channel_for(server, call.number("channel")))


@route("POST", "/users/@me/channels")
async def create_dm(server: DiscordServer, call: Call) -> Any:
    number = str(form(call).get("recipient_id", ""))
    person = server.people.get(int(number)) if number.isdecimal() else None
    if person is None:
        errors = FormErrors()
        errors.add("recipient_id", "NUMBER_TYPE_COERCE", f'Value "{number}" is not snowflake.')
        errors.check()
    assert person is not None
    if person.is_bot:
        raise ApiError(400, 50007, "Cannot send messages to this user")
    return payloads.channel(server.dm_of(person))


@route("GET", "/guilds/{guild}")
async def guild(server: DiscordServer, call: Call) -> Any:
    return payloads.guild_object(_guild(server, call))


@route("GET", "/guilds/{guild}/channels")
async def guild_channels(server: DiscordServer, call: Call) -> Any:
    return [payloads.channel(c) for c in _guild(server, call).channels if c.kind != 11]


@route("GET", "/guilds/{guild}/roles")
async def guild_roles(server: DiscordServer, call: Call) -> Any:
    return [payloads.role(r) for r in _guild(server, call).roles]


@route("GET", "/guilds/{guild}/members/{user}")
async def guild_member(server: DiscordServer, call: Call) -> Any:
    found = _guild(server, call).members.get(call.number("user"))
    if found is None:
        raise unknown("Member" if call.number("user") in server.people else "User")
    return payloads.member(found)


@route("DELETE", "/users/@me/guilds/{guild}")
async def leave(server: DiscordServer, call: Call) -> Any:
    which = _guild(server, call)
    await server.remove_bot(which)
    server.record("left", guild=which)


def _guild(server: DiscordServer, call: Call) -> Guild:
    """A guild that the bot is in; any other number is 10004, as one cannot tell whether it exists."""
    number = call.number("guild")
    found = next((g for g in server.guilds if g.id == number), None)
    if found is None:
        raise unknown("Guild")
    if not found.has_bot:
        raise missing_access()
    return found
