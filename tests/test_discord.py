"""Verdicts on Discord: every way to ask, every button, and everything that may go wrong in between."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import discord
import pytest
from PIL import Image

from bot.chat.discord.cards import Card
from bot.chat.discord.cards import Message as Sent
from bot.chat.discord.endpoints import EndpointError, api_base
from bot.chat.discord.gateway import Pace
from bot.chat.discord.token import URL_TOKEN, read_token
from bot.chat.token import RedactingFormatter, TokenError
from bot.params import DiscordParams
from bot.records import Account
from tests.discord_server import Message, Upload
from tests.discord_server.world import Member
from tests.discord_stage import PATIENCE_S, Stage, on_stage, opened, png, stage_params

VERDICTS = re.compile(r"Probably generated|Probably a real photo|I can't tell")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with on_stage(stage_params(tmp_path_factory.mktemp("stage"))) as found:
        yield found


@pytest.fixture(autouse=True)
def _calm(request: pytest.FixtureRequest) -> Iterator[None]:
    """What one test has broken does not bother the next."""
    yield
    if "stage" in request.fixturenames:
        found: Stage = request.getfixturevalue("stage")
        found.server.faults.waiting.clear()
        found.server.gateway.acknowledges = True
        found.server.gateway.rewrite = lambda event, data: data


def check_answer(message: Message) -> None:
    """A verdict in words and numbers, a panel that can be opened and is described, neutral names, no ping."""
    assert VERDICTS.search(message.text), message.text
    assert "likely to be generated" in message.text or "likely generated" in message.text
    assert re.search(r"It (holds|does not hold) when the picture is recompressed", message.text)
    assert set(message.files) == {"panel-1.png", "seen-1.png"}
    assert opened(message.files["panel-1.png"]).width > 500
    assert opened(message.files["seen-1.png"]).size == (32, 32)
    assert (message.alt_texts["panel-1.png"] or "").startswith("Verdict: ")
    assert message.embeds[0]["image"]["url"].startswith("attachment://")
    assert not message.pings


# Ways to ask


def test_mention(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await server.alice.say(server.guild["general"], "real?", files=[("me.png", png())], mention=True)
        answer = await stage.answer(asked)
        check_answer(answer)
        assert answer.labels == [
            *[label for label in answer.labels if "block" in label], "How to read this", *_wrong(answer)
        ]  # fmt: skip
        assert len(_layers(answer)) == 2
        call = next(c for c in server.rest.calls if c.path.endswith("/messages") and c.files)
        assert call.payload["allowed_mentions"]["parse"] == []
        await server.next("typing", timeout=PATIENCE_S)
        assert not server.cdn.proxied

    stage.run(scenario())


def test_reply_looks_at_the_other_message_first(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        shown = await server.bob.say(server.guild["general"], files=[("bobs.png", png(1))])
        asked = await server.alice.say(
            server.guild["general"], "and this?", files=[("mine.png", png(2))], mention=True, reply_to=shown
        )
        assert _sha256(await stage.answer(asked)) == hashlib.sha256(png(1)).hexdigest()

    stage.run(scenario())


def test_direct_message_forward_and_greeting(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await server.alice.dm(files=[("me.png", png())])
        check_answer(await stage.answer(asked))
        elsewhere = await server.bob.say(server.other["general"], files=[("me.png", png(3))])
        forwarded = await server.alice.forward(elsewhere, server.dm_of(server.alice))
        assert _sha256(await stage.answer(forwarded)) == hashlib.sha256(png(3)).hexdigest()
        answer = await stage.answer(await server.alice.dm("hello"))
        assert "no picture here" in answer.text

    stage.run(scenario())


def test_posts_are_answered_only_in_open_channels(stage: Stage) -> None:
    async def scenario() -> None:
        server, pictures = stage.server, stage.server.guild["pictures"]
        place = str(server.guild.id)
        ignored = [await server.alice.say(pictures, files=[("a.png", png())])]
        asked = await server.alice.say(pictures, mention=True, files=[("a.png", png()), ("notes.txt", b"words")])
        assert "One of them is no picture; I left it out." in (await stage.answer(asked)).text
        await stage.still_talks()  # who asks is answered everywhere; by then the post would have been, too
        await stage.bot.app.change_settings("discord", place, channels=(str(pictures.id),))
        answered = await stage.answer(await server.alice.say(pictures, files=[("a.png", png())]))
        check_answer(answered)
        ignored.append(await server.alice.say(pictures, "words only"))
        ignored.append(await server.alice.say(pictures, files=[("notes.txt", b"words")]))
        ignored.append(await server.alice.say(server.guild["general"], files=[("a.png", png())]))
        ignored.append(await server.alice.say(server.other["pictures"], files=[("a.png", png())]))
        robot = server.add_person("robot", is_bot=True)
        server.guild.members[robot.id] = Member(robot)
        ignored.append(await robot.say(pictures, files=[("a.png", png())]))
        ignored.append(await server.alice.say(pictures, "thanks", reply_to=answered, ping=True))
        await stage.still_talks()
        await stage.bot.app.change_settings("discord", place, channels=(str(server.guild["general"].id),))
        check_answer(await stage.answer(await server.alice.say(server.guild["chat"], files=[("a.png", png())])))
        now = datetime.now(UTC)
        quiet = {"quiet_from": f"{now - timedelta(hours=1):%H:%M}", "quiet_to": f"{now + timedelta(hours=1):%H:%M}"}
        await stage.bot.app.change_settings("discord", place, **quiet)
        ignored.append(await server.alice.say(server.guild["general"], files=[("a.png", png())]))
        await stage.still_talks()
        await stage.bot.app.change_settings("discord", place, channels=(), quiet_from=None, quiet_to=None)
        replied = {e.message.referenced.id for e in server.entries("message") if e.message.referenced}
        assert not replied & {message.id for message in ignored}

    stage.run(scenario())


def test_slash_with_ten_pictures(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        images = {"image" if n == 1 else f"image{n}": ("x.png", png(n)) for n in range(1, 11)}
        used = await server.alice.slash("check", server.guild["general"], **images)
        first = await used.response(lambda m: m.embeds, timeout=PATIENCE_S)
        second = await used.followup(timeout=PATIENCE_S)
        assert [len(first.embeds), len(second.embeds)] == [5, 5]
        assert first.text.startswith("10 pictures: ")
        assert [embed["title"].split(".")[0] for embed in (*first.embeds, *second.embeds)] == [
            str(n) for n in range(1, 11)
        ]
        assert len(first.files) == 10
        assert first.labels == [*(f"Picture {n}" for n in range(1, 6)), "How to read this"]
        assert second.labels[0] == "Picture 6"
        assert used.acked_after_s < 3

    stage.run(scenario())


def test_slash_with_a_link(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        shown = await server.bob.say(server.guild["general"], files=[("bobs.png", png(4))])
        url = server.cdn.url(shown.attachments[0])
        used = await server.alice.slash("check", server.guild["general"], link=url)
        assert _sha256(await used.response(timeout=PATIENCE_S)) == hashlib.sha256(png(4)).hexdigest()
        for link, said in (
            ("http://10.0.0.1/a.png", "private networks"),
            ("file:///etc/passwd", "no picture"),
            (f"{url.split('/attachments')[0]}/attachments/gone.png", "would not give it to me"),
        ):
            used = await server.alice.slash("check", server.guild["general"], link=link)
            assert said in (await used.response(timeout=PATIENCE_S)).text

    stage.run(scenario())


def test_embeds_and_links_in_text(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        shown = await server.bob.say(server.guild["general"], files=[("bobs.png", png(5))])
        url = server.cdn.url(shown.attachments[0])
        asked = await server.alice.say(server.guild["general"], f"is this real? {url}", mention=True)
        assert _sha256(await stage.answer(asked)) == hashlib.sha256(png(5)).hexdigest()
        thumbnail = {"url": url, "proxy_url": "https://media.discordapp.net/x.png", "width": 96, "height": 80}
        preview = {"type": "image", "url": url, "thumbnail": thumbnail}
        asked = await server.alice.say(server.guild["general"], "real?", embeds=[preview], mention=True)
        assert _sha256(await stage.answer(asked)) == hashlib.sha256(png(5)).hexdigest()

    stage.run(scenario())


def test_the_menu_of_a_message_is_private(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        shown = await server.bob.say(server.guild["general"], files=[("bobs.png", png())])
        used = await server.alice.context_menu("Is this real?", shown)
        answer = await used.response(timeout=PATIENCE_S)
        check_answer(answer)
        assert answer.is_ephemeral

    stage.run(scenario())


def test_private_answers_to_commands(stage: Stage) -> None:
    async def scenario() -> None:
        server, place = stage.server, str(stage.server.other.id)
        await stage.bot.app.change_settings("discord", place, ephemeral=True)
        used = await server.alice.slash("check", server.other["general"], image=("a.png", png()))
        assert (await used.response(timeout=PATIENCE_S)).is_ephemeral
        used = await server.alice.slash("check", server.guild["general"], image=("a.png", png()))
        assert not (await used.response(timeout=PATIENCE_S)).is_ephemeral

    stage.run(scenario())


def test_a_server_that_sends_the_bot_away_is_forgotten(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        guild = server.add_guild("Short", server.olga, server.alice)
        await server.join(guild)
        await stage.bot.app.change_settings("discord", str(guild.id), ephemeral=True)
        used = await server.alice.slash("check", guild["general"], image=("a.png", png()))
        assert (await used.response(timeout=PATIENCE_S)).is_ephemeral
        await server.remove_bot(guild)
        await stage.still_talks()
        async with asyncio.timeout(PATIENCE_S):
            while (await asyncio.to_thread(stage.app.records.settings, "discord", str(guild.id))).ephemeral:
                await asyncio.sleep(0.01)

    stage.run(scenario())


@pytest.mark.parametrize(
    ("upload", "said"),
    [
        (Upload("photo.jpg", b"not a picture at all"), "This is no picture"),
        (Upload("photo.png", png()[:400]), "cut short"),
        (Upload("notes.pdf", b"%PDF-1.7"), "This is no picture"),
        (Upload("huge.png", b"\x89PNG" + bytes(1_100_000)), "too large for me: I take up to 1 MiB"),
    ],
    ids=["text", "truncated", "document", "huge"],
)
def test_wrong_files(stage: Stage, upload: Upload, said: str) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await server.alice.say(server.guild["general"], files=[upload], mention=True)
        answer = await stage.answer(asked)
        assert said in answer.text
        assert "\n" not in answer.text
        assert not answer.files
        downloaded = asked.attachments[0].path in server.cdn.fetched
        assert downloaded == (upload.name.startswith("photo"))
        used = await server.alice.slash("check", server.guild["general"], image=upload, image2=("a.png", png()))
        answer = await used.response(timeout=PATIENCE_S)
        assert VERDICTS.search(answer.text)

    stage.run(scenario())


# Buttons


def test_layer_buttons_before_and_after_a_restart(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        answer = await stage.still_talks()
        layer = _layers(answer)[0]
        before = await (await server.bob.click(answer, layer)).response(timeout=PATIENCE_S)
        assert before.is_ephemeral
        assert re.search(r"^block\d\.conv\n.*of the evidence", before.text)
        opened(before.files["panel-1.png"])
        assert before.alt_texts["panel-1.png"]
        await stage.leave()
        await stage.enter()
        after = await (await server.bob.click(answer, layer)).response(timeout=PATIENCE_S)
        assert after.text == before.text
        assert after.files == before.files
        how = await (await server.bob.click(answer, "How to read this")).response(timeout=PATIENCE_S)
        assert how.is_ephemeral
        assert "The heatmaps" in how.text

    stage.run(scenario())


def test_buttons_of_a_private_answer(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        shown = await server.bob.say(server.guild["general"], files=[("bobs.png", png())])
        used = await server.alice.context_menu("Is this real?", shown)
        answer = await used.response(timeout=PATIENCE_S)
        shown = await (await server.alice.click(answer, _layers(answer)[-1])).response(timeout=PATIENCE_S)
        assert shown.files

    stage.run(scenario())


def test_claims_are_kept_with_the_hash_of_the_picture_as_it_came(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await server.alice.say(
            server.guild["general"], files=[("a.png", png(21)), ("b.png", png(22))], mention=True
        )
        answer = await stage.answer(asked)
        one = await (await server.bob.click(answer, "Picture 2")).response(timeout=PATIENCE_S)
        assert one.is_ephemeral
        assert _layers(one)
        thanks = await (await server.bob.click(one, _wrong(one)[0])).response(timeout=PATIENCE_S)
        assert "Thank you" in thanks.text
        kept = await asyncio.to_thread(stage.app.records.my_data, Account("discord", str(server.bob.id)))
        hashes = {claim["sha256"] for claim in kept["claims"]}
        assert hashlib.sha256(png(22)).hexdigest() in hashes
        assert hashlib.sha256(png(21)).hexdigest() not in hashes

    stage.run(scenario())


def test_the_button_of_an_older_model(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        answer = await stage.still_talks()
        mine = server.messages[answer.id]
        old = json.loads(re.sub(r"layer:0:(\d+):[0-9a-f]{12}", r"layer:0:\1:0123456789ab", json.dumps(mine.components)))
        mine.components = old
        anew = await (await server.bob.click(mine, mine.labels[0])).response(timeout=PATIENCE_S)
        assert "newer model" in anew.text
        assert VERDICTS.search(anew.text)
        assert _layers(anew)
        assert _sha256(anew) == _sha256(answer)

    stage.run(scenario())


def test_a_button_that_nothing_belongs_to(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        mine = server.messages[(await stage.still_talks()).id]
        mine.components = json.loads(json.dumps(mine.components).replace("layer:0:", "former:0:"))
        used = await server.bob.click(mine, mine.labels[0])
        assert "no longer works" in (await used.response(timeout=PATIENCE_S)).text

    stage.run(scenario())


def test_the_menu_gives_nothing_away_about_the_bots_own_messages(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        used = await server.alice.context_menu("Is this real?", server.messages[(await stage.still_talks()).id])
        answer = await used.response(timeout=PATIENCE_S)
        assert answer.is_ephemeral
        assert "is mine" in answer.text
        assert not answer.files

    stage.run(scenario())


# Events with less in them than discord.py wants, as proxies send them


def _thin(event: str, data: Any) -> Any:
    """Only what an answer cannot do without; files stay in the attachments, embeds name them as they were sent."""
    keys = {
        "INTERACTION_CREATE": ("id", "type", "token", "data", "guild_id", "channel_id", "member", "message"),
        "MESSAGE_CREATE": ("id", "channel_id", "guild_id", "content", "author", "attachments", "timestamp", "mentions"),
    }
    if event not in keys:
        return data
    thin = json.loads(json.dumps({key: data[key] for key in keys[event] if key in data}))
    if "member" in thin:
        user = {key: data["member"]["user"][key] for key in ("id", "username")}
        thin["member"] = {"user": user, "permissions": data["member"]["permissions"]}
    for attachment in thin["data"].get("resolved", {}).get("attachments", {}).values() if "data" in thin else ():
        del attachment["proxy_url"], attachment["size"]
    shown = thin.get("message")
    if shown is not None:
        for embed in shown["embeds"]:
            for part, name in (("image", "panel-1.png"), ("thumbnail", "seen-1.png")):
                shown["attachments"].append({"id": "1", "filename": name, "url": embed[part]["url"]})
                embed[part] = {"url": f"attachment://{name}"}
        for key in ("type", "edited_timestamp", "flags", "mentions", "tts"):
            del shown[key]
        shown["content"] = None
    return thin


def test_thin_events(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        server.gateway.rewrite = _thin
        used = await server.alice.slash("check", server.guild["general"], image=("a.png", png()))
        answer = await used.response(timeout=PATIENCE_S)
        check_answer(answer)
        layer = await (await server.bob.click(answer, _layers(answer)[0])).response(timeout=PATIENCE_S)
        assert opened(layer.files["panel-1.png"])
        check_answer(await stage.still_talks())

    stage.run(scenario())


# Things go wrong


@pytest.mark.parametrize(
    ("status", "code", "times"),
    [(500, 0, 1), (503, 0, 1), (429, 0, 2), (413, 40005, 1), (413, 40005, 2), (400, 50035, 3)],
)
def test_refused_answers(stage: Stage, status: int, code: int, times: int) -> None:
    async def scenario() -> None:
        server = stage.server
        fault = server.fail("PATCH /webhooks/*/messages/@original", status, code=code, times=times)
        used = await server.alice.slash("check", server.guild["general"], image=("a.png", png()))
        answer = await used.response(lambda m: VERDICTS.search(m.text), timeout=PATIENCE_S)
        assert fault.hits == times
        if status == 413 and times == 1:
            assert opened(answer.files["panel-1.jpg"]).width < 800
            assert answer.embeds[0]["image"]["url"] == "attachment://panel-1.jpg"
        elif status in (400, 413):
            assert not answer.files
        else:
            check_answer(answer)

    stage.run(scenario())


@pytest.mark.parametrize("drop", ["before", "middle", "after"])
def test_broken_connections(stage: Stage, drop: Any) -> None:
    async def scenario() -> None:
        server = stage.server
        server.fail("POST /interactions/*", drop=drop)
        server.fail("PATCH /webhooks/*", drop=drop)
        server.fail("POST /channels/*/messages", drop=drop)
        server.fail("GET /attachments/*", drop=drop)
        used = await server.alice.slash("check", server.guild["general"], image=("a.png", png()))
        check_answer(await used.response(lambda m: m.files, timeout=PATIENCE_S))
        begin = len(server.log)
        answer = await stage.still_talks()
        await stage.still_talks()
        told = [e.message for e in server.log[begin:] if e.kind == "message"]
        assert [message for message in told if message.referenced is answer.referenced] == [answer]

    stage.run(scenario())


def test_an_acknowledgement_that_came_too_late_costs_only_itself(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        for status, code in ((404, 10062), (400, 40060)):
            server.fail("POST /interactions/*", status, code=code)
            await server.alice.slash("check", server.guild["general"], image=("a.png", png()))
        check_answer(await stage.still_talks())

    stage.run(scenario())


def test_an_interaction_that_is_over_is_answered_in_the_channel(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        server.fail("PATCH /webhooks/*", 404, code=10015, times=10)
        begin = len(server.log)
        used = await server.alice.slash("check", server.guild["general"], image=("a.png", png(30)))
        await used.acknowledged(timeout=PATIENCE_S)

        def public() -> list[Message]:
            told = [entry.message for entry in server.log[begin:] if entry.kind == "message"]
            return [message for message in told if message.embeds and message.referenced is None]

        check_answer((await server.until(lambda: public() or None, "no answer in the channel", PATIENCE_S))[0])
        shown = await server.bob.say(server.guild["general"], files=[("bobs.png", png())])
        private = await server.alice.context_menu("Is this real?", shown)
        await private.acknowledged(timeout=PATIENCE_S)
        await stage.still_talks()
        assert len(public()) == 1

    stage.run(scenario())


def test_where_the_bot_may_not_write(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        await server.olga.say(server.guild["read-only"], files=[("a.png", png())], mention=True)
        asked = await server.olga.say(server.guild["no-files"], files=[("a.png", png())], mention=True)
        answer = await stage.answer(asked)
        assert VERDICTS.search(answer.text)
        assert not answer.files

    stage.run(scenario())


def test_small_upload_limit(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        server.other.size_limit = 100_000
        images = {"image": ("a.png", png(1, 600, 500)), "image2": ("a.png", png(2, 600, 500))}
        used = await server.alice.slash("check", server.other["general"], **images)
        answer = await used.response(lambda m: m.embeds, timeout=PATIENCE_S)
        server.other.size_limit = 10 * 2**20
        assert len(answer.files) == 4
        assert all(len(data) <= 100_000 for data in answer.files.values())

    stage.run(scenario())


MALFORMED: list[tuple[str, Any]] = [
    ("MESSAGE_CREATE", None),
    ("MESSAGE_CREATE", {"id": None}),
    ("MESSAGE_CREATE", {"id": "1", "channel_id": "x"}),
    ("INTERACTION_CREATE", {"id": "1", "type": 2, "token": "t", "version": 1, "application_id": "1"}),
    ("INTERACTION_CREATE", {"id": "1", "type": 3, "token": "t", "version": 1, "application_id": "1", "data": 7,
                            "attachment_size_limit": 1}),
    ("GUILD_CREATE", {"id": "77", "channels": [{"id": []}]}),
    ("GUILD_UPDATE", "text"),
    ("CHANNEL_CREATE", []),
    ("RESUMED", None),
    ("NO_SUCH_EVENT", {"a": 1}),
]  # fmt: skip


def test_commands_that_could_not_be_registered_at_once(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        await stage.leave()
        known = len(server.entries("commands"))
        server.fail("PUT /applications/*/commands", 503)
        await stage.enter()
        await server.until(lambda: len(server.entries("commands")) > known, "no commands came", PATIENCE_S / 4)

    stage.run(scenario())


def test_malformed_events(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        connections = len(server.entries("identify")) + len(server.entries("resume"))
        for event, data in MALFORMED:
            await server.gateway.dispatch(event, data)
        for text in ("[]", "7", "{", '"x"', '{"op": 99}', '{"op": 0, "t": 5, "s": "x", "d": null}', '{"op": "1"}'):
            await server.gateway.send_text(text)
        check_answer(await stage.still_talks())
        assert len(server.entries("identify")) + len(server.entries("resume")) == connections

    stage.run(scenario())


@pytest.mark.parametrize("how", ["op 7", "invalid", "resumable", "4000", "4009", "1001", "drop", "raw", "session gone"])
def test_lost_connections(stage: Stage, how: str) -> None:
    async def scenario() -> None:
        server = stage.server
        used = await server.alice.slash("check", server.guild["general"], image=("a.png", png()))
        await used.acknowledged(timeout=PATIENCE_S)
        came_back = len(server.entries("ready")) + len(server.entries("resumed"))
        if how == "op 7":
            await server.gateway.reconnect()
        elif how in ("invalid", "resumable"):
            await server.gateway.invalidate(resumable=how == "resumable")
        elif how == "drop":
            server.gateway.drop()
        elif how == "raw":
            await server.gateway.send_raw(b"\x01\x02\x03\x04no zlib\x00\x00\xff\xff")
        elif how == "session gone":
            server.gateway.invalid_sessions = 1
            await server.gateway.reconnect()
        else:
            await server.gateway.close(int(how))
        missed = None
        if how not in ("invalid", "session gone"):
            missed = await server.alice.say(server.guild["general"], files=[("a.png", png())], mention=True)
        await server.until(
            lambda: len(server.entries("ready")) + len(server.entries("resumed")) > came_back,
            "the bot did not come back", PATIENCE_S,
        )  # fmt: skip
        check_answer(await used.response(timeout=PATIENCE_S))
        if missed is not None:
            check_answer(await stage.answer(missed))
        check_answer(await stage.still_talks())

    stage.run(scenario())


def test_a_gateway_that_falls_silent(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        resumed = len(server.entries("resumed"))
        server.gateway.heartbeat_ms = 300
        try:
            await server.gateway.reconnect()
            await server.until(lambda: len(server.entries("resumed")) > resumed, "no first resume", PATIENCE_S)
            server.gateway.acknowledges = False
            await server.until(lambda: len(server.entries("resumed")) > resumed + 1, "no second resume", PATIENCE_S)
        finally:
            server.gateway.acknowledges = True
            server.gateway.heartbeat_ms = 41_250
            await server.gateway.reconnect()
        check_answer(await stage.still_talks())

    stage.run(scenario())


def test_without_the_message_content_intent(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        server.gateway.portal_intents = 0
        await stage.leave()
        try:
            await stage.enter()
            assert not stage.bot.intents.message_content
            check_answer(await stage.still_talks())
            check_answer(await stage.answer(await server.alice.dm(files=[("a.png", png())])))
        finally:
            server.gateway.portal_intents = 1 << 1 | 1 << 8 | 1 << 15
            await stage.leave()
            await stage.enter()
        assert stage.bot.intents.message_content

    stage.run(scenario())


def test_many_at_once_and_their_places_in_the_queue(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        (worker,) = stage.app.desk.pids
        os.kill(worker, signal.SIGSTOP)
        try:
            people = (server.alice, server.bob, server.olga)
            used = [
                await people[n % 3].slash("check", server.guild["general"], image=("a.png", png(n))) for n in range(24)
            ]
            for one in used:
                await one.acknowledged(timeout=PATIENCE_S)
            news = await used[-1].response(timeout=PATIENCE_S)
            assert re.fullmatch(r"\d+ pictures are before yours\.", news.text)
        finally:
            os.kill(worker, signal.SIGCONT)
        for n, one in enumerate(used):
            answer = await one.response(lambda m: m.embeds, timeout=PATIENCE_S)
            assert _sha256(answer) == hashlib.sha256(png(n)).hexdigest()
            assert answer.content == ""

    stage.run(scenario())


def test_a_worker_that_is_killed_costs_nothing(stage: Stage) -> None:
    async def scenario() -> None:
        server = stage.server
        (worker,) = stage.app.desk.pids
        os.kill(worker, signal.SIGSTOP)
        used = await server.alice.slash("check", server.guild["general"], image=("a.png", png(40)))
        await used.acknowledged(timeout=PATIENCE_S)
        os.kill(worker, signal.SIGKILL)
        check_answer(await used.response(lambda m: m.files, timeout=PATIENCE_S))
        assert len([state for state in used.shown if state.files]) == 1

    stage.run(scenario())


# Small parts


def test_tokens(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("  secret.token\n")
    assert read_token(DiscordParams(token_file=str(file)), {"DISCORD_TOKEN": "other"}) == "secret.token"
    assert read_token(DiscordParams(), {"DISCORD_TOKEN": " other\n"}) == "other"
    for content, wanted in (("", "empty"), ("two words", "something else"), ("grün", "something else")):
        with pytest.raises(TokenError, match=wanted) as caught:
            read_token(DiscordParams(), {"DISCORD_TOKEN": content})
        assert "words" not in str(caught.value).split(";")[0].replace("odd characters", "")
    with pytest.raises(TokenError, match=r"set DISCORD_TOKEN or discord\.token_file"):
        read_token(DiscordParams(), {})
    with pytest.raises(TokenError, match="cannot be read: no such file"):
        read_token(DiscordParams(token_file=str(tmp_path / "none")), {})


def test_logs_hold_no_tokens() -> None:
    formatter = RedactingFormatter("secret.token", URL_TOKEN)
    try:
        raise ValueError("Bot secret.token was refused")
    except ValueError as error:
        exc_info = (ValueError, error, error.__traceback__)
    message = "POST https://discord.com/api/v10/webhooks/12/aW50ZXJhY3Rpb24/messages and secret.token"
    line = formatter.format(logging.LogRecord("x", logging.INFO, "", 0, message, (), exc_info))
    assert "secret" not in line
    assert "aW50ZXJhY3Rpb24" not in line
    assert "/webhooks/12/[token]/messages" in line


@pytest.mark.parametrize(
    "url",
    ["https://proxy.example", "https://proxy.example/", "https://proxy.example/api", "https://proxy.example/api/v10/"],
)
def test_api_url(url: str) -> None:
    assert api_base(url) == "https://proxy.example/api/v10"


def test_api_url_under_a_path_and_of_another_version() -> None:
    assert api_base("http://127.0.0.1:8080/discord") == "http://127.0.0.1:8080/discord/api/v10"
    with pytest.raises(EndpointError, match="version 9"):
        api_base("https://proxy.example/api/v9")


def test_the_pace_of_connections() -> None:
    pace = Pace(3, 60)
    assert [pace.next_wait_s(now) for now in (0, 1, 2)] == [0, 0, 0]
    assert pace.next_wait_s(10) == 50
    assert pace.next_wait_s(10) == 51
    assert pace.next_wait_s(100) == 0


def test_messages_fit() -> None:
    big = io.BytesIO()
    Image.effect_noise((900, 700), 60).save(big, "PNG")
    message = Sent("x" * 3000, (Card("t" * 300, "d" * 5000, panel=big.getvalue(), alt="a" * 2000, seen=png()),))
    parts = message.parts()
    assert len(parts["content"]) == 2000
    assert isinstance(parts["embeds"][0], discord.Embed)
    assert len(parts["embeds"][0].title or "") == 256
    assert len(parts["embeds"][0].description or "") == 4096
    assert len(parts["files"][0].description) == 1024
    small = message.smaller().cards[0].panel
    assert small is not None
    assert len(small) < len(big.getvalue()) / 4
    assert not message.without_pictures().parts()["files"]
    assert message.plain().parts()["embeds"] == []


def _layers(message: Message) -> list[str]:
    return [label for label in message.labels if "block" in label]


def _wrong(message: Message) -> list[str]:
    return [label for label in message.labels if label in ("That's wrong", "It is real", "It is generated")]


def _sha256(message: Message) -> str:
    """Of the picture that was looked at, as the buttons know it."""
    from bot.chat.buttons import WrongButton, parse_button

    buttons = [parse_button(control["custom_id"]) for control in message.controls]
    return next(button.sha256 for button in buttons if isinstance(button, WrongButton))
