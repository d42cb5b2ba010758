"""The stand-in for Discord, used by plain discord.py, unpatched, over TLS under Discord's real names."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import discord
import pytest

from tests.discord_server import DiscordServer, Message, NotPossibleError, Upload, tls
from tests.discord_server import permissions as bits
from tests.discord_server.looker import Looker, looking, played, png


@played
async def test_a_picture_is_read_from_the_cdn_and_answered_with_an_embed(server: DiscordServer, client: Looker) -> None:
    posted = await server.alice.say(server.guild["general"], "real?", files=[("my face.png", png())])
    answer = await server.answer(posted)
    assert answer.content == f"{len(png())} bytes" and answer.files == {"seen.png": png()}
    heard = client.heard[0]
    assert heard.attachments[0].filename == "my_face.png" and heard.attachments[0].title == "my face"
    assert (heard.attachments[0].width, heard.attachments[0].content_type) == (32, "image/png")
    assert heard.guild is not None and heard.guild.id == server.guild.id
    again = await heard.channel.fetch_message(answer.id)
    assert not again.attachments, "a file that an embed shows is not among the attachments"
    assert str(again.embeds[0].image.url).startswith("https://cdn.discordapp.com/attachments/")
    assert server.cdn.fetched == [a.path for a in posted.attachments] and not server.cdn.proxied


@played
async def test_slash_commands_buttons_selects_and_forms(server: DiscordServer, client: Looker) -> None:
    general = server.guild["general"]
    used = await server.alice.slash("check", general, image=("a.png", png()))
    shown = await used.response()
    assert (shown.text, shown.labels, shown.is_ephemeral) == ("Checked", ["Layer 1", "Layer 2"], False)
    assert shown.alt_texts == {"panel.png": "the panel"} and used.acked_after_s < 3
    heat = await (await server.bob.click(shown, "Layer 2")).response()
    assert (heat.content, heat.is_ephemeral, heat.alt_texts) == ("layer 2", True, {"heat.png": "heat of layer 2"})
    with pytest.raises(NotPossibleError):
        await server.alice.click(heat, "Layer 2")  # shown to bob alone

    quiz = await (await server.alice.slash("quiz start", general, rounds=5)).response()
    edited = await (await server.alice.choose(quiz, "How sure?", "very")).response()
    assert (edited.id, edited.content, edited.controls) == (quiz.id, "very sure", [])

    opened = await server.bob.slash("wrong")
    assert (await opened.form())["title"] == "That's wrong"
    sent = await server.bob.submit(opened, reason="the hair")
    assert (await sent.response()).content == "noted: the hair"

    typed = await server.alice.complete("colour", "name", "gr", general)
    assert [choice["name"] for choice in await typed.suggestions()] == ["green", "grey"]
    message = await server.alice.say(general, "look at this", files=[("a.png", png()), ("b.png", png())])
    menu = await (await server.bob.context_menu("Is this real?", message)).response()
    assert menu.content == "look at this: 2 files"


@played
async def test_people_can_do_only_what_their_client_lets_them(server: DiscordServer, client: Looker) -> None:
    general = server.guild["general"]
    granted = await server.olga.slash("moderate", general, where=server.guild["pictures"])
    assert (await granted.response()).content == "in pictures"
    with pytest.raises(NotPossibleError):
        await server.alice.slash("moderate", general, where=general)
    with pytest.raises(NotPossibleError):
        await server.olga.slash("moderate", None, where=general)  # not in direct messages
    with pytest.raises(LookupError):
        await server.alice.slash("nothing", general)
    for wrong_options in ({"rounds": 3}, {"rounds": "5"}, {}, {"rounds": 5, "more": 1}):
        with pytest.raises(AssertionError):
            await server.alice.slash("quiz start", general, **wrong_options)


@pytest.mark.parametrize("content", [True, False])
def test_message_content_is_told_exactly_to_those_who_may_see_it(content: bool) -> None:
    async def body(server: DiscordServer, client: Looker) -> None:
        general, files = server.guild["general"], [("a.png", png())]
        plain = await server.alice.say(general, "plain", files=files)
        mention = await server.alice.say(general, "named", files=files, mention=True)
        named = await server.answer(mention)
        replied = await server.alice.say(general, "to it", reply_to=named, ping=True)
        silent = await server.alice.say(general, "beside it", reply_to=named)
        asking = await server.bob.say(general, "what of this?", reply_to=plain, mention=True)
        forwarded = await server.bob.forward(plain, general)
        private = await server.alice.dm("alone", files=files)
        hidden = await server.alice.say(server.guild["hidden"], "secret", mention=True)
        last = await server.alice.say(server.guild["chat"], "in a thread", mention=True, files=files)
        await server.answer(last)
        heard = {message.id: message for message in client.heard}
        for message, is_told in (
            *((plain, content), (mention, True), (named, True), (replied, True), (silent, content)),
            *((asking, True), (private, True), (last, True)),
        ):
            assert bool(heard[message.id].content) is is_told
            assert bool(heard[message.id].attachments) is (is_told and bool(message.attachments) and not message.embeds)
        original = heard[asking.id].reference
        assert original is not None and isinstance(original.resolved, discord.Message)
        assert bool(original.resolved.attachments) is content, "an original is told by its own merits"
        assert bool(heard[forwarded.id].message_snapshots[0].attachments) is content
        assert hidden.id not in heard

    played(body, content=content)()


def test_privileged_intents_must_be_switched_on() -> None:
    async def body() -> None:
        server = DiscordServer()
        server.gateway.portal_intents = 0
        async with tls(server) as address:
            client = Looker(connector=address.connector())
            with pytest.raises(discord.PrivilegedIntentsRequired):
                await client.start(server.token)
            await client.close()
            with pytest.raises(discord.LoginFailure):
                await Looker(connector=address.connector()).start("wrong")

    asyncio.run(body())


@played
async def test_what_was_missed_is_replayed(server: DiscordServer, client: Looker) -> None:
    general = server.guild["general"]
    for interrupt in (server.gateway.reconnect, lambda: server.gateway.close(4000), dropped(server)):
        await interrupt()
        missed = await server.alice.say(general, "missed", files=[("a.png", png())])
        await server.next("resumed")
        await server.answer(missed)
    await server.gateway.invalidate(resumable=True)
    await server.next("resumed")
    assert len(server.entries("identify")) == 1
    server.gateway.invalid_sessions = 1
    await server.gateway.reconnect()
    await server.next("ready")
    after = await server.alice.say(general, "afterwards", files=[("a.png", png())])
    await server.answer(after)
    assert len(server.entries("identify")) == 2


def dropped(server: DiscordServer) -> Callable[[], Coroutine[Any, Any, None]]:
    async def drop() -> None:
        server.gateway.drop()

    return drop


@pytest.mark.parametrize(
    "spoil",
    [
        lambda server: server.gateway.dispatch("MESSAGE_CREATE", {"id": None}),
        lambda server: server.gateway.dispatch("MESSAGE_CREATE", []),
        lambda server: server.gateway.dispatch("INTERACTION_CREATE", {"id": "1", "type": 2}, server.guild),
        lambda server: server.gateway.send_text("{"),
        lambda server: server.gateway.send_raw(b"\xff\x00 no zlib \x00\x00\xff\xff"),
    ],
)
def test_malformed_frames_reach_the_client(spoil: Callable[[DiscordServer], Coroutine[Any, Any, None]]) -> None:
    """discord.py ends its `start` on them, which is what a supervisor is tested with."""

    async def body() -> None:
        async with tls() as address:
            client = Looker(connector=address.connector())
            task = asyncio.create_task(client.start(address.server.token))
            await address.server.next("ready")
            await address.server.gateway.dispatch("SOMETHING_NEW", {"unknown": True})
            await spoil(address.server)
            done, _ = await asyncio.wait([task], timeout=10)
            assert done and task.exception() is not None
            await client.close()

    asyncio.run(body())


def test_a_gateway_that_acknowledges_no_heartbeat_is_left() -> None:
    async def body() -> None:
        server = DiscordServer()
        server.gateway.heartbeat_ms, server.gateway.acknowledges = 100, False
        async with looking(server, heartbeat_timeout=0.3):
            assert (await server.next("resume")).data["session_id"]

    asyncio.run(body())


def test_two_shards_have_a_guild_each_and_the_first_has_direct_messages() -> None:
    class Sharded(Looker, discord.AutoShardedClient):
        pass

    async def body() -> None:
        server = DiscordServer(shards=2)
        async with tls(server) as address:
            client = Sharded(connector=address.connector(), shard_ids=[0, 1], shard_count=2)
            task = asyncio.create_task(client.start(server.token))
            for _ in range(2):
                await server.next("ready")
            posted: list[Message] = []
            for guild in (server.guild, server.other):
                posted.append(await server.alice.say(guild["general"], "x", files=[("a.png", png())]))
            posted.append(await server.alice.dm("x", files=[("a.png", png())]))
            for message in posted:
                await server.answer(message)
            assert {guild.shard_id for guild in client.guilds} == {0, 1}
            assert {m.id for m in posted} <= {m.id for m in client.heard}
            await client.close()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(body())


@played
async def test_guilds_come_and_go(server: DiscordServer, client: Looker) -> None:
    await server.remove_bot(server.other)
    new = server.add_guild("New", server.olga, server.alice)
    await server.join(new)
    await server.answer(await server.alice.say(new["general"], files=[("a.png", png())]))
    assert {guild.name for guild in client.guilds} == {"Faces", "New"}
    await server.alice.say(server.other["general"], files=[("a.png", png())])
    with pytest.raises(NotPossibleError):
        await server.alice.slash("wrong", server.other["general"])
    with pytest.raises(discord.NotFound):
        await client.fetch_channel(server.other["general"].id)


@played
async def test_permissions_are_those_that_discord_py_computes(server: DiscordServer, client: Looker) -> None:
    for guild in client.guilds:
        for channel in (*guild.channels, *guild.threads):
            mine = server.bot_may(server.channels[channel.id])
            theirs = channel.permissions_for(guild.me)
            for name in ("view_channel", "send_messages", "attach_files", "embed_links", "read_message_history"):
                if channel.name != "hidden":  # discord.py leaves the other bits of a channel that one cannot see
                    assert getattr(theirs, name) is bool(mine & getattr(discord.Permissions, name).flag)
            assert theirs.view_channel is bool(mine & bits.VIEW_CHANNEL)
    text = client.get_partial_messageable
    picture = {"file": discord.File(io.BytesIO(png()), "a.png")}
    for name, code, what in (
        ("hidden", 50001, {"content": "x"}),
        ("read-only", 50013, {"content": "x"}),
        ("no-files", 50013, picture),
    ):
        with pytest.raises(discord.Forbidden) as raised:
            await text(server.guild[name].id).send(**what)
        assert raised.value.code == code
    server.alice.blocks_bot = True
    with pytest.raises(discord.Forbidden) as raised:
        await (await client.fetch_user(server.alice.id)).send("x")
    assert raised.value.code == 50007


@played
async def test_files_expire_and_every_delivery_signs_them_afresh(server: DiscordServer, client: Looker) -> None:
    posted = await server.alice.say(server.guild["general"], files=[Upload("a.png", png(), "alt")], mention=True)
    await server.answer(posted)
    old = client.heard[0].attachments[0]
    assert old.description == "alt"
    server.clock.advance(25 * 3600)
    with pytest.raises(discord.NotFound):
        await old.read()
    fresh = (await client.heard[0].channel.fetch_message(posted.id)).attachments[0]
    assert await fresh.read() == png() != await fresh.read(use_cached=True)
    assert server.cdn.proxied == [posted.attachments[0].path], "the proxy counts what it is asked"
    with pytest.raises((discord.NotFound, aiohttp.ClientError, ValueError)):
        await client.http.get_from_cdn(fresh.url.replace("hm=", "hm=0"))
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.http.get_from_cdn("https://example.org/a.png")  # nothing leaves the machine


@played
async def test_a_message_or_an_answer_that_fails_on_demand(server: DiscordServer, client: Looker) -> None:
    general, picture = server.guild["general"], [("a.png", png())]
    limited = server.fail("POST /channels/*/messages", 429, times=2)
    await server.answer(await server.alice.say(general, "limited", files=picture))
    assert limited.hits == 2
    channel = client.get_partial_messageable(general.id)
    server.fail("POST /channels/*/messages", 403, code=50013, message="Missing Permissions")
    with pytest.raises(discord.Forbidden):
        await channel.send("x")
    server.fail("POST /channels/*/messages", drop="middle")
    server.fail("POST /channels/*/messages", drop="after")
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await channel.send("arrives all the same")
    assert [m.content for m in general.messages.values()].count("arrives all the same") == 2
    gone = server.fail("GET /attachments/*", 404, body=b"gone")
    await server.alice.say(general, "gone", files=picture)
    await server.next("fault", lambda e: e.fault is gone)
    broken = server.fail("GET /attachments/*", drop="middle")
    after = await server.alice.say(general, "broken off", files=picture)
    await server.next("fault", lambda e: e.fault is broken)
    slow = server.fail("GET /attachments/*", delay_s=0.05)
    late = await server.alice.say(general, "late", files=picture)
    await server.answer(late)
    assert slow.hits == 1 and after.id not in [m.referenced and m.referenced.id for m in general.messages.values()]
    assert any(isinstance(error, discord.NotFound) for error in client.raised)
