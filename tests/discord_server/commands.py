"""Application commands: registered globally or for a guild, one at a time or all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.discord_server.command_rules import check_command, check_commands
from tests.discord_server.errors import ApiError, missing_access, unknown
from tests.discord_server.rest import Call, route

if TYPE_CHECKING:
    from tests.discord_server.server import DiscordServer

GLOBAL = 0  # the scope of commands that are everywhere, beside guilds' ids


class Commands:
    """What is registered: by scope (GLOBAL or a guild's id), in the order of registration."""

    def __init__(self) -> None:
        self.scopes: dict[int, list[dict[str, Any]]] = {}

    def of(self, scope: int) -> list[dict[str, Any]]:
        return self.scopes.setdefault(scope, [])

    def find(self, name: str, kind: int, guild: int | None) -> dict[str, Any]:
        """The command that a person gets under this name; raises LookupError, naming those that there are."""
        for scope in (guild, GLOBAL):
            for command in self.of(scope) if scope is not None else []:
                if command["name"] == name and command["type"] == kind:
                    return command
        there = [c["name"] for commands in self.scopes.values() for c in commands]
        raise LookupError(f"no command {name!r} of type {kind} is registered; there are {there}")


@route("GET", "/applications/{application}/commands")
@route("GET", "/applications/{application}/guilds/{guild}/commands")
async def list_commands(server: DiscordServer, call: Call) -> Any:
    commands = server.commands.of(_scope(server, call))
    if call.switch("with_localizations"):
        return commands
    return [{k: v for k, v in c.items() if not k.endswith("_localizations")} for c in commands]


@route("PUT", "/applications/{application}/commands")
@route("PUT", "/applications/{application}/guilds/{guild}/commands")
async def replace_commands(server: DiscordServer, call: Call) -> Any:
    scope = _scope(server, call)
    check_commands(call.payload, is_global=scope == GLOBAL)
    old = server.commands.of(scope)
    fresh = [_stored(server, scope, c, _same(old, c)) for c in call.payload]
    server.commands.scopes[scope] = fresh
    server.record("commands", scope=scope, commands=fresh)
    return fresh


@route("POST", "/applications/{application}/commands")
@route("POST", "/applications/{application}/guilds/{guild}/commands")
async def create_command(server: DiscordServer, call: Call) -> Any:
    scope = _scope(server, call)
    check_command(call.payload, is_global=scope == GLOBAL)
    commands = server.commands.of(scope)
    old = _same(commands, call.payload)
    fresh = _stored(server, scope, call.payload, old)
    if old is None:
        same_kind = [c for c in [*commands, fresh] if c["type"] == fresh["type"]]
        check_commands(same_kind, is_global=scope == GLOBAL)
        commands.append(fresh)
    else:
        commands[commands.index(old)] = fresh
    server.record("commands", scope=scope, commands=commands)
    return (201 if old is None else 200), fresh


@route("GET", "/applications/{application}/commands/{command}")
@route("GET", "/applications/{application}/guilds/{guild}/commands/{command}")
async def get_command(server: DiscordServer, call: Call) -> Any:
    return _by_id(server, call)


@route("PATCH", "/applications/{application}/commands/{command}")
@route("PATCH", "/applications/{application}/guilds/{guild}/commands/{command}")
async def edit_command(server: DiscordServer, call: Call) -> Any:
    scope = _scope(server, call)
    old = _by_id(server, call)
    wanted = {**old, **call.payload, "type": old["type"]}
    check_command(wanted, is_global=scope == GLOBAL)
    commands = server.commands.of(scope)
    fresh = commands[commands.index(old)] = _stored(server, scope, wanted, old)
    server.record("commands", scope=scope, commands=commands)
    return fresh


@route("DELETE", "/applications/{application}/commands/{command}")
@route("DELETE", "/applications/{application}/guilds/{guild}/commands/{command}")
async def delete_command(server: DiscordServer, call: Call) -> Any:
    scope = _scope(server, call)
    server.commands.of(scope).remove(_by_id(server, call))
    server.record("commands", scope=scope, commands=server.commands.of(scope))


def _scope(server: DiscordServer, call: Call) -> int:
    if call.params["application"] != str(server.bot.id):
        raise ApiError(403, 20012, "You are not authorized to perform this action on this application")
    if "guild" not in call.params:
        return GLOBAL
    number = call.number("guild")
    if not any(g.id == number and g.has_bot for g in server.guilds):
        raise missing_access()
    return number


def _by_id(server: DiscordServer, call: Call) -> dict[str, Any]:
    for command in server.commands.of(_scope(server, call)):
        if command["id"] == call.params["command"]:
            return command
    raise unknown("application command")


def _same(commands: list[dict[str, Any]], wanted: dict[str, Any]) -> dict[str, Any] | None:
    kind = wanted.get("type") or 1
    return next((c for c in commands if c["name"] == wanted["name"] and c["type"] == kind), None)


def _stored(server: DiscordServer, scope: int, sent: dict[str, Any], old: dict[str, Any] | None) -> dict[str, Any]:
    kind = sent.get("type") or 1
    command: dict[str, Any] = {
        "id": old["id"] if old else str(server.new_id()),
        "application_id": str(server.bot.id),
        "version": str(server.new_id()),
        "type": kind,
        "name": sent["name"],
        "name_localizations": sent.get("name_localizations"),
        "description": sent.get("description") or "",
        "description_localizations": sent.get("description_localizations"),
        "default_member_permissions": sent.get("default_member_permissions"),
        "dm_permission": True,
        "nsfw": bool(sent.get("nsfw")),
        "integration_types": sent.get("integration_types") or [0],
        "contexts": sent.get("contexts"),
    }
    if command["default_member_permissions"] is not None:
        command["default_member_permissions"] = str(command["default_member_permissions"])
    if scope != GLOBAL:
        command["guild_id"] = str(scope)
    if sent.get("options"):
        command["options"] = sent["options"]
    return command
