"""The interaction events that people's doings become."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from tests.discord_server import message_payloads, payloads, permissions
from tests.discord_server.cdn import Upload
from tests.discord_server.world import DEFAULT_SIZE_LIMIT, Channel, Message, Role, walk

if TYPE_CHECKING:
    from tests.discord_server.interactions import Interaction
    from tests.discord_server.people import Person
    from tests.discord_server.server import DiscordServer

SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(1, 12)


async def interact(
    server: DiscordServer,
    person: Person,
    kind: int,
    where: Channel,
    data: dict[str, Any],
    *,
    name: str,
    message: Message | None = None,
    target: Message | None = None,
    opened_by: Interaction | None = None,
) -> Interaction:
    """Tell the bot of an interaction. target: the message of a context menu, told whole whatever the intents."""
    from tests.discord_server.interactions import Interaction

    token = secrets.token_urlsafe(120)
    number = server.new_id()
    begun = Interaction(server, number, token, kind, person, where, data, server.clock.now(), message, name)
    server.interactions[token] = begun
    begun.target, begun.opened_by = target, opened_by
    if target is not None:
        data["resolved"] = {"messages": {str(target.id): message_payloads.message(server, target, sees_all=True)}}
    event: dict[str, Any] = {
        "id": str(number),
        "application_id": str(server.bot.id),
        "type": kind,
        "token": token,
        "version": 1,
        "data": data,
        "channel_id": str(where.id),
        "channel": payloads.channel(where),
        "locale": person.locale,
        "app_permissions": payloads.app_permissions(server, where),
        "entitlements": [],
        "entitlement_sku_ids": [],
        "authorizing_integration_owners": {"0": str(where.guild.id) if where.guild else "0"},
        "context": 0 if where.guild else 1,
        "attachment_size_limit": where.guild.size_limit if where.guild else DEFAULT_SIZE_LIMIT,
    }
    if where.guild:
        whose = payloads.member(where.guild.members[person.id])
        event["member"] = {**whose, "permissions": str(person.may(where))}
        event["guild_id"] = str(where.guild.id)
        event["guild"] = {"id": str(where.guild.id), "locale": where.guild.locale, "features": []}
        event["guild_locale"] = where.guild.locale
    else:
        event["user"] = payloads.user(person)
    if message is not None:
        event["message"] = message_payloads.message(server, message, sees_all=True)
    await server.gateway.dispatch("INTERACTION_CREATE", event, where.guild)
    return begun


def command_data(
    server: DiscordServer,
    registered: dict[str, Any],
    path: list[str],
    options: dict[str, Any],
    where: Channel,
    *,
    focused: str | None = None,
) -> dict[str, Any]:
    """The data of a chat-input command, its options checked as the client checks them."""
    known, nest = registered.get("options") or [], []
    for step in path:
        found = next((o for o in known if o["name"] == step and o["type"] in (SUBCOMMAND, GROUP)), None)
        assert found is not None, (
            f"/{registered['name']} has no subcommand {step!r}; it has {[o['name'] for o in known]}"
        )
        nest.append(found)
        known = found.get("options") or []
    assert not any(o["type"] in (SUBCOMMAND, GROUP) for o in known), f"/{registered['name']} wants a subcommand"
    resolved: dict[str, dict[str, Any]] = {}
    names = [o["name"] for o in known]
    unknown = set(options) - set(names)
    assert not unknown, f"/{registered['name']} has no option {unknown}; it has {names}"
    given = []
    for option in known:
        if option["name"] in options:
            value = _value(server, option, options[option["name"]], where, resolved, focused)
            given.append({"name": option["name"], "type": option["type"], "value": value})
            if option["name"] == focused:
                given[-1]["focused"] = True
        else:
            assert focused or not option.get("required"), f"/{registered['name']} wants the option {option['name']!r}"
    for step in reversed(nest):
        given = [{"name": step["name"], "type": step["type"], "options": given}]
    data = {"id": registered["id"], "name": registered["name"], "type": 1, "options": given}
    if "guild_id" in registered:
        data["guild_id"] = registered["guild_id"]
    return data | ({"resolved": resolved} if resolved else {})


def _value(
    server: DiscordServer,
    option: dict[str, Any],
    value: Any,
    where: Channel,
    resolved: dict[str, dict[str, Any]],
    focused: str | None,
) -> Any:
    kind, name = option["type"], option["name"]
    if kind == ATTACHMENT:
        upload = value if isinstance(value, Upload) else Upload(*value)
        stored = server.cdn.store(upload, where, is_ephemeral=True)
        resolved.setdefault("attachments", {})[str(stored.id)] = message_payloads.attachment(server, stored)
        return str(stored.id)
    if kind in (USER, CHANNEL, ROLE, MENTIONABLE):
        resolve(server, value, where, resolved)
        return str(value.id)
    if name == focused:
        return str(value)
    choices = option.get("choices") or []
    by_name = {choice["name"]: choice["value"] for choice in choices}
    value = by_name.get(value, value)
    assert not choices or value in by_name.values(), f"{name!r} offers {list(by_name)}"
    wanted: dict[int, Any] = {STRING: str, INTEGER: int, BOOLEAN: bool, NUMBER: (int, float)}
    assert isinstance(value, wanted[kind]), f"{name!r} takes {wanted[kind]}"
    if kind in (INTEGER, NUMBER):
        assert option.get("min_value", value) <= value <= option.get("max_value", value), f"{name!r}: out of range"
    if kind == STRING:
        assert option.get("min_length", 0) <= len(value) <= option.get("max_length", 6000), f"{name!r}: length"
    return value


def resolve(server: DiscordServer, value: Any, where: Channel, resolved: dict[str, dict[str, Any]]) -> None:
    number = str(value.id)
    if isinstance(value, Channel):
        shown = payloads.channel(value)
        kept = {key: shown[key] for key in ("id", "name", "type", "parent_id", "guild_id", "flags") if key in shown}
        asker = where.guild.members if where.guild else {}
        resolved.setdefault("channels", {})[number] = kept | {"permissions": str(permissions.ALL if asker else 0)}
    elif isinstance(value, Role):
        resolved.setdefault("roles", {})[number] = payloads.role(value)
    else:
        resolved.setdefault("users", {})[number] = payloads.user(value)
        if where.guild and value.id in where.guild.members:
            member = payloads.member(where.guild.members[value.id], with_user=False)
            resolved.setdefault("members", {})[number] = {**member, "permissions": str(value.may(where))}


def modal_data(modal: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    """What a filled-in form sends: every input, in its row or label, with what was typed or what stood there."""
    inputs = [part for part in walk(modal["components"]) if "custom_id" in part]
    unknown = set(values) - {part["custom_id"] for part in inputs}
    assert not unknown, f"the form has no {unknown}; it has {[part['custom_id'] for part in inputs]}"

    def filled(part: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {"type": part["type"], "id": part.get("id", 1)}
        if "custom_id" in part:
            shown["custom_id"] = part["custom_id"]
            if part["type"] == 4:
                text = values.get(part["custom_id"], part.get("value") or "")
                assert text or not part.get("required", True), f"{part['custom_id']!r} is required"
                low, high = part.get("min_length") or 0, part.get("max_length") or 4000
                assert not text or low <= len(text) <= high, f"{part['custom_id']!r}: wrong length"
                shown["value"] = text
            else:
                chosen = values.get(part["custom_id"], ())
                shown["values"] = [chosen] if isinstance(chosen, str) else list(chosen)
        if "components" in part:
            shown["components"] = [filled(each) for each in part["components"]]
        if "component" in part:
            shown["component"] = filled(part["component"])
        return shown

    return {"custom_id": modal["custom_id"], "components": [filled(part) for part in modal["components"]]}
