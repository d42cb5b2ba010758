"""What the stand-in for Telegram refuses, in Telegram's words."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram.helpers import escape_markdown

from tests.telegram_server import html, markdown
from tests.telegram_server.entities import cut, found_in, utf16
from tests.telegram_server.looker import Looker, looking, picture, played

ALICE, ACTION = "alice", {"text": "a", "callback_data": "x"}
PHOTO = picture()

# method, parameters (chat_id is alice's), the description after "Bad Request: "
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("sendMessage", {}, "message text is empty"),
    ("sendMessage", {"text": " \n "}, "message text is empty"),
    ("sendMessage", {"text": "x" * 4097}, "message is too long"),
    ("sendMessage", {"text": "😀" * 2049}, "message is too long"),
    ("sendMessage", {"text": "x", "chat_id": 77}, "chat not found"),
    ("sendMessage", {"text": "x", "chat_id": "nobody"}, "chat not found"),
    ("sendMessage", {"text": "x", "txet": "y"}, "unknown parameter 'txet' of sendMessage"),
    ("sendMessage", {"text": "x", "disable_notification": "perhaps"}, "invalid parameter 'disable_notification' value"),
    ("sendMessage", {"text": "x", "parse_mode": "rtf"}, "unsupported parse_mode"),
    ("sendMessage", {"text": "<b>x", "parse_mode": "HTML"}, 'can\'t parse entities: Can\'t find end tag corresponding'),
    ("sendMessage", {"text": "x</b>", "parse_mode": "HTML"}, "can't parse entities: Unexpected end tag at byte"),
    ("sendMessage", {"text": "<b><i>x</b></i>", "parse_mode": "HTML"}, "can't parse entities: Unmatched end tag"),
    ("sendMessage", {"text": "<p>x</p>", "parse_mode": "HTML"}, 'can\'t parse entities: Unsupported start tag "p"'),
    ("sendMessage", {"text": "1 < 2", "parse_mode": "HTML"}, "can't parse entities: Unclosed start tag"),
    ("sendMessage", {"text": "a.b", "parse_mode": "MarkdownV2"}, "can't parse entities: Character '.' is reserved"),
    ("sendMessage", {"text": "*a", "parse_mode": "MarkdownV2"}, "can't parse entities: Can't find end of Bold entity"),
    ("sendMessage", {"text": "x", "entities": [{"type": "bold", "offset": 0, "length": 2}]}, "entity beginning at"),
    ("sendMessage", {"text": "x", "entities": [{"type": "fat", "offset": 0, "length": 1}]}, "can't parse Message"),
    ("sendMessage", {"text": "x", "reply_parameters": {"message_id": 9999}}, "message to be replied not found"),
    ("sendMessage", {"text": "x", "reply_markup": "{"}, "can't parse reply markup JSON object"),
    ("sendMessage", {"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a"}]]}}, "can't parse inline"),
    ("sendMessage", {"text": "x", "reply_markup": {"inline_keyboard": [[ACTION | {"callback_data": "é" * 33}]]}},
     "BUTTON_DATA_INVALID"),
    ("sendMessage", {"text": "x", "reply_markup": {"inline_keyboard": [[ACTION | {"callback_data": ""}]]}},
     "BUTTON_DATA_INVALID"),
    ("sendMessage", {"text": "x", "reply_markup": {"inline_keyboard": [[ACTION]] * 101}}, "reply markup is too long"),
    ("sendMessage", {"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a", "url": "localhost"}]]}},
     "inline keyboard button URL 'localhost' is invalid"),
    ("sendMessage", {"text": "x", "message_thread_id": 5}, "message thread not found"),
    ("sendPhoto", {}, "there is no photo in the request"),
    ("sendPhoto", {"photo": "attach://other", "files": {"photo": PHOTO}}, "can't find attached file 'other'"),
    ("sendPhoto", {"photo": "AgACnothing"}, "wrong file identifier/HTTP URL specified"),
    ("sendPhoto", {"files": {"photo": PHOTO}, "caption": "x" * 1025}, "message caption is too long"),
    ("sendPhoto", {"files": {"photo": b"GIF89a"}}, "IMAGE_PROCESS_FAILED"),
    ("sendPhoto", {"files": {"photo": b""}}, "file must be non-empty"),
    ("sendPhoto", {"files": {"photo": picture(2100, 100)}}, "PHOTO_INVALID_DIMENSIONS"),
    ("sendPhoto", {"files": {"photo": picture(9000, 1001)}}, "PHOTO_INVALID_DIMENSIONS"),
    ("sendPhoto", {"files": {"photo": PHOTO.ljust(10 * 2**20 + 1)}}, "file of size 10485761 bytes is too big"),
    ("sendMediaGroup", {"media": []}, "there are no messages to send"),
    ("sendMediaGroup", {"media": [{"type": "photo", "media": "attach://a"}] * 11, "files": {"a": PHOTO}},
     "too many messages to send as an album"),
    ("sendMediaGroup", {"media": [{"type": kind, "media": "attach://a"} for kind in ("photo", "document")],
                        "files": {"a": PHOTO}}, "document can't be mixed with other media types"),
    ("sendMediaGroup", {"media": [{"type": "photo", "media": f"attach://{name}"} for name in "ab"],
                        "files": {"a": PHOTO, "b": b"?"}}, 'failed to send message #2 with the error message "IMAGE'),
    ("sendChatAction", {"action": "thinking"}, "wrong parameter action in request"),
    ("editMessageText", {"message_id": 9999, "text": "x"}, "message to edit not found"),
    ("deleteMessage", {"message_id": 9999}, "message to delete not found"),
    ("getFile", {"file_id": "no", "chat_id": None}, "invalid file_id"),
    ("answerCallbackQuery", {"callback_query_id": "1", "chat_id": None}, "query is too old and response"),
    ("setMyCommands", {"commands": [{"command": "Check", "description": "x"}], "chat_id": None}, "BOT_COMMAND_INVALID"),
    ("setMyCommands", {"commands": [{"command": "c", "description": ""}], "chat_id": None}, "BOT_COMMAND_DESC"),
    ("setWebhook", {"url": "http://example.org", "chat_id": None}, "bad webhook: An HTTPS URL must be provided"),
    ("setWebhook", {"url": "https://example.org", "secret_token": "ä", "chat_id": None}, "secret token contains"),
    ("getUpdates", {"allowed_updates": ["mesage"], "chat_id": None}, "there is no update type 'mesage'"),
    ("getChatAdministrators", {}, "there are no administrators in the private chat"),
]  # fmt: skip


def test_what_is_wrong_is_refused_in_telegrams_words() -> None:
    async def play() -> None:
        async with looking() as looker:
            await looker.server.alice.starts()
            for method, given_, described in REFUSED:
                params = {"chat_id": looker.server.alice.id, **given_}
                params = {key: value for key, value in params.items() if value is not None}
                status, body = await looker.ask(method, **params)
                assert (status, body["ok"], body["error_code"]) == (400, False, 400), (method, given_, body)
                assert body["description"].startswith(f"Bad Request: {described}"), (method, body["description"])
            assert not looker.server.messages(looker.server.alice.private), "what is refused leaves nothing"

    asyncio.run(play())


@played
async def test_tokens_methods_and_sizes_have_answers_of_their_own(looker: Looker) -> None:
    alice = looker.server.alice
    await alice.starts()
    assert await looker.ask("getMe", token="1:wrong") == (401, {
        "ok": False, "error_code": 401, "description": "Unauthorized",
    })  # fmt: skip
    assert (await looker.ask("getMe", token="wrong"))[0] == 404
    assert (await looker.ask("getYou"))[1]["description"] == "Not Found: method not found"
    assert (await looker.ask("GETME"))[0] == 200
    status, body = await looker.ask("sendDocument", chat_id=alice.id, files={"document": b"x" * (50 * 2**20 + 1)})
    assert (status, body["description"]) == (413, "Request Entity Too Large")
    large = await alice.sends_file(b"x", size=20 * 2**20 + 1)
    assert large.media is not None
    status, body = await looker.ask("getFile", file_id=large.media.main.id)
    assert (status, body["description"]) == (400, "Bad Request: file is too big")


@played
async def test_limits_are_where_telegram_has_them(looker: Looker) -> None:
    alice = looker.server.alice
    await alice.starts()
    keyboard = {"inline_keyboard": [[ACTION | {"callback_data": "é" * 32}] * 8] * 12 + [[ACTION] * 4]}
    for method, params in (
        ("sendMessage", {"text": "😀" * 2048, "reply_markup": keyboard}),
        ("sendMessage", {"text": "<b>" + "x" * 4096 + "</b>", "parse_mode": "HTML"}),
        ("sendPhoto", {"files": {"photo": picture(2000, 100)}, "caption": "x" * 1024}),
        ("sendPhoto", {"files": {"photo": picture(9000, 1000)}}),
        ("sendPhoto", {"files": {"photo": PHOTO.ljust(10 * 2**20)}}),
        ("sendDocument", {"files": {"document": b"x" * 2**20}}),
    ):
        status, body = await looker.ask(method, chat_id=alice.id, **params)
        assert status == 200, body


@played
async def test_edits_that_change_nothing_and_edits_of_what_is_gone(looker: Looker) -> None:
    server, bot = looker.server, looker.bot
    asked = await server.alice.says("hello")
    text = await bot.send_message(server.alice.id, "one")
    photo = await bot.send_photo(server.alice.id, PHOTO)
    for described, method, params in (
        ("message is not modified: specified new", "editMessageText", {"message_id": text.id, "text": "one"}),
        ("message is not modified: specified new", "editMessageReplyMarkup", {"message_id": text.id}),
        ("there is no text in the message to edit", "editMessageText", {"message_id": photo.id, "text": "x"}),
        ("there is no caption in the message to edit", "editMessageCaption", {"message_id": text.id, "caption": "x"}),
        ("message can't be edited", "editMessageText", {"message_id": asked.id, "text": "x"}),
        ("message identifier is not specified", "editMessageText", {"text": "x"}),
    ):
        status, body = await looker.ask(method, chat_id=server.alice.id, **params)
        assert (status, body["description"].startswith(f"Bad Request: {described}")) == (400, True), body
    await bot.delete_message(server.alice.id, text.id)
    status, body = await looker.ask("editMessageText", chat_id=server.alice.id, message_id=text.id, text="x")
    assert body["description"] == "Bad Request: message to edit not found"
    server.clock.advance(48 * 3600 + 1)
    status, body = await looker.ask("deleteMessage", chat_id=server.alice.id, message_id=photo.id)
    assert body["description"] == "Bad Request: message can't be deleted for everyone"


@played
async def test_a_reply_to_what_is_gone_needs_permission(looker: Looker) -> None:
    server = looker.server
    asked = await server.alice.says("hello")
    await server.alice.deletes(asked)
    reply = {"message_id": asked.id, "allow_sending_without_reply": True}
    status, body = await looker.ask("sendMessage", chat_id=server.alice.id, text="x", reply_parameters=reply)
    assert status == 200 and "reply_to_message" not in body["result"]


@played
async def test_presses_want_one_answer_in_time(looker: Looker) -> None:
    server = looker.server
    await server.alice.starts()
    await looker.ask("sendMessage", chat_id=server.alice.id, text="x", reply_markup={"inline_keyboard": [[ACTION]]})
    (message,) = server.messages(server.alice.private)
    old = "Bad Request: query is too old and response timeout expired or query ID is invalid"

    async def answered(number: str, **params: Any) -> str:
        _, body = await looker.ask("answerCallbackQuery", callback_query_id=number, **params)
        return str(body.get("description", ""))

    pressed = await server.alice.clicks(message, "a")
    assert await answered(pressed.id, text="x" * 201) == "Bad Request: MESSAGE_TOO_LONG"
    assert await answered(pressed.id, text="x" * 200, show_alert=True) == ""
    assert pressed.given is not None and pressed.given.is_alert
    assert await answered(pressed.id) == old
    late = await server.alice.clicks(message, "x")
    server.clock.advance(16)
    assert await answered(late.id) == old and late.given is None


@played
async def test_where_the_bot_may_not_write(looker: Looker) -> None:
    server = looker.server

    async def told(chat: int, method: str = "sendMessage", **params: Any) -> tuple[int, str]:
        if method == "sendMessage":
            params["text"] = "x"
        status, body = await looker.ask(method, chat_id=chat, **params)
        return status, body.get("description", "")

    assert await told(server.bob.id) == (400, "Bad Request: chat not found")  # he has not started the bot
    await server.bob.starts()
    assert (await told(server.bob.id))[0] == 200
    await server.bob.blocks_bot()
    assert await told(server.bob.id) == (403, "Forbidden: bot was blocked by the user")
    await server.bob.unblocks_bot()
    server.deactivated.add(server.bob.id)
    assert await told(server.bob.id) == (403, "Forbidden: user is deactivated")
    server.group.may_send_media = False
    assert (await told(server.group.id))[0] == 200
    photo = {"files": {"photo": PHOTO}}
    denied = (400, "Bad Request: not enough rights to send photos to the chat")
    assert await told(server.group.id, "sendPhoto", **photo) == denied
    await server.olga.promotes_bot(server.group)
    assert (await told(server.group.id, "sendPhoto", **photo))[0] == 200
    await server.olga.removes_bot(server.group)
    assert await told(server.group.id) == (403, "Forbidden: bot was kicked from the supergroup chat")
    await server.olga.adds_bot(server.group)
    assert (await looker.ask("leaveChat", chat_id=server.group.id))[0] == 200
    assert await told(server.group.id) == (403, "Forbidden: bot is not a member of the supergroup chat")
    new = await server.olga.upgrades(server.small_group)
    status, body = await looker.ask("sendMessage", chat_id=server.small_group.id, text="x")
    assert (status, body["parameters"]) == (400, {"migrate_to_chat_id": new.id})
    assert (await told(new.id))[0] == 200


@pytest.mark.parametrize("parse_mode", [None, "HTML", "MarkdownV2"])
def test_markup_becomes_entities_counted_in_utf16(parse_mode: str | None) -> None:
    texts = {
        None: "😀 bold & code, a link",
        "HTML": "😀 <b>bold</b> &amp; <code>code</code>, <a href='https://example.org/?a&amp;b'>a link</a>",
        "MarkdownV2": "😀 *bold* & `code`, [a link](https://example.org/?a&b)",
    }
    entities = [
        {"type": "bold", "offset": 3, "length": 4},
        {"type": "code", "offset": 10, "length": 4},
        {"type": "text_link", "offset": 16, "length": 6, "url": "https://example.org/?a&b"},
    ]

    async def play() -> None:
        async with looking() as looker:
            await looker.server.alice.starts()
            params: dict[str, Any] = {"parse_mode": parse_mode} if parse_mode else {"entities": entities}
            text = f"  {texts[parse_mode]}\n" if parse_mode else texts[None]
            _, body = await looker.ask("sendMessage", chat_id=looker.server.alice.id, text=text, **params)
            assert (body["result"]["text"], body["result"]["entities"]) == (texts[None], entities)

    asyncio.run(play())


def test_entities_that_people_write() -> None:
    text = "/check@face_check_bot 😀 @somebody https://example.org/a?b=c. a@b /not/this #tag"
    assert [(e["type"], cut(text, e)) for e in found_in(text)] == [
        ("bot_command", "/check@face_check_bot"),
        ("mention", "@somebody"),
        ("url", "https://example.org/a?b=c"),
        ("hashtag", "#tag"),
    ]


@given(st.text(), st.text(alphabet="abc😀é"))
def test_entities_never_overlap_and_stay_inside(before: str, after: str) -> None:
    text = f"{before} /check {after} @somebody {before}"
    end = 0
    for entity in found_in(text):
        assert end <= entity["offset"] < entity["offset"] + entity["length"] <= utf16(text)
        end = entity["offset"] + entity["length"]


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_escaped_text_comes_out_of_markup_as_it_was(text: str) -> None:
    assert html.parse(escape(text)) == (text, [])
    assert markdown.parse(escape_markdown(text, version=2)) == (text, [])
