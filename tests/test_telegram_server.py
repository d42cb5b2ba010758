"""The stand-in for Telegram, used by plain python-telegram-bot, over httpx and over aiohttp."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp
import pytest
from PIL import Image
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeAllGroupChats,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
    Message,
)
from telegram.constants import MessageEntityType, MessageOriginType
from telegram.error import BadRequest, ChatMigrated, Forbidden

from tests.telegram_server import NotPossibleError, TelegramServer, in_thread
from tests.telegram_server.looker import Looker, OverAiohttp, assert_known, looking, picture, played

KEYS = InlineKeyboardMarkup([[InlineKeyboardButton("Layer 1", callback_data="l:1")]])


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
def test_a_photo_is_asked_about_answered_and_pressed(transport: str) -> None:
    async def play() -> None:
        async with looking() as looker:
            root, token = looker.address.api_url, looker.server.token
            request = OverAiohttp() if transport == "aiohttp" else None
            async with Bot(token, f"{root}/bot", f"{root}/file/bot", request=request) as looker.bot:
                await _conversation(looker)

    asyncio.run(play())


async def _conversation(looker: Looker) -> None:
    server = looker.server
    asked = await server.alice.sends_photo(picture(1600, 1200), "real?")
    heard = (await looker.update()).message
    assert heard is not None and heard.from_user is not None
    assert (heard.from_user.id, heard.caption, heard.chat.type) == (server.alice.id, "real?", "private")
    assert [size.width for size in heard.photo] == [90, 320, 800, 1280]
    file = await heard.photo[-1].get_file()
    assert asked.media is not None and bytes(await file.download_as_bytearray()) == asked.media.data
    sent = await heard.reply_photo(picture(seed=2), "<b>real</b>", parse_mode="HTML", reply_markup=KEYS, do_quote=True)
    assert_known(sent)
    answer = await server.answer(asked, lambda message: message.media)
    assert (answer.caption, answer.labels, answer.upload) == ("real", ["Layer 1"], picture(seed=2))
    pressed = await server.alice.clicks(answer, "Layer")
    query = (await looker.update()).callback_query
    assert query is not None and isinstance(query.message, Message) and query.message.reply_to_message is not None
    assert (query.data, query.message.reply_to_message.message_id) == ("l:1", asked.id)
    await query.answer("a moment")
    assert (await pressed.answer()).text == "a moment"
    edited = await query.edit_message_media(InputMediaPhoto(picture(seed=3), "the layer"))
    assert_known(edited)
    state = (await server.next("edit", lambda entry: entry.message.upload == picture(seed=3))).message
    assert (state.id, state.caption, state.keyboard) == (answer.id, "the layer", None)
    assert answer.caption == "real", "what `answer` gave is a state that does not change"


@played
async def test_every_method_answers_what_the_library_knows(looker: Looker) -> None:
    server, bot = looker.server, looker.bot
    await server.alice.starts()
    chat = server.alice.id
    for shown in (
        await bot.get_me(),
        await bot.send_message(chat, "hello /check@face_check_bot", reply_markup=KEYS, protect_content=True),
        await bot.send_photo(chat, picture(), has_spoiler=True, show_caption_above_media=True, caption="x"),
        document := await bot.send_document(chat, picture(), filename="a.jpg"),
        await bot.send_document(chat, document.document.file_id if document.document else ""),
        await bot.send_animation(chat, b"gif"),
        await bot.send_video(chat, b"mp4"),
        await bot.send_media_group(chat, [InputMediaPhoto(picture()), InputMediaPhoto(picture(seed=1))], caption="two"),
        await bot.send_media_group(chat, [InputMediaDocument(b"a"), InputMediaDocument(b"b")]),
        await bot.forward_message(server.group.id, chat, document.message_id),
        await bot.copy_message(chat, chat, document.message_id, caption="copied"),
        await bot.edit_message_caption(chat, document.message_id, caption="a file", reply_markup=KEYS),
        await bot.edit_message_reply_markup(chat, document.message_id),
        await bot.get_chat(chat),
        await bot.get_chat(server.group.id),
        await bot.get_chat_administrators(server.group.id),
        await bot.get_chat_member(server.group.id, server.bot.id),
        await bot.get_chat_member(chat, chat),
        await bot.get_webhook_info(),
        await bot.get_my_name(),
        await bot.get_my_description(),
        await bot.get_my_short_description(),
    ):
        assert_known(shown)
    assert await bot.get_chat_member_count(server.group.id) == 4
    assert await bot.send_chat_action(chat, "upload_photo")
    assert (await server.next("action")).action == "upload_photo"
    commands = [BotCommand("check", "Look at a photo")]
    assert await bot.set_my_commands(commands, BotCommandScopeAllGroupChats(), "de")
    assert list(await bot.get_my_commands(BotCommandScopeAllGroupChats(), "de")) == commands
    assert await bot.get_my_commands() == ()
    assert await bot.delete_message(chat, document.message_id)
    assert (await server.next("delete")).message.id == document.message_id
    assert await bot.delete_messages(chat, [m.id for m in server.messages(server.alice.private)])
    assert not server.messages(server.alice.private)


@played
async def test_everything_that_people_send_can_be_read(looker: Looker) -> None:
    server = looker.server
    server.alice.hides = True
    said = await server.alice.says("see 😀 https://example.org", entities=[{"type": "bold", "offset": 0, "length": 3}])
    await server.alice.replies(said, "/start now")
    await server.alice.forwards(said)
    for kind in ("animation", "video", "sticker", "voice", "audio", "video_note"):
        await server.alice.sends(kind)
    await server.alice.sends_file(b"%PDF", "a.pdf", "application/pdf", "read", thumbnail=picture())
    await server.alice.edits(said, "something else")
    await server.bob.blocks_bot()
    fresh = server.add_group("New", server.olga, with_bot=False)
    await server.olga.adds_bot(fresh, as_admin=True)
    await server.bob.joins(fresh)
    await server.bob.leaves(fresh)
    await server.olga.removes_bot(fresh)
    channel = server.add_group("News", server.olga, kind="channel")
    await server.olga.sends_photo(picture(), to=channel)
    updates = await looker.updates()
    texts = [u.message for u in updates if u.message][:3]
    assert [e.type for e in texts[0].entities] == [MessageEntityType.BOLD, MessageEntityType.URL]
    assert texts[0].parse_entity(texts[0].entities[1]) == "https://example.org"
    assert texts[1].reply_to_message is not None and texts[1].reply_to_message.message_id == said.id
    assert texts[2].forward_origin is not None and texts[2].forward_origin.type == MessageOriginType.HIDDEN_USER
    kinds = [next(iter(set(u.to_dict()) - {"update_id"})) for u in updates]
    assert kinds[-8:] == ["edited_message", "my_chat_member", "my_chat_member", *["message"] * 3, "my_chat_member",
                          "channel_post"]  # fmt: skip
    animation = next(u.message for u in updates if u.message and u.message.animation)
    assert animation.document is not None, "an animation is shown as a document too"


def test_photos_are_encoded_anew_and_files_are_not() -> None:
    async def play() -> None:
        async with looking() as looker:
            alice = looker.server.alice
            data = io.BytesIO()
            exif = Image.Exif()
            exif[0x0112] = 6  # turned by a quarter
            Image.open(io.BytesIO(picture(2600, 1300))).save(data, "JPEG", exif=exif)
            for sent, side in (
                (await alice.sends_photo(data.getvalue()), 1280),
                (await alice.sends_photo(data.getvalue(), hd=True), 2560),
            ):
                assert sent.media is not None
                seen = Image.open(io.BytesIO(sent.media.data))
                assert (seen.format, seen.size) == ("JPEG", (side // 2, side))
                assert not seen.getexif()
                assert sent.media.data != data.getvalue() == sent.upload
            file = await alice.sends_file(data.getvalue(), "a.jpg", "image/jpeg")
            assert file.media is not None and file.media.data == data.getvalue()

    asyncio.run(play())


@played
async def test_an_album_comes_in_pieces(looker: Looker) -> None:
    server = looker.server
    await server.alice.says("before")
    sent = await server.alice.sends_album([picture(seed=n) for n in range(3)], "both?")
    await server.alice.says("after")
    assert [len(await looker.updates()) for _ in range(6)] == [1, 1, 1, 1, 1, 0]
    assert len({message.media_group_id for message in sent}) == 1
    assert [message.caption for message in sent] == ["both?", "", ""]
    await server.alice.sends_album([picture(), server.alice.file("video", b"mp4")], together=True)
    assert len(await looker.updates()) == 2
    with pytest.raises(NotPossibleError):
        await server.alice.sends_album([picture()])


@played
async def test_privacy_mode_lets_through_what_is_meant_for_the_bot(looker: Looker) -> None:
    server = looker.server
    group, name = server.group, server.bot.mention
    other = server.add_bot("Other", group)

    async def is_heard(sent: Any) -> bool:
        found = [u.effective_message.message_id for u in await looker.updates() if u.effective_message]
        assert found in ([], [sent.id])
        return bool(found)

    photo = await server.alice.sends_photo(picture(), to=group)
    assert not await is_heard(photo)
    assert not await is_heard(await server.alice.says(f"{name} real?", group))
    assert not await is_heard(await server.alice.says(f"what does /check{name} do?", group))
    assert await is_heard(await server.alice.says(f"/check{name.upper()}", group))
    assert await is_heard(await server.alice.sends_photo(picture(), f"/check{name}", group))
    assert await is_heard(asked := await server.bob.says("/check", group, reply_to=photo))
    assert not await is_heard(await server.bob.says(f"/check{other.mention}", group, reply_to=asked))
    assert await is_heard(await server.bob.replies(asked, "please"))
    await server.other_bot_says(other, "hello", group)
    assert not await is_heard(await server.bob.says("/check", group))
    answer = await looker.bot.send_message(group.id, "hello")
    assert await is_heard(await server.bob.says("/check", group))
    assert await is_heard(await server.bob.replies(group.messages[answer.message_id], "thanks"))
    await server.olga.promotes_bot(group)
    await looker.updates()
    assert await is_heard(await server.bob.says("to everybody", group))
    await server.olga.demotes_bot(group)
    await looker.updates()
    server.has_privacy = False
    assert await is_heard(await server.bob.says("to everybody", group))
    assert not await is_heard(await server.other_bot_says(other, f"/check{name}", group))


@played
async def test_anonymous_admins_channels_and_topics(looker: Looker) -> None:
    server, group = looker.server, looker.server.group
    server.has_privacy = False
    server.make_anonymous(group, server.olga)
    group.members[server.bob.id].voice = channel = server.add_group("News", server.bob, kind="channel")
    first = await server.olga.says("hello", group)
    await server.bob.says("hello", group)
    await server.alice.replies(first, "yes?")
    group.topics, group.topic = {7}, 7
    await server.alice.says("in a topic", group)
    anonymous, posted, reply, topic = [update.message for update in await looker.updates()]
    assert anonymous is not None and posted is not None and reply is not None and topic is not None
    assert anonymous.from_user is not None and anonymous.sender_chat is not None
    assert (anonymous.from_user.username, anonymous.sender_chat.id) == ("GroupAnonymousBot", group.id)
    assert posted.sender_chat is not None and posted.sender_chat.id == channel.id
    assert (reply.message_thread_id, reply.is_topic_message) == (first.id, None)
    assert (topic.message_thread_id, topic.is_topic_message, topic.chat.is_forum) == (7, True, True)
    assert (await topic.reply_text("here")).message_thread_id == 7
    with pytest.raises(BadRequest, match="thread not found"):
        await looker.bot.send_message(group.id, "there", message_thread_id=8)


@played
async def test_people_can_do_only_what_their_program_lets_them(looker: Looker) -> None:
    server = looker.server
    said = await server.alice.says("hello")
    url = InlineKeyboardMarkup([[InlineKeyboardButton("site", url="https://example.org")]])
    message = await looker.bot.send_message(server.alice.id, "x", reply_markup=url)
    shown = server.alice.private.messages[message.message_id]
    alien = server.add_person("Zoe")
    for doing in (
        server.bob.edits(said, "x"),
        server.alice.clicks(shown, "site"),
        server.bob.clicks(shown, "site"),
        alien.says("x", server.group),
        server.bob.upgrades(server.small_group),
    ):
        with pytest.raises(NotPossibleError):
            await doing
    with pytest.raises(LookupError):
        await server.alice.clicks(shown, "nothing")
    await server.alice.blocks_bot()
    with pytest.raises(NotPossibleError):
        await server.alice.says("x")
    with pytest.raises(Forbidden):
        await looker.bot.send_message(server.alice.id, "x")


@played
async def test_a_group_that_became_a_supergroup(looker: Looker) -> None:
    server = looker.server
    new = await server.olga.upgrades(server.small_group)
    with pytest.raises(ChatMigrated) as moved:
        await looker.bot.send_message(server.small_group.id, "x")
    assert moved.value.new_chat_id == new.id
    told = [update.message for update in await looker.updates()]
    assert [m.migrate_to_chat_id for m in told if m and m.chat.id == server.small_group.id] == [new.id]
    assert [m.migrate_from_chat_id for m in told if m and m.chat.id == new.id] == [server.small_group.id]


@played
async def test_a_reply_from_another_chat(looker: Looker) -> None:
    server = looker.server
    photo = await server.bob.sends_photo(picture(), to=server.group)
    await server.alice.says("/check", reply_to=photo)
    message = (await looker.update()).message
    assert message is not None and message.reply_to_message is None and message.external_reply is not None
    assert message.external_reply.message_id == photo.id and message.external_reply.photo


@played
async def test_a_press_under_a_message_that_is_gone(looker: Looker) -> None:
    server = looker.server
    await server.alice.starts()
    sent = await looker.bot.send_message(server.alice.id, "x", reply_markup=KEYS)
    shown = server.alice.private.messages[sent.message_id].copy()
    await looker.updates()
    await sent.delete()
    await server.alice.presses(shown, "l:1")
    query = (await looker.update()).callback_query
    assert query is not None and query.message is not None and not query.message.is_accessible


def test_in_a_thread_for_tests_without_an_event_loop() -> None:
    with in_thread(lambda: TelegramServer(token="12:abc")) as served:
        url = f"{served.address.api_url}/bot12:abc/getMe"

        async def ask() -> Any:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return await answer.json()

        assert asyncio.run(ask())["result"]["id"] == 12
        assert served.run(served.server.next("call")).call.method == "getMe"
