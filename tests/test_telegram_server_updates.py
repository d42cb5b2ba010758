"""How updates reach the bot from the stand-in for Telegram, and what can go wrong between the two."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from telegram import Update
from telegram.error import Conflict, NetworkError, RetryAfter, TelegramError

from tests.telegram_server.looker import Looker, assert_known, picture, played


@played
async def test_updates_wait_until_they_are_confirmed(looker: Looker) -> None:
    server, bot = looker.server, looker.bot
    for text in "abc":
        await server.alice.says(text)
    assert [u.message.text for u in await bot.get_updates(limit=2) if u.message] == ["a", "b"]
    first = (await bot.get_updates())[0]
    assert first.message is not None and first.message.text == "a", "not confirmed, so they come again"
    assert [u.message.text for u in await bot.get_updates(offset=-1) if u.message] == ["c"]
    assert len(await bot.get_updates()) == 1, "a negative offset forgets what is older"
    await looker.updates()
    waiting = asyncio.create_task(looker.updates(timeout=20))
    await server.next("poll", lambda entry: entry.offset > 0)
    await server.alice.says("d")
    assert len(await asyncio.wait_for(waiting, 10)) == 1, "whoever waits is told at once"
    await looker.updates(allowed_updates=[Update.CALLBACK_QUERY])
    await server.alice.says("not asked for")
    assert not await looker.updates()
    server.updates.add_raw({"message": None})
    assert len((await looker.ask("getUpdates"))[1]["result"]) == 1


@played
async def test_neither_updates_nor_links_to_files_last_for_ever(looker: Looker) -> None:
    server = looker.server
    await server.alice.sends_photo(picture())
    message = (await looker.bot.get_updates())[0].message
    assert message is not None
    file = await message.photo[0].get_file()
    server.clock.advance(3601)
    with pytest.raises(TelegramError):
        await file.download_as_bytearray()
    assert await (await message.photo[0].get_file()).download_as_bytearray()
    server.clock.advance(24 * 3600)
    assert not await looker.updates()


@played
async def test_one_asks_for_updates_at_a_time(looker: Looker) -> None:
    first = asyncio.create_task(looker.bot.get_updates(timeout=20))
    await looker.server.next("poll")
    second = asyncio.create_task(looker.ask("getUpdates", timeout=20))
    with pytest.raises(Conflict, match="other getUpdates"):
        await first
    await looker.bot.set_webhook("https://example.org/hook")
    assert (await second)[1]["description"] == "Conflict: terminated by setWebhook request"
    with pytest.raises(Conflict, match="webhook is active"):
        await looker.bot.get_updates()
    await looker.bot.delete_webhook()
    assert not await looker.updates()


@played
async def test_a_webhook_is_pushed_to_until_it_takes(looker: Looker) -> None:
    server, statuses, secrets = looker.server, [500, 200], []

    async def take(request: web.Request) -> web.Response:
        secrets.append(request.headers["X-Telegram-Bot-Api-Secret-Token"])
        assert_known(Update.de_json(await request.json(), looker.bot))
        return web.Response(status=statuses.pop(0))

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.webhook_door = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await server.alice.says("hello")
    await looker.bot.set_webhook("https://example.org/hook", secret_token="s3cret", allowed_updates=["message"])
    await server.next("push", lambda entry: entry.status == 500)
    info = await looker.bot.get_webhook_info()
    assert_known(info)
    assert (info.url, info.pending_update_count, info.allowed_updates) == ("https://example.org/hook", 1, ("message",))
    assert info.last_error_message == "Wrong response from the webhook: 500"
    await server.next("push", lambda entry: entry.status == 200)
    assert secrets == ["s3cret"] * 2
    await server.until(lambda: not server.updates.waiting)
    await runner.cleanup()


@pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")  # what the library says of itself
@played
async def test_floods(looker: Looker) -> None:
    server, bot = looker.server, looker.bot
    await server.alice.starts()
    server.flood("sendMessage", retry_after=3, times=1)
    with pytest.raises(RetryAfter) as refused:
        await bot.send_message(server.alice.id, "x")
    assert refused.value._retry_after.total_seconds() == 3
    await bot.send_message(server.alice.id, "x")
    server.flood_control.is_on = True
    await bot.send_message(server.alice.id, "x")
    with pytest.raises(RetryAfter):
        await bot.send_message(server.alice.id, "x")
    for _ in range(20):
        await bot.send_message(server.group.id, "x")
        server.clock.advance(1.1)
    with pytest.raises(RetryAfter) as refused:
        await bot.send_message(server.group.id, "x")
    assert 30 < refused.value._retry_after.total_seconds() < 60
    await bot.send_chat_action(server.group.id, "typing")


@played
async def test_faults(looker: Looker) -> None:
    server, bot, alice = looker.server, looker.bot, looker.server.alice
    sent = await alice.sends_photo(picture())
    file = await bot.get_file(sent.media.main.id if sent.media else "")
    for trouble in (
        {"status": 502}, {"body": b"<html>", "status": 200}, {"drop": "before"}, {"drop": "after"}, {"drop": "middle"},
    ):  # fmt: skip
        server.fail("send*", **trouble)
        with pytest.raises(TelegramError):
            await bot.send_message(alice.id, "x")
    assert len(server.messages(alice.private)) == 2, "with an answer lost on its way the message was sent"
    server.fail("getMe", delay_s=30)
    with pytest.raises(NetworkError):
        await bot.get_me(read_timeout=0.1)
    server.fail("file/*", 404)
    with pytest.raises(TelegramError):
        await file.download_as_bytearray()
    assert await file.download_as_bytearray()
    await looker.address.down()
    with pytest.raises(NetworkError):
        await bot.get_me()
    await looker.address.up()
    assert (await bot.get_me()).id == server.bot.id
