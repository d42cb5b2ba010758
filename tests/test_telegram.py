"""Telegram, at a stand-in for its Bot API server: what people send, what they get, and what may go wrong on the way."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram.error import RetryAfter

from bot.chat.buttons import LayerButton, model_mark
from bot.chat.refusals import FileTooLarge
from bot.chat.telegram.pictures import File, candidates
from bot.chat.telegram.replies import MAX_TEXT, parts
from bot.chat.telegram.transport import Pace, Troubled
from bot.params import BotParams, NetworkParams
from bot.worker import DetectorDesk
from tests.http_site import Site, Talk, reply
from tests.stand_in import Loop
from tests.telegram_server import Message, Person
from tests.telegram_stage import PATIENCE_S, Stage, opened, png, stage

GONE = "The picture that this was about is gone"
NO_PICTURE = "I see no picture here."


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A site with a picture, from which links may be followed though it is on loopback."""
    pages: dict[str, bytes | Talk] = {"/a.png": reply(png(30), "Content-Type: image/png")}
    with Loop().in_thread() as loop, loop.entered(Site(pages)) as found:
        yield found


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("telegram"), allow=[f"{site.host}:{site.port}"]) as one:
        yield one


@pytest.fixture(autouse=True)
def _calm(request: pytest.FixtureRequest) -> Iterator[None]:
    """What one test has broken does not bother the next."""
    yield
    if "played" in request.fixturenames:
        found: Stage = request.getfixturevalue("played")
        found.server.faults.waiting.clear()


@pytest.fixture
def someone(played: Stage) -> Person:
    """Somebody who has not spoken with the bot before."""
    return played.server.add_person("Carol")


def answered(played: Stage, asked: Message) -> Message:
    return played.run(played.answer(played.server.live(asked)))


def shown(played: Stage, person: Person, answer: Message, named: str) -> str:
    """What the words over the chat say after a press."""
    press = played.run(person.clicks(answer, named))
    return played.run(press.answer(PATIENCE_S)).text


def after_that_nothing_came(played: Stage, asked: Message) -> None:
    """Something that was said later was answered, and this was not."""
    played.run(played.still_talks())
    assert not [m for m in played.server.messages(asked.chat) if m.reply_to is asked]


# What people send


def test_a_file_gets_verdict_panel_and_buttons(played: Stage, someone: Person) -> None:
    answer = answered(played, played.run(someone.sends_file(png())))
    assert answer.media is not None
    assert answer.media.kind == "photo"
    assert opened(answer.upload).width > 500
    assert "Answered by the model test-" in answer.caption
    assert "I can be wrong." in answer.caption
    assert re.search("Most evidence for (fake|real) comes from block", answer.caption)  # Telegram has no alt texts
    assert "as a file" not in answer.caption
    assert answer.labels[-3:] == ["How to read this", "It is real", "It is generated"]
    assert any("block1.conv" in label for label in answer.labels)
    assert all(len(button["callback_data"].encode()) <= 64 for button in answer.buttons)
    assert len(played.server.messages(someone.private)) == 1


def test_of_a_photo_it_is_said_that_a_file_would_be_surer(played: Stage, someone: Person) -> None:
    answer = answered(played, played.run(someone.sends_photo(png(1, 400, 300))))
    assert "Send the original as a file for a better answer." in answer.caption


@pytest.mark.parametrize("together", [True, False])
def test_an_album_gets_one_answer(played: Stage, someone: Person, together: bool) -> None:
    sent = played.run(someone.sends_album([png(seed) for seed in range(3)], together=together))
    answer = played.run(played.answer(sent[0], lambda message: message.keyboard))
    assert answer.caption.startswith("3 pictures: ")
    assert [line[:2] for line in answer.caption.splitlines()[1:]] == ["1.", "2.", "3."]
    assert answer.labels == ["Picture 1", "Picture 2", "Picture 3", "How to read this"]
    panels = [message for message in played.server.messages(someone.private) if message.media_group_id]
    assert len(panels) == 3
    assert panels[2].caption.startswith("3. ")
    assert len(played.server.messages(someone.private)) == 4
    played.run(played.still_talks())
    assert len(played.server.messages(someone.private)) == 4


@pytest.mark.parametrize("good", [0, 1])
def test_the_only_picture_of_an_album_is_answered_like_one_alone(played: Stage, someone: Person, good: int) -> None:
    picture, broken = (png(4), "a.png"), (b"hello", "b.jpg")
    sorts = [picture, broken] if good == 0 else [broken, picture]
    files = [someone.file("document", data, name) for data, name in (*sorts, (b"PK", "c.zip"))]
    sent = played.run(someone.sends_album(files))
    answer = answered(played, sent[good])  # below the picture, where its buttons find it
    assert answer.media is not None and answer.media.kind == "photo"
    assert opened(answer.upload).width > 500
    assert answer.caption.startswith(f"{good + 1}. ")
    assert f"{2 - good}. No answer: This is no picture." in answer.caption
    assert "One of them is no picture; I left it out." in answer.caption
    assert answer.labels[-3:] == ["How to read this", "It is real", "It is generated"]
    assert not shown(played, someone, answer, "block1.conv")
    assert answered(played, answer).caption.startswith("block1.conv")


def test_a_forwarded_photo_is_looked_at_like_any_other(played: Stage) -> None:
    posted = played.run(played.server.olga.sends_photo(png(2), to=played.server.group))
    assert answered(played, played.run(played.server.alice.forwards(posted))).media


def test_what_holds_no_picture(played: Stage, someone: Person) -> None:
    assert (answered(played, played.run(someone.says("hello"))).text or "").startswith(NO_PICTURE)
    for moving in ("animation", "video"):
        assert "I take pictures only" in (answered(played, played.run(someone.sends(moving))).text or "")
    assert "This is no picture." in (answered(played, played.run(someone.sends("voice"))).text or "")
    text = played.run(someone.sends_file(b"no picture at all", "photo.jpg", "image/jpeg"))
    assert "This is no picture." in (answered(played, text).text or "")
    after_that_nothing_came(played, played.run(someone.sends("sticker")))


def test_a_file_that_is_too_large_is_refused_before_it_is_fetched(played: Stage, someone: Person) -> None:
    downloads = len(played.server.files.downloads)
    answer = answered(played, played.run(someone.sends_file(png(), size=30 * 2**20)))
    assert "too large for me: I take up to 1 MiB" in (answer.text or "")
    assert len(played.server.files.downloads) == downloads


def test_an_edited_message_is_not_answered_again(played: Stage, someone: Person) -> None:
    asked = played.run(someone.sends_file(png(), caption="real?"))
    answered(played, asked)
    played.run(someone.edits(asked, "really?"))
    played.run(played.still_talks())
    assert len(played.server.messages(someone.private)) == 1


def test_a_private_link_is_not_followed(played: Stage, someone: Person) -> None:
    answer = answered(played, played.run(someone.says(f"look: {played.address.api_url}/a.png")))
    assert "private networks" in (answer.text or "")


def test_a_link_is_followed_and_its_picture_found_again(played: Stage, someone: Person, site: Site) -> None:
    link = {"type": "text_link", "offset": 0, "length": 4, "url": f"{site.url}/a.png"}
    for asked in (someone.says(f"real? {site.url}/a.png"), someone.says("this one", entities=[link])):
        answer = answered(played, played.run(asked))
        assert answer.media
        assert not shown(played, someone, answer, "block1.conv")
        assert answered(played, answer).caption.startswith("block1.conv")
    assert {path for path, _ in site.asked} == {"/a.png"}


def test_a_picture_of_another_chat_is_found_in_the_reply(played: Stage) -> None:
    server = played.server
    posted = played.run(server.bob.sends_photo(png(31), to=server.group))
    asked = played.run(server.alice.says("real?", reply_to=posted))
    answer = answered(played, asked)
    assert answer.media
    assert not shown(played, server.alice, answer, "block1.conv")
    assert answered(played, answer).media


def test_german(played: Stage) -> None:
    dora = played.server.add_person("Dora", language="de-AT")
    assert "Modell" in answered(played, played.run(dora.sends_file(png()))).caption


# In groups


def test_a_group_is_answered_when_it_asks(played: Stage) -> None:
    server = played.server
    alice, bob, group = server.alice, server.bob, server.group
    posted = played.run(bob.sends_photo(png(5), to=group))
    asked = played.run(alice.replies(posted, "/check@face_check_bot"))
    answer = answered(played, posted)  # below the picture, where its buttons find it
    assert answer.media
    with_caption = played.run(alice.sends_photo(png(6), "/check@face_check_bot", to=group))
    assert answered(played, with_caption).media
    own = played.run(alice.replies(answer, "/check@face_check_bot"))
    assert "That message is mine." in (answered(played, own).text or "")
    nothing = played.run(alice.says("/check@face_check_bot", to=group))
    assert (answered(played, nothing).text or "").startswith(NO_PICTURE)
    other = played.run(alice.sends_photo(png(7), "/check@other_bot", to=group))
    thanks = played.run(bob.replies(answer, "thank you!"))
    again = played.run(bob.sends_photo(png(8), to=group, reply_to=answer))
    assert answered(played, again).media
    for silent in (asked, other, thanks):
        after_that_nothing_came(played, silent)


def test_a_mention_is_heard_and_mere_posts_only_where_admins_want_it(played: Stage) -> None:
    server = played.server
    group = server.add_group("Open", server.olga, server.alice)
    played.run(server.olga.promotes_bot(group))  # so that it hears everything
    mentioned = played.run(server.alice.sends_photo(png(9), "@face_check_bot real?", to=group))
    assert answered(played, mentioned).media
    posted = played.run(server.alice.sends_photo(png(10), to=group))
    moving = played.run(server.alice.sends("animation", to=group))
    after_that_nothing_came(played, posted)
    played.run(played.bot.app.open_channel("telegram", str(group.id), str(group.id), True))
    posted = played.run(server.alice.sends_photo(png(11), to=group))
    assert answered(played, posted).media
    for silent in (moving, played.run(server.alice.says("nice", to=group))):
        after_that_nothing_came(played, silent)


def test_topics_are_answered_where_they_are_and_opened_one_by_one(played: Stage) -> None:
    server = played.server
    group = server.add_group("Forum", server.olga, server.alice)
    group.topics, group.topic = {7, 8}, 7
    played.run(server.olga.promotes_bot(group))
    asked = played.run(server.alice.sends_photo(png(32), "/check", to=group))
    answer = answered(played, asked)
    assert (answer.thread, bool(answer.media)) == (7, True)
    assert not shown(played, server.alice, answer, "block1.conv")
    assert answered(played, answer).thread == 7
    played.run(played.bot.app.open_channel("telegram", str(group.id), f"{group.id}/7", True))
    assert answered(played, played.run(server.alice.sends_photo(png(33), to=group))).thread == 7
    group.topic = 8
    after_that_nothing_came(played, played.run(server.alice.sends_photo(png(34), to=group)))


def test_where_admins_want_it_only_who_asks_sees_the_answer(played: Stage, someone: Person) -> None:
    server = played.server
    group = server.add_group("Discreet", server.olga, server.bob, someone)
    played.run(server.olga.promotes_bot(group))
    played.run(played.bot.app.change_settings("telegram", str(group.id), ephemeral=True))
    played.run(played.bot.app.open_channel("telegram", str(group.id), str(group.id), True))
    posted = played.run(server.bob.sends_photo(png(35), to=group))
    assert answered(played, posted).media  # nobody asked, so there is nobody to tell alone
    asked = played.run(someone.replies(posted, "/check"))
    assert "I can't write to you yet." in (answered(played, asked).text or "")
    played.run(someone.starts())
    asked = played.run(someone.replies(posted, "/check"))
    assert "I have answered you in our own chat" in (answered(played, asked).text or "")
    _, panel, buttons = server.messages(someone.private)
    assert "Answered by the model" in panel.caption
    assert panel.media
    assert panel.media.kind == "photo"
    played.run(server.bob.deletes(posted))
    assert not shown(played, someone, buttons, "block1.conv")
    assert answered(played, buttons).caption.startswith("block1.conv")
    assert shown(played, someone, buttons, "It is real").startswith("Thank you.")
    sent = played.run(someone.sends_album([png(36), png(37)], "@face_check_bot", to=group))
    assert "I have answered you in our own chat" in (answered(played, sent[0]).text or "")
    assert server.messages(someone.private)[-1].labels == ["Picture 1", "Picture 2", "How to read this"]
    nothing = played.run(someone.says("/check", to=group))
    assert "I have answered you in our own chat" in (answered(played, nothing).text or "")
    assert (server.messages(someone.private)[-1].text or "").startswith(NO_PICTURE)
    server.make_anonymous(group, server.olga)
    masked = played.run(server.olga.sends_photo(png(38), "/check", to=group))
    assert "You write in the name of a chat" in (answered(played, masked).text or "")


def test_anonymous_admins_and_channels_are_answered(played: Stage) -> None:
    server = played.server
    group = server.add_group("Masks", server.olga)
    server.make_anonymous(group, server.olga)
    asked = played.run(server.olga.sends_photo(png(12), "/check@face_check_bot", to=group))
    assert answered(played, asked).media
    channel = server.add_group("News", server.olga, kind="channel")
    posted = played.run(server.olga.sends_photo(png(13), "@face_check_bot", to=channel))
    assert answered(played, posted).media


def test_a_group_that_puts_the_bot_out_is_forgotten(played: Stage) -> None:
    server = played.server
    group = server.add_group("Short", server.olga)
    place = str(group.id)
    played.run(played.bot.app.open_channel("telegram", place, place, True))
    played.run(server.olga.removes_bot(group))

    def is_forgotten() -> bool:
        return not played.app.records.settings("telegram", place).channels

    played.run(played.still_talks())
    assert is_forgotten()


def test_what_admins_decided_goes_along_into_a_supergroup(played: Stage) -> None:
    server = played.server
    group = server.add_group("Growing", server.olga, server.alice, kind="group")
    played.run(played.bot.app.open_channel("telegram", str(group.id), str(group.id), True))
    played.run(server.olga.promotes_bot(group))
    new = played.run(server.olga.upgrades(group))
    played.run(played.still_talks())
    posted = played.run(server.alice.sends_photo(png(60), to=new))
    assert answered(played, posted).media
    assert not played.app.records.settings("telegram", str(group.id)).channels


# Buttons


def test_a_layer_is_shown_large_also_after_a_restart(played: Stage, someone: Person) -> None:
    asked = played.run(someone.sends_photo(png(14, 300, 300)))
    answer = answered(played, asked)
    played.run(played.restart())
    assert not shown(played, someone, answer, "block1.conv")
    layer = answered(played, answer)
    assert layer.caption.startswith("block1.conv\nThe layer block1.conv (")
    assert opened(layer.upload).width > 500


def test_a_layer_of_a_replied_photo_finds_that_photo(played: Stage) -> None:
    server = played.server
    posted = played.run(server.bob.sends_photo(png(15), to=server.group))
    played.run(server.alice.replies(posted, "/check@face_check_bot"))
    answer = answered(played, posted)
    shown(played, server.alice, answer, "block1.conv")
    assert answered(played, answer).media


def test_the_buttons_of_an_album_work_after_a_restart(played: Stage, someone: Person) -> None:
    sent = played.run(someone.sends_album([png(16), png(17, 200, 200)]))
    answer = played.run(played.answer(sent[0], lambda message: message.keyboard))
    for message in sent:
        played.run(someone.deletes(message))
    played.run(played.restart())
    shown(played, someone, answer, "Picture 2")
    picture = answered(played, answer)
    assert picture.caption == answer.caption.splitlines()[2]
    assert any("block1.conv" in label for label in picture.labels)
    shown(played, someone, picture, "block1.conv")
    assert answered(played, picture).media
    assert shown(played, someone, picture, "It is real").startswith("Thank you.")
    sha256 = hashlib.sha256(sent[1].media.data if sent[1].media else b"").hexdigest()
    assert sha256 in {claim.sha256 for claim in played.app.records.claims()}


def test_a_picture_that_is_gone_is_said_to_be(played: Stage, someone: Person) -> None:
    asked = played.run(someone.sends_file(png(18)))
    answer = answered(played, asked)
    played.run(someone.deletes(asked))
    shown(played, someone, answer, "block1.conv")
    assert (answered(played, answer).text or "").startswith(GONE)


def test_a_layer_of_an_earlier_model_gets_the_new_ones_whole_answer(played: Stage, someone: Person) -> None:
    earlier = LayerButton(0, 0, model_mark("another")).id
    asked = played.run(someone.sends_file(png(39)))
    answer = answered(played, asked)
    played.run(played.run(someone.presses(answer, earlier)).answer(PATIENCE_S))
    anew = played.run(played.answer(asked, lambda message: message.id != answer.id))
    assert anew.caption.startswith("I have a newer model since this answer, so I looked again.\n\n")
    assert "Most evidence for " in anew.caption
    assert shown(played, someone, anew, "It is real").startswith("Thank you.")
    sent = played.run(someone.sends_album([png(40), png(41)]))
    album = played.run(played.answer(sent[0], lambda message: message.keyboard))
    shown(played, someone, album, "Picture 1")
    picture = answered(played, album)
    played.run(played.run(someone.presses(picture, earlier)).answer(PATIENCE_S))
    anew = answered(played, picture)
    assert "at the small copy that I still have" in anew.caption
    assert anew.labels == picture.labels
    shown(played, someone, anew, "block1.conv")
    assert answered(played, anew).caption.startswith("block1.conv")


def test_that_is_wrong_is_kept_for_review(played: Stage, someone: Person) -> None:
    data = png(19)
    answer = answered(played, played.run(someone.sends_file(data)))
    press = played.run(someone.clicks(answer, "It is generated"))
    said = played.run(press.answer(PATIENCE_S))
    assert said.is_alert
    assert said.text.startswith("Thank you. I keep the picture's fingerprint")
    assert said.text.endswith(".")
    claims = {claim.sha256: claim for claim in played.app.records.claims()}
    assert claims[hashlib.sha256(data).hexdigest()].said_fake == 1


def test_how_to_read_and_old_buttons(played: Stage, someone: Person) -> None:
    answer = answered(played, played.run(someone.sends_file(png())))
    shown(played, someone, answer, "How to read this")
    assert answered(played, answer).text
    press = played.run(someone.presses(answer, "made:up"))
    old = played.run(press.answer(PATIENCE_S))
    assert old.is_alert
    assert old.text == "This button no longer works. Ask again to get new ones."


# What goes wrong


def test_a_429_is_waited_out(played: Stage, someone: Person) -> None:
    played.server.flood("sendPhoto", retry_after=1)
    assert answered(played, played.run(someone.sends_file(png()))).media
    assert len(played.server.messages(someone.private)) == 1


@pytest.mark.parametrize(("method", "fault"), [
    ("sendPhoto", {"status": 502, "body": b"<html>bad gateway"}), ("sendPhoto", {"status": 500, "times": 2}),
    ("sendPhoto", {"drop": "before"}), ("getFile", {"drop": "after"}), ("getUpdates", {"status": 502}),
    ("getUpdates", {"drop": "before"}), ("getUpdates", {"body": b"{}", "status": 200}), ("file/*", {"status": 503}),
    ("sendPhoto", {"status": 429, "body": b"slow down"}),
    ("sendChatAction", {"status": 400, "times": 9}), ("sendPhoto", {"status": 400, "message": "PHOTO_INVALID"}),
])  # fmt: skip
def test_faults_are_survived_and_each_request_answered_once(
    played: Stage, someone: Person, method: str, fault: dict[str, object]
) -> None:
    played.server.fail(method, **fault)  # type: ignore[arg-type]
    answer = answered(played, played.run(someone.sends_file(png())))
    assert answer.media
    assert answer.keyboard
    assert len(played.server.messages(someone.private)) == 1
    played.server.faults.waiting.clear()


def test_a_group_without_pictures_gets_words(played: Stage) -> None:
    server = played.server
    group = server.add_group("Words", server.olga)
    group.may_send_media = False
    asked = played.run(server.olga.sends_photo(png(), "/check@face_check_bot", to=group))
    answer = answered(played, asked)
    assert "Answered by the model" in (answer.text or "")
    assert answer.keyboard


def test_who_blocks_the_bot_harms_nobody(played: Stage, someone: Person) -> None:
    played.run(someone.sends_file(png()))
    played.run(someone.blocks_bot())
    played.run(played.still_talks())


def test_a_message_that_is_deleted_before_its_answer(played: Stage, someone: Person) -> None:
    async def send_and_delete() -> None:
        await someone.deletes(await someone.sends_file(png(20)))

    played.run(send_and_delete())
    played.run(played.server.until(lambda: played.server.messages(someone.private), "no answer", PATIENCE_S))


def test_updates_that_nobody_can_read_are_left(played: Stage, caplog: pytest.LogCaptureFixture) -> None:
    broken: list[dict[str, Any]] = [
        {"message": {"message_id": 1}}, {"message": None}, {"callback_query": {"id": "1"}}, {"message": {"chat": 3}},
        {"new_thing": {"a": 1}}, {"my_chat_member": {}}, {"message": {"message_id": 1, "date": 1, "chat": None}},
    ]  # fmt: skip
    for update in broken:
        played.server.updates.add_raw(update)
    played.run(played.still_talks())
    said = [record for record in caplog.records if record.name == "bot.telegram" and record.levelno >= logging.WARNING]
    assert not [record for record in said if record.exc_info or record.levelno > logging.WARNING]
    lines = [record.getMessage() for record in said]
    number = broken[0]["update_id"]
    assert sum(line.startswith(f"update {number} cannot be read, and is left: ") for line in lines) == 1


def test_an_update_that_comes_twice_is_answered_once(played: Stage, someone: Person) -> None:
    asked = played.run(someone.sends_file(png()))
    update = next(e.update for e in reversed(played.server.entries("update")) if "message" in e.update)
    answered(played, asked)
    played.server.updates.add_raw(dict(update))
    played.run(played.still_talks())
    assert len(played.server.messages(someone.private)) == 1


def test_the_token_is_in_no_log(played: Stage, someone: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    token = played.server.token
    echo = f"<html>no such page: /bot{token}/sendPhoto".encode()
    played.server.fail("sendPhoto", 404, body=echo)
    played.server.fail("getUpdates", 502, body=echo)
    played.server.fail("getFile", 400, message=f"cannot {token}", times=1)
    refused = played.run(someone.sends_file(png(21)))
    assert "could not fetch" in (answered(played, refused).text or "")
    played.server.fail("file/*", 404, times=5)
    assert "would not give it to me" in (answered(played, played.run(someone.sends_file(png(22)))).text or "")
    played.server.faults.waiting.clear()
    played.run(played.still_talks())
    assert caplog.records
    assert token not in caplog.text
    assert token.partition(":")[2] not in caplog.text


def test_two_pollers_are_told_in_a_line(played: Stage, caplog: pytest.LogCaptureFixture) -> None:
    played.server.fail("getUpdates", 409, message="Conflict: terminated by other getUpdates request")
    played.run(played.still_talks())
    assert "another process asks for this bot's updates (409); end one of the two" in caplog.text


def test_what_came_while_it_was_away_is_answered_and_nothing_twice(played: Stage, someone: Person) -> None:
    before = played.run(someone.sends_file(png(23)))
    answered(played, before)
    played.run(played.leave())
    asked = played.run(someone.sends_file(png(24)))
    played.run(played.enter())
    assert answered(played, asked).media
    played.run(played.still_talks())
    assert len(played.server.messages(someone.private)) == 2


def test_the_menu_is_told_in_every_language(played: Stage) -> None:
    menus = played.server.commands
    assert {language for _, language in menus} == {"", "de"}
    names = {entry["command"] for menu in menus.values() for entry in menu}
    assert "check" in names
    told = {tuple(sorted(entry["command"] for entry in menu)) for menu in menus.values()}
    assert all(told)


def test_a_long_wait_is_told_in_one_message_that_goes(played: Stage, someone: Person) -> None:
    server = played.server
    desk = played.app.desk
    assert isinstance(desk, DetectorDesk)
    (worker,) = desk.pids

    async def many_at_once() -> list[Message]:
        return [await person.sends_file(png(n)) for n in range(4) for person in (server.alice, server.bob, someone)]

    def is_told_of_the_last() -> bool:
        said = [message.text or "" for message in server.messages(someone.private)]
        return len(said) == 1 and re.fullmatch(r"\d+ pictures are before yours\.", said[0]) is not None

    os.kill(worker, signal.SIGSTOP)
    try:
        asked = played.run(many_at_once())
        played.run(server.until(is_told_of_the_last, "no news", PATIENCE_S))
    finally:
        os.kill(worker, signal.SIGCONT)
    for message in asked:
        assert played.run(played.answer(message, lambda answer: answer.media)).keyboard
    played.run(played.still_talks())
    answers = server.messages(someone.private)
    assert [answer.reply_to for answer in answers] == asked[2::3]
    assert all(answer.media for answer in answers)
    calls = [entry.call for entry in server.entries("call")]
    news = [c for c in calls if c.method == "sendMessage" and c.args["chat_id"] == someone.private.id]
    assert len(news) == 1  # for all four


# The pace


def test_to_ask_about_a_member_takes_nothing_of_a_groups_messages() -> None:
    async def scenario() -> None:
        pace = Pace()
        for _ in range(25):  # twenty a minute are what a group takes
            assert await asyncio.wait_for(asked(pace, "getChatMember", {"chat_id": -100}), PATIENCE_S / 4)

    asyncio.run(scenario())


def test_a_429_holds_up_its_own_chat_only() -> None:
    async def scenario() -> None:
        over, pauses = asyncio.Event(), list[float]()

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            await over.wait()

        pace = Pace(pause)
        flooded = asyncio.create_task(asked(pace, "sendPhoto", {"chat_id": 1}, RetryAfter(7)))
        pressed = asyncio.create_task(asked(pace, "answerCallbackQuery", {}, RetryAfter(3)))
        while len(pauses) < 2:
            await asyncio.sleep(0)
        next_there = asyncio.create_task(asked(pace, "sendMessage", {"chat_id": 1}))
        for method, data in (("sendPhoto", {"chat_id": 2}), ("sendMessage", {"chat_id": -3}), ("getFile", {})):
            assert await asyncio.wait_for(asked(pace, method, data), PATIENCE_S / 4)
        assert not (flooded.done() or pressed.done() or next_there.done())
        assert [round(each) for each in pauses] == [7, 3]
        over.set()
        assert all(await asyncio.wait_for(asyncio.gather(flooded, pressed, next_there), PATIENCE_S / 4))

    asyncio.run(scenario())


def test_an_answer_outlasts_an_outage_of_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def scenario() -> None:
        pace, secret = Pace(pause), {"chat_id": 4711, "message_id": 12, "caption": "It is fake"}
        assert await asked(pace, "sendPhoto", secret, *[Troubled("Telegram answers 502")] * 8)
        assert 50 <= sum(pauses) <= 70
        assert not caplog.records
        pauses.clear()
        with pytest.raises(Troubled):
            await asked(pace, "sendPhoto", secret, *[Troubled("Telegram answers 502")] * 99)
        assert 50 <= sum(pauses) <= 70

    asyncio.run(scenario())
    (record,) = (one for one in caplog.records if one.name == "bot.telegram")
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "not delivered: sendPhoto about message 12: Telegram answers 502"


async def asked(pace: Pace, method: str, data: dict[str, Any], *errors: Exception) -> object:
    """What comes of a request that meets all of `errors` first."""
    left = list(errors)

    async def answer() -> bool:
        if left:
            raise left.pop(0)
        return True

    return await pace.process_request(answer, (), {}, method, data, None)


@pytest.mark.parametrize("api_url", [None, "http://127.0.0.1:8081"])
def test_what_getfile_would_not_hand_out_is_not_asked_for(api_url: str | None) -> None:
    params = BotParams().model_copy(update={"network": NetworkParams(max_mb=64)})
    params = params.model_copy(update={"telegram": params.telegram.model_copy(update={"api_url": api_url})})
    bot: Any = SimpleNamespace(app=SimpleNamespace(params=params))  # it has no way to ask
    (refused,) = asyncio.run(candidates(bot, [File("id", "key", "a.png", 22 * 2**20)]))
    assert isinstance(refused, FileTooLarge)
    assert refused.max_bytes == 20 * 2**20


# Pure


@given(st.text(st.characters(codec="utf-8"), max_size=400), st.integers(8, 60))
def test_parts_fit_and_lose_nothing_but_space(text: str, first: int) -> None:
    cut = parts(text, first)
    assert len(cut[0].encode("utf-16-le")) // 2 <= first
    assert all(len(part.encode("utf-16-le")) // 2 <= MAX_TEXT for part in cut)
    assert "".join("".join(cut).split()) == "".join(text.split())
