"""Second opinions on the stand-in for Discord: simcord and discord.py judge alike; nonsense breaks nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Callable
from typing import Any

import discord
import simcord
from discord.app_commands.commands import validate_name
from hypothesis import example, given, settings
from hypothesis import strategies as st
from simcord.backend.serializers import member_payload, message_payload, role_payload, user_payload
from simcord.components import ComponentValidationError, validate_components, validate_embeds, validate_modal

from tests.discord_server import DiscordServer, in_thread, message_payloads, payloads
from tests.discord_server.command_rules import check_command
from tests.discord_server.component_rules import check_components
from tests.discord_server.errors import ApiError
from tests.discord_server.message_rules import check_message
from tests.discord_server.modal_rules import check_modal


def refused(check: Callable[[], Any], *errors: type[Exception]) -> bool:
    try:
        check()
    except errors:
        return True
    return False


# What Discord refuses and simcord takes: more choices than options (discord.py #6984), a button with neither label nor
# emoji (as every builder says), a link that is none, a required select that may stay empty (documented for modals).
STRICTER = {"COMPONENT_SELECT_MAX_VALUES", "BUTTON_COMPONENT_INVALID", "URL_TYPE_INVALID_SCHEME", "NUMBER_TYPE_MIN"}


def reasons(check: Callable[[], Any]) -> set[str]:
    """The codes of all that is wrong with a form."""
    try:
        check()
    except ApiError as error:
        return set(re.findall(r"'code': '(\w+)'", repr(error.body["errors"])))
    return set()


texts = st.sampled_from(["", "a", "b", "x" * 45, "x" * 46, "x" * 80, "x" * 81, "x" * 100, "x" * 101])
buttons = st.fixed_dictionaries(
    {"type": st.just(2), "style": st.sampled_from([1, 2, 5, 9])},
    optional={"label": texts, "custom_id": texts, "url": st.sampled_from(["https://a.b", "ftp://a.b"])},
)
options = st.lists(st.fixed_dictionaries({"label": texts, "value": texts}), max_size=3) | st.just(
    [{"label": "x", "value": str(number)} for number in range(26)]
)
selects = st.fixed_dictionaries(
    {"type": st.just(3), "custom_id": texts, "options": options},
    optional={"placeholder": texts, "min_values": st.integers(-1, 3), "max_values": st.integers(0, 27)},
)
rows = st.builds(lambda parts: {"type": 1, "components": parts}, st.lists(buttons | selects, max_size=6))


@settings(max_examples=100)
@given(st.lists(rows, max_size=6))
def test_simcord_refuses_the_same_components(components: list[dict[str, Any]]) -> None:
    ours = reasons(lambda: check_components(components, is_v2=False))
    theirs = refused(lambda: validate_components(components), ComponentValidationError)
    assert bool(ours - STRICTER) <= theirs <= bool(ours)


@settings(max_examples=50)
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "title": st.sampled_from(["t", "t" * 256, "t" * 257]),
                "description": st.sampled_from(["d", "d" * 4096, "d" * 4097]),
                "footer": st.fixed_dictionaries({"text": st.sampled_from(["f", "f" * 2048, "f" * 2049])}),
                "fields": st.lists(st.just({"name": "n", "value": "v"}), min_size=24, max_size=26),
            },
        ),
        max_size=11,
    )
)
def test_simcord_refuses_the_same_embeds(embeds: list[dict[str, Any]]) -> None:
    ours = refused(lambda: check_message({"embeds": embeds}, 0), ApiError)
    assert ours == refused(lambda: validate_embeds(embeds), ComponentValidationError, ValueError)


inputs = st.fixed_dictionaries(
    {"type": st.just(4), "custom_id": texts, "style": st.sampled_from([1, 2, 3])},
    optional={"min_length": st.integers(-1, 4001), "max_length": st.integers(0, 4001), "placeholder": texts},
)
labels = st.fixed_dictionaries({"type": st.just(18), "label": texts, "component": inputs | selects})


@settings(max_examples=100)
@given(st.fixed_dictionaries({"title": texts, "custom_id": texts, "components": st.lists(labels, max_size=6)}))
def test_simcord_refuses_the_same_modals(modal: dict[str, Any]) -> None:
    ours = reasons(lambda: check_modal(modal))
    theirs = refused(lambda: validate_modal(modal), ComponentValidationError)
    assert bool(ours - STRICTER) <= theirs <= bool(ours)


@given(st.text(max_size=34).filter(lambda name: "'" not in name))  # documented, and not yet known to discord.py
@example("prüfen")
@example("ตรวจ")
@example("a b")
@example("Ä")
def test_discord_py_refuses_the_same_command_names(name: str) -> None:
    ours = refused(lambda: check_command({"name": name, "description": "x"}, is_global=True), ApiError)
    assert ours == refused(lambda: validate_name(name), ValueError)


def test_payloads_have_what_simcord_tells_and_discord_py_reads() -> None:
    async def theirs() -> tuple[set[str], ...]:
        client = discord.Client(intents=discord.Intents.default())
        async with simcord.run(client) as env:
            guild = env.create_guild()
            channel = guild.create_text_channel("general")
            alice = guild.add_member(env.create_user("alice"))
            await alice.send(channel, "hello")
            backend, home = env.backend, env.backend.get_guild(guild.id)
            message = next(iter(backend.messages[channel.id].values()))
            return (
                set(user_payload(backend.get_user(alice.id))) - {"bot", "system", "verified", "mfa_enabled", "locale"},
                set(member_payload(backend, home, home.members[alice.id])),
                set(role_payload(next(iter(home.roles.values())))),
                set(message_payload(backend, message)) - {"sticker_items", "nonce", "reactions"},
            )

    async def ours() -> tuple[set[str], ...]:
        server = DiscordServer()
        posted = await server.alice.say(server.guild["general"], "hello")
        return (
            set(payloads.user(server.alice)),
            set(payloads.member(server.guild.members[server.alice.id])),
            set(payloads.role(server.guild.everyone)),
            set(message_payloads.message(server, posted, sees_all=True, in_event=True)),
        )

    for wanted, told in zip(asyncio.run(theirs()), asyncio.run(ours()), strict=True):
        assert wanted <= told


nonsense = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "title", "url"]), inner),
    max_leaves=6,
)
KEYS = ["content", "embeds", "components", "flags", "attachments", "allowed_mentions", "message_reference", "nonce"]


def test_nonsense_is_refused_and_never_an_error_of_the_server() -> None:
    with in_thread() as served:
        path = f"/api/v10/channels/{served.server.guild['general'].id}/messages"
        line = http.client.HTTPConnection("127.0.0.1", served.address.port)
        headers = {"Authorization": f"Bot {served.server.token}", "Content-Type": "application/json"}

        @settings(max_examples=200)
        @given(nonsense | st.dictionaries(st.sampled_from(KEYS), nonsense))
        def judged(form: Any) -> None:
            line.request("POST", path, json.dumps(form), headers)
            answer = line.getresponse()
            told = json.load(answer)
            assert answer.status == 200 or (400 <= answer.status < 500 and told["code"]), told

        judged()
        line.close()
