"""What the stand-in for Discord refuses, over raw HTTP and raw WebSockets."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from tests.discord_server import DiscordServer, Message, Plain, in_thread, plain
from tests.discord_server.raw_api import Api, asked, png

BUTTON = {"type": 2, "style": 1, "label": "Go", "custom_id": "go"}
CHECK = {"name": "check", "description": "Look", "options": [{"type": 11, "name": "image", "description": "A picture"}]}


def row(*parts: Any) -> dict[str, Any]:
    return {"type": 1, "components": list(parts)}


def embed_of(text: int) -> dict[str, Any]:
    return {"description": "x" * min(text, 4096), "footer": {"text": "y" * max(1, text - 4096)}}


SELECT = {"type": 3, "custom_id": "s", "options": [{"label": "a", "value": "a"}]}
BAD_MESSAGES = {
    "content": {"content": "x" * 2001},
    "embeds": {"embeds": [{"title": "x"}] * 11},
    "embeds.0.title": {"embeds": [{"title": "x" * 257}]},
    "embeds.0.description": {"embeds": [{"description": "x" * 4097}]},
    "embeds.0.fields": {"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]},
    "embeds.0.fields.0.value": {"embeds": [{"fields": [{"name": "n", "value": ""}]}]},
    "embeds.0.image.url": {"embeds": [{"image": {"url": "file:///etc/passwd"}}]},
    "components": {"content": "x", "components": [row(BUTTON)] * 6},
    "components.0.components": {
        "content": "x",
        "components": [row(*[{**BUTTON, "custom_id": str(n)} for n in range(6)])],
    },
    "components.0.components.0.label": {"content": "x", "components": [row({**BUTTON, "label": "x" * 81})]},
    "components.0.components.0.custom_id": {"content": "x", "components": [row({**BUTTON, "custom_id": "x" * 101})]},
    "components.0.components.0.options": {"content": "x", "components": [row({**SELECT, "options": []})]},
    "components.0.type": {"content": "x", "components": [BUTTON]},
    "message_reference": {"content": "x", "message_reference": {"message_id": "1"}},
    "allowed_mentions": {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
    "attachments.0.id": {"content": "x", "attachments": [{"id": 0, "filename": "a.png"}]},
}


@pytest.mark.parametrize("path", BAD_MESSAGES)
def test_an_invalid_form_tells_what_is_wrong_where(path: str) -> None:
    @asked
    async def run(api: Api) -> None:
        status, body = await api.say(BAD_MESSAGES[path])
        assert (status, body["code"], body["message"]) == (400, 50035, "Invalid Form Body")
        node = body["errors"]
        for key in path.split("."):
            node = node[key]
        assert node["_errors"][0]["code"] and not api.server.entries("message")

    run()


@asked
async def test_limits_of_text_that_fit_exactly_are_taken(api: Api) -> None:
    two = [embed_of(4096), embed_of(1900)]
    assert (await api.say({"content": "x" * 2000, "embeds": two}))[0] == 200
    status, body = await api.say({"embeds": [embed_of(4096), embed_of(1904)]})
    assert (status, body["errors"]["embeds"]["_errors"][0]["code"]) == (400, "MAX_EMBED_SIZE_EXCEEDED")
    twice = [row(BUTTON), row(BUTTON)]
    status, body = await api.say({"content": "x", "components": twice})
    assert body["errors"]["components"]["_errors"][0]["code"] == "COMPONENT_CUSTOM_ID_DUPLICATED"
    assert (await api.say({"content": " \n"}))[1]["code"] == 50006
    once = {"content": "once", "nonce": "7", "enforce_nonce": True}
    assert (await api.say(once))[1]["id"] == (await api.say(once))[1]["id"]
    status, body = await api.say({"flags": 1 << 15, "content": "x", "components": [{"type": 10, "content": "y"}]})
    assert "content" in body["errors"]
    assert (await api.say({"flags": 1 << 15, "components": [{"type": 10, "content": "y"}]}))[0] == 200


@asked
async def test_files_keep_their_limits_and_their_places(api: Api) -> None:
    api.server.guild.size_limit = 1000
    too_large = (413, {"message": "Request entity too large", "code": 40005})
    assert await api.say({}, files=[("a.png", b"x" * 1001)]) == too_large
    assert (await api.say({}, files=[("a.png", b"x")] * 11))[1]["code"] == 50035
    long = {"attachments": [{"id": 0, "description": "x" * 1025}]}
    assert "description" in (await api.say(long, files=[("a.png", b"x")]))[1]["errors"]["attachments"]["0"]
    about = {"attachments": [{"id": "0", "description": "alt of a"}, {"id": 1}], "content": "x"}
    _, sent = await api.say(about, files=[("a.png", png()), ("b.png", png())])
    first, second = sent["attachments"]
    assert (first["description"], first["width"], first["height"]) == ("alt of a", 20, 10)
    path = f"/channels/{sent['channel_id']}/messages/{sent['id']}"
    keep = {"attachments": [{"id": second["id"]}, {"id": 0, "description": "new"}]}
    _, edited = await api("PATCH", path, keep, files=[("c.png", png())])
    assert [a["filename"] for a in edited["attachments"]] == ["b.png", "c.png"]
    assert (await api("PATCH", path, {"content": "y"}))[1]["attachments"][0]["id"] == second["id"]
    assert (await api("PATCH", path, {"attachments": [{"id": first["id"]}]}))[0] == 400
    assert (await api("PATCH", path, {"attachments": [], "content": None}))[1]["code"] == 50006


@asked
async def test_strangers_and_the_unknown_get_their_codes(api: Api) -> None:
    general, hidden = api.server.guild["general"].id, api.server.guild["hidden"].id
    theirs = await api.server.alice.say(api.server.guild["general"], "mine")
    for expected, call in (
        ((401, 0), api("GET", "/users/@me", token="wrong")),
        ((404, 10003), api("GET", "/channels/1")),
        ((403, 50001), api("GET", f"/channels/{hidden}")),
        ((404, 10008), api("GET", f"/channels/{general}/messages/1")),
        ((403, 50005), api("PATCH", f"/channels/{general}/messages/{theirs.id}", {"content": "x"})),
        ((403, 50013), api("DELETE", f"/channels/{general}/messages/{theirs.id}")),
        ((404, 10004), api("GET", "/guilds/1")),
        ((404, 10013), api("GET", "/users/1")),
        ((404, 10007), api("GET", f"/guilds/{api.server.guild.id}/members/{api.server.add_person('eve').id}")),
        ((404, 10063), api("DELETE", f"/applications/{api.server.bot.id}/commands/1")),
        ((400, 50035), api("GET", "/channels/x")),
        ((404, 0), api("GET", "/nothing")),
        ((405, 0), api("PUT", "/users/@me", {})),
    ):
        status, body = await call
        assert (status, body["code"]) == expected
    one = await api("POST", "/users/@me/channels", {"recipient_id": str(api.server.alice.id)})
    assert one == await api("POST", "/users/@me/channels", {"recipient_id": str(api.server.alice.id)})


@asked
async def test_an_interaction_is_answered_once_in_time_and_for_a_quarter_of_an_hour(api: Api) -> None:
    await api.register({"name": "go", "description": "Go"})
    server, general = api.server, api.server.guild["general"]
    late = await server.alice.slash("go", general)
    assert (await api.hook("POST", late, {"content": "x"}))[1]["code"] == 10015
    server.clock.advance(3.1)
    assert (await api.answer(late, 4, {"content": "x"}))[1]["code"] == 10062 and late.has_failed
    used = await server.alice.slash("go", general)
    for kind in (1, 6, 7, 8):
        assert (await api.answer(used, kind))[0] == 400
    assert (await api.answer(used, 4, {"content": "x" * 2001}))[0] == 400, "and it is not spent by that"
    _, body = await api.answer(used, 5, {"flags": 64})
    assert body["interaction"]["response_message_loading"] and "resource" not in body
    assert (await api.hook("GET", used, message="@original"))[1]["flags"] == 64 | 128
    assert (await api.answer(used, 5))[1]["code"] == 40060
    assert not used.shown
    _, first = await api.hook("POST", used, {"content": "first", "flags": 0})
    assert first["id"] == body["interaction"]["response_message_id"] and first["flags"] == 64
    _, second = await api.hook("POST", used, {"content": "second"}, files=[("a.png", png())])
    assert second["id"] != first["id"] and second["interaction_metadata"]["original_response_message_id"] == first["id"]
    assert (await used.response()).content == "first" and (await used.followup()).files == {"a.png": png()}
    assert (await api.hook("GET", used, message="@original"))[1]["content"] == "first"
    assert (await api.hook("DELETE", used, message=second["id"]))[0] == 204
    assert (await api.hook("PATCH", used, {"content": "x"}, message=second["id"]))[1]["code"] == 10008
    assert (await api("GET", f"/channels/{general.id}/messages/{first['id']}"))[1]["code"] == 10008  # ephemeral
    server.clock.advance(15 * 60)
    assert (await api.hook("PATCH", used, {"content": "x"}, message="@original")) == (
        401,
        {"message": "Invalid Webhook Token", "code": 50027},
    )


@asked
async def test_components_change_the_message_that_they_stand_on(api: Api) -> None:
    server = api.server
    _, sent = await api.say({"content": "x", "components": [row(BUTTON)]})
    message = server.messages[int(sent["id"])]
    clicked = await server.bob.click(message, "Go")
    status, body = await api.answer(clicked, 7, {"content": "y", "components": [row({**BUTTON, "disabled": True})]})
    assert (status, body["resource"]["message"]["content"], message.content) == (200, "y", "y")
    assert (await clicked.response()).content == "y"
    with pytest.raises(AssertionError):
        await server.bob.click(message, "Go")  # disabled


BAD_COMMANDS = {
    "name": {**CHECK, "name": "Check"},
    "description": {**CHECK, "description": "x" * 101},
    "options": {**CHECK, "options": CHECK["options"] * 26},
    "options.0.name": {**CHECK, "options": [{**CHECK["options"][0], "name": "an image"}]},  # type: ignore[dict-item]
    "options.1": {**CHECK, "options": [{**CHECK["options"][0], "name": n, "required": n == "b"} for n in "ab"]},  # type: ignore[dict-item]
    "name_localizations.de-DE": {**CHECK, "name_localizations": {"de-DE": "prüfen"}},
    "description_localizations.de": {**CHECK, "description_localizations": {"de": "x" * 101}},
    "contexts.0": {**CHECK, "contexts": [3]},
    "integration_types.0": {**CHECK, "integration_types": [2]},
}


@pytest.mark.parametrize("path", BAD_COMMANDS)
def test_commands_that_discord_refuses(path: str) -> None:
    @asked
    async def run(api: Api) -> None:
        status, body = await api.register({"name": "good", "description": "x"}, BAD_COMMANDS[path])
        node = body["errors"]["1"]
        for key in path.split("."):
            node = node[key]
        assert (status, bool(node["_errors"]), api.server.commands.scopes) == (400, True, {})

    run()


@asked
async def test_commands_live_in_scopes(api: Api) -> None:
    base = f"/applications/{api.server.bot.id}"
    in_guild = f"{base}/guilds/{api.server.guild.id}/commands"
    localised = {**CHECK, "name_localizations": {"de": "prüfen"}, "contexts": [0], "integration_types": [0]}
    status, created = await api("POST", f"{base}/commands", localised)
    again, same = await api("POST", f"{base}/commands", {**CHECK, "description": "Look again"})
    assert (status, again, created["id"]) == (201, 200, same["id"])
    assert (await api("POST", in_guild, {"type": 3, "name": "Is this real?"}))[0] == 201
    assert [c["type"] for c in (await api("GET", in_guild))[1]] == [3]
    assert (await api("PATCH", f"{base}/commands/{same['id']}", {"name": "look"}))[1]["name"] == "look"
    assert (await api("DELETE", f"{base}/commands/{same['id']}"))[0] == 204
    assert (await api("GET", f"{base}/commands")) == (200, [])
    doubled = await api.register(CHECK, CHECK)
    assert doubled[0] == 400 and (await api("PUT", "/applications/1/commands", []))[1]["code"] == 20012


@asked
async def test_rate_limits_are_told_and_kept(api: Api) -> None:
    api.server.rest.limits["POST /channels/{channel}/messages"] = (2, 0.2)
    begun = time.monotonic()
    assert [(await api.say({"content": "x"}))[0] for _ in range(3)] == [200, 200, 429]
    status, body = await api.say({"content": "x"})
    assert status == 429 and 0 < body["retry_after"] <= 0.2 and body["global"] is False
    await asyncio.sleep(body["retry_after"])
    assert (await api.say({"content": "x"}))[0] == 200 and time.monotonic() - begun >= 0.2
    api.server.rest.global_limit = 0
    assert (await api("GET", "/users/@me"))[1]["global"] is True


def test_a_thread_serves_a_test_without_an_event_loop() -> None:
    with in_thread() as first, in_thread() as second:
        assert first.address.port != second.address.port
        posted: Message = first.run(first.server.alice.say(first.server.guild["general"], files=[("a.png", png())]))

        async def read() -> bytes:
            url = first.server.cdn.url(posted.attachments[0])
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                assert answer.content_type == "image/png"
                return await answer.read()

        assert asyncio.run(read()) == png()
        assert first.server.cdn.url(posted.attachments[0]).startswith(f"http://127.0.0.1:{first.address.port}/")
        assert not second.server.cdn.fetched


async def spoken(address: Plain, *frames: Any, query: str = "v=10&encoding=json") -> tuple[list[Any], int | None]:
    """What the gateway says after HELLO to these frames, and the code with which it closes (None: it does not)."""
    heard: list[Any] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address.gateway_url}?{query}") as socket:
        for frame in frames:
            await socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))
        async for message in socket:
            heard.append(json.loads(message.data))
            if heard[-1]["op"] in (9, 11):
                return heard[1:], None
        return heard[1:], socket.close_code


def test_the_gateway_closes_with_its_documented_codes() -> None:
    async def body() -> None:
        server = DiscordServer()
        server.gateway.portal_intents = 0
        async with plain(server) as address:
            known = {"token": server.token, "intents": 1, "properties": {}}
            for code, frames in (
                (4001, [{"op": 77, "d": None}]),
                (4002, ["{"]),
                (4003, [{"op": 3, "d": {}}]),
                (4004, [{"op": 2, "d": {**known, "token": "wrong"}}]),
                (4005, [{"op": 2, "d": known}, {"op": 2, "d": known}]),
                (4010, [{"op": 2, "d": {**known, "shard": [2, 2]}}]),
                (4013, [{"op": 2, "d": {**known, "intents": 1 << 40}}]),
                (4014, [{"op": 2, "d": {**known, "intents": 1 << 15}}]),
            ):
                assert (await spoken(address, *frames))[1] == code
            assert (await spoken(address, query="v=6&encoding=json"))[1] == 4012
            heard, _ = await spoken(address, {"op": 2, "d": known}, {"op": 1, "d": None})
            assert [frame["t"] for frame in heard] == ["READY", "GUILD_CREATE", "GUILD_CREATE", None]
            assert [frame["s"] for frame in heard] == [1, 2, 3, None]
            lost = {"token": server.token, "session_id": "lost", "seq": 1}
            assert (await spoken(address, {"op": 6, "d": lost}))[0][0]["op"] == 9
            created = heard[1]["d"]
            assert [member["user"]["id"] for member in created["members"]] == [str(server.bot.id)]
            assert "hidden" in [channel["name"] for channel in created["channels"]] and created["threads"]

    asyncio.run(body())


@asked
async def test_nobody_is_pinged_whom_allowed_mentions_leave_out(api: Api) -> None:
    alice = api.server.alice
    original = await alice.say(api.server.guild["general"], "hello")
    reply = {"content": f"{alice.mention} @everyone", "message_reference": {"message_id": str(original.id)}}
    for allowed, pinged in (
        (None, [alice]),
        ({"parse": []}, []),
        ({"parse": [], "replied_user": True}, [alice]),
        ({"users": [str(alice.id)]}, [alice]),
    ):
        await api.say({**reply, "allowed_mentions": allowed} if allowed else reply)
        told = (await api.server.next("message")).message
        assert (told.pings, told.pings_everyone, told.referenced) == (pinged, False, original)
