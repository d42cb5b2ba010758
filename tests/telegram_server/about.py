"""Methods about the bot itself, its commands, and the chats that it is in."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.telegram_server import payloads
from tests.telegram_server.api import method
from tests.telegram_server.composing import chat_known
from tests.telegram_server.errors import bad
from tests.telegram_server.parameters import Call, Kind
from tests.telegram_server.world import PRIVATE, Chat

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer

_COMMAND = re.compile(r"[a-z0-9_]{1,32}")
_SCOPES: dict[str, set[str]] = {
    "default": set(), "all_private_chats": set(), "all_group_chats": set(), "all_chat_administrators": set(),
    "chat": {"chat_id"}, "chat_administrators": {"chat_id"}, "chat_member": {"chat_id", "user_id"},
}  # fmt: skip
_TEXTS = {"Name": ("name", 64), "Description": ("description", 512), "ShortDescription": ("short_description", 120)}


@method("getMe")
async def get_me(server: TelegramServer, _: Call) -> Any:
    return payloads.bot(server)


@method("logOut")
async def log_out(server: TelegramServer, _: Call) -> Any:
    return True


@method("close")
async def close(server: TelegramServer, _: Call) -> Any:
    return True


@method("setMyCommands", commands="json", scope="json", language_code="str")
async def set_my_commands(server: TelegramServer, call: Call) -> Any:
    commands = call.args.get("commands")
    if not isinstance(commands, list):
        raise bad("can't parse commands: expected an Array of BotCommand")
    if len(commands) > 100:
        raise bad("BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        if not isinstance(command, dict) or set(command) != {"command", "description"}:
            raise bad("can't parse BotCommand: command and description are needed, and nothing else")
        if not _COMMAND.fullmatch(command["command"].removeprefix("/")):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= len(command["description"]) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
    key = _scope(server, call)
    server.commands[key] = commands
    server.record("commands", scope=key[0], language=key[1], commands=commands)
    return True


@method("getMyCommands", scope="json", language_code="str")
async def get_my_commands(server: TelegramServer, call: Call) -> Any:
    return server.commands.get(_scope(server, call), [])


@method("deleteMyCommands", scope="json", language_code="str")
async def delete_my_commands(server: TelegramServer, call: Call) -> Any:
    server.commands.pop(_scope(server, call), None)
    return True


def _scope(server: TelegramServer, call: Call) -> tuple[str, str]:
    """The scope as a sorted JSON text, and the language."""
    scope = call.args.get("scope") or {"type": "default"}
    kind = scope.get("type")
    if kind not in _SCOPES or set(scope) != {"type"} | _SCOPES[kind]:
        raise bad("can't parse BotCommandScope: unsupported type specified")
    if "chat_id" in scope:
        chat_known(server, Call(call.method, {"chat_id": scope["chat_id"]}))
    return json.dumps(scope, sort_keys=True) if len(scope) > 1 else kind, _language(call)


def _language(call: Call) -> str:
    language = str(call.args.get("language_code", ""))
    if language and not re.fullmatch(r"[a-z]{2}", language):
        raise bad("invalid language code specified")
    return language


def _text_methods(name: str, field: str, limit: int) -> None:
    field_kind: dict[str, Kind] = {field: "str"}

    @method(f"setMy{name}", language_code="str", **field_kind)
    async def change(server: TelegramServer, call: Call) -> Any:
        text = str(call.args.get(field, ""))
        if len(text) > limit:
            raise bad(f"{name.upper()}_TOO_LONG")
        server.texts[field, _language(call)] = text
        return True

    @method(f"getMy{name}", language_code="str")
    async def tell(server: TelegramServer, call: Call) -> Any:
        language = _language(call)
        default = server.bot.first_name if field == "name" else ""
        return {field: server.texts.get((field, language)) or server.texts.get((field, ""), default)}


for _name, (_field, _limit) in _TEXTS.items():
    _text_methods(_name, _field, _limit)


@method("setChatMenuButton", chat_id="chat", menu_button="json")
async def set_chat_menu_button(server: TelegramServer, call: Call) -> Any:
    button = call.args.get("menu_button") or {"type": "default"}
    if button.get("type") not in ("default", "commands", "web_app"):
        raise bad("MenuButton has unsupported type")
    return True


@method("getChat", chat_id="chat")
async def get_chat(server: TelegramServer, call: Call) -> Any:
    found = chat_known(server, call)
    gifts = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels")
    more: dict[str, Any] = {
        "accent_color_id": 3, "max_reaction_count": 11, "accepted_gift_types": dict.fromkeys(gifts, True),
    }  # fmt: skip
    if found.is_group:
        rights = ("can_send_messages", "can_send_audios", "can_send_documents", "can_send_photos", "can_send_videos",
                  "can_send_video_notes", "can_send_voice_notes", "can_send_polls", "can_send_other_messages",
                  "can_add_web_page_previews", "can_change_info", "can_invite_users", "can_pin_messages",
                  "can_manage_topics")  # fmt: skip
        more["permissions"] = dict.fromkeys(rights, found.may_send)
    return payloads.chat(found) | more


@method("getChatMember", chat_id="chat", user_id="int")
async def get_chat_member(server: TelegramServer, call: Call) -> Any:
    found = chat_known(server, call)
    account = server.accounts.get(call.args.get("user_id", 0))
    if account is None:
        raise bad("invalid user_id specified" if "user_id" not in call.args else "user not found")
    member = found.member(account)
    if found.kind == PRIVATE:
        if account not in (found.person, server.bot):
            raise bad("member not found")
        member.status = "member"
    return payloads.member(member, found)


@method("getChatAdministrators", chat_id="chat", return_bots="bool")
async def get_chat_administrators(server: TelegramServer, call: Call) -> Any:
    found = chat_known(server, call)
    if found.kind == PRIVATE:
        raise bad("there are no administrators in the private chat")
    return [payloads.member(m, found) for m in found.members.values() if m.is_admin and _is_shown(server, m.account)]


def _is_shown(server: TelegramServer, account: Any) -> bool:
    """Other bots are not."""
    return not account.is_bot or account is server.bot


@method("getChatMemberCount", chat_id="chat")
async def get_chat_member_count(server: TelegramServer, call: Call) -> Any:
    found = chat_known(server, call)
    return 2 if found.kind == PRIVATE else sum(member.is_in for member in found.members.values())


@method("leaveChat", chat_id="chat")
async def leave_chat(server: TelegramServer, call: Call) -> Any:
    found: Chat = chat_known(server, call)
    if found.kind == PRIVATE:
        raise bad("chat member status can't be changed in private chats")
    found.members[server.bot.id].status = "left"
    server.record("left", chat=found)
    return True
