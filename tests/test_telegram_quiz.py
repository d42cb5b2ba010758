"""The quiz on Telegram: rounds played to their end, alone and in groups, through restarts, and what they give away."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot.chat.quiz_refusals import NotNow
from bot.chat.telegram.quiz import Wish, rounds_of
from bot.chat.telegram.quiz_cards import fitted, plain, short_rules
from bot.chat.telegram.replies import MAX_CAPTION
from bot.words import ENGLISH, words
from tests.telegram_quiz_stage import TelegramQuizStage, account_of, on_telegram_quiz_stage, round_of
from tests.telegram_server import Call, Message
from tests.telegram_server.flood import Ordered
from tests.telegram_stage import PATIENCE_S, opened

ANSWER_S = 3.0
MIN_ANSWERS = 5
TELLING = ("stylegan1", "sd3", "Author", "CC0", "example.org", "http")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TelegramQuizStage]:
    folder = tmp_path_factory.mktemp("quiz")
    with on_telegram_quiz_stage(folder, answer_s=ANSWER_S, min_answers=MIN_ANSWERS, daily=4) as found:
        yield found


def check_question(message: Message) -> str:
    """A face under a neutral name, described without telling; the rest, for comparison with other questions."""
    assert message.media is not None
    assert message.media.kind == "photo"
    assert opened(message.upload).format == "JPEG"
    answers = [b["text"] for b in message.buttons if re.search(":[rf][0-3]$", b["callback_data"])]
    assert answers == [f"{side} {p}%" for side in ("Real", "Fake") for p in (50, 65, 80, 95)]
    assert all(len(button["callback_data"].encode()) <= 64 for button in message.buttons)
    everything = json.dumps([message.text, message.entities, message.keyboard])
    assert not [word for word in TELLING if word in everything]
    everything = re.sub(r"q:[\w-]{8}:\d+:", "", everything)
    everything = re.sub(r"Face \d+", "Face", everything)
    return f"{len(message.upload)} {everything}"


def check_reveal(message: Message, truth: str) -> None:
    assert f"It is {truth}" in message.caption
    assert re.search(r"The machine was (right|wrong|unsure)", message.caption)
    assert "A place to look at: " in message.caption
    assert "with the machine's evidence for “fake” over it, strongest in the upper left." in message.caption
    assert ("Drawn by" in message.caption) == (truth == "fake")
    assert "Picture: Author" in message.caption
    both = opened(message.upload)
    assert (both.width, both.height) == (64 + 16 + 64, 64)


# Alone


def test_a_whole_round_alone(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        records, ida = stage.app.records, stage.server.add_person("Ida")
        asked = await stage.says(ida, "/quiz")
        faces = []
        questions, points = [], 0
        for number in range(1, 6):
            assert asked.caption.startswith(f"Face {number} of 5\n")
            questions.append(check_question(asked))
            faces.append(asked.upload)
            truth = stage.truth_of(asked)
            if number == 3:
                await stage.restart()
            shown = await stage.clicks(ida, asked, "Real 80%")
            assert shown.id == asked.id  # one message for the whole round
            check_reveal(shown, truth)
            assert face_in(shown) == face_in(asked)
            earned = 84 if truth == "real" else -156
            assert f"{earned:+d}".replace("-", "−") + " points." in shown.caption
            points += earned
            assert "answered this face already" in await stage.told(ida, asked, "Fake 95%")
            asked = await stage.clicks(ida, shown, "Next face" if number < 5 else "To the end")
        assert len(set(questions)) == 1  # in nothing but their pixels do questions differ
        assert asked.caption.startswith("The round is over\n")
        assert re.search(r"You: \d of 5 right\.", asked.caption)
        assert asked.caption.endswith("\nAnother round: /quiz")
        assert not asked.buttons
        answers = records.answers(account_of(ida))
        assert len(answers) == 5
        assert sum(answer.points for answer in answers) == points
        counted = stage.app.metrics.registry.get_sample_value("bot_quiz_answers_total", {"platform": "telegram"})
        assert counted is not None and counted >= 5

    stage.run(scenario())


def test_a_face_that_comes_again_is_not_known_by_its_file(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        person = server.add_person("Nora")
        asked = await stage.says(person, "/quiz daily")
        again = await stage.says(person, "/quiz daily")
        assert again.id != asked.id
        assert again.upload == asked.upload
        assert again.media is not None and asked.media is not None
        assert not {size.unique_id for size in again.media.sizes} & {size.unique_id for size in asked.media.sizes}
        calls: list[Call] = [entry.call for entry in server.entries("call")]
        sent = [call for call in calls if call.method in ("sendPhoto", "editMessageMedia")]
        assert {name for call in sent for name, _, _ in call.files.values()} == {"face.jpg"}

    stage.run(scenario())


def test_an_endless_round_until_it_is_stopped(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await stage.says(server.bob, "/quiz endless")
        for number in (1, 2):
            assert asked.caption.startswith(f"Face {number}\n")
            check_question(asked)
            asked = await stage.clicks(server.bob, await stage.clicks(server.bob, asked, "Real 50%"), "Next face")
        over = await stage.clicks(server.bob, asked, "Stop")
        assert "of 2 right" in over.caption  # the face that was not answered does not count
        assert "This round is over" in await stage.told(server.bob, asked, "Fake 95%")

    stage.run(scenario())


def test_clicks_at_once_are_one_answer(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        person = stage.server.add_person("Hasty")
        asked = await stage.says(person, "/quiz 10")
        labels = [f"{side} {p}%" for side in ("Real", "Fake") for p in (50, 95)]
        told = await asyncio.gather(*(stage.told(person, asked, label) for label in labels))
        assert sorted(bool(line) for line in told) == [False, True, True, True]
        assert len(stage.app.records.answers(account_of(person))) == 1

    stage.run(scenario())


def test_a_message_that_was_left_behind_catches_up(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        person = stage.server.add_person("Luckless")
        asked = await stage.says(person, "/quiz")
        truth = stage.truth_of(asked)
        fault = stage.server.fail("editMessageMedia", 400, message="Bad Request: wrong file identifier")
        assert await stage.told(person, asked, "Real 65%") == ""
        await stage.server.until(lambda: fault.hits, "it was not edited", PATIENCE_S)
        check_reveal(await stage.clicks(person, asked, "Fake 95%"), truth)
        (answer,) = stage.app.records.answers(account_of(person))
        assert (answer.said, answer.confidence) == ("real", 0.65)

    stage.run(scenario())


def test_an_edit_that_must_wait_is_done_later(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        person = stage.server.add_person("Patient")
        asked = await stage.says(person, "/quiz")
        stage.server.flood_control.ordered.append(Ordered("editMessageMedia", 1, 1))
        pressed = await person.clicks(asked, "Real 65%")
        await pressed.answer(PATIENCE_S)
        assert pressed.after_s < 1  # nobody waits for the picture to be told that the press was heard
        check_reveal(await stage.edited(asked), stage.truth_of(asked))

    stage.run(scenario())


def test_rules_fit_over_the_chat(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        person = stage.server.add_person("Curious")
        pressed = await person.clicks(await stage.says(person, "/quiz"), "How points work")
        answer = await pressed.answer(PATIENCE_S)
        assert answer.is_alert
        assert "80%: +84 or −156" in answer.text

    stage.run(scenario())
    assert all(len(short_rules(words(language))) <= 200 for language in ("en", "de"))


def test_what_cannot_be_played_is_said(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        assert "I don't know “chess”. There is /quiz, /quiz 10," in (
            (await stage.says(server.bob, "/quiz chess")).text or ""
        )
        group = server.add_group("Masks", server.olga)
        server.make_anonymous(group, server.olga)
        assert "in the name of a chat" in ((await stage.says(server.olga, "/quiz", group)).text or "")
        together = await stage.says(server.olga, "/quiz group", group)
        check_question(together)
        await stage.clicks(server.olga, together, "Stop")

    stage.run(scenario())


# Together


def test_a_round_of_a_group(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await stage.says(server.alice, "/quiz group", server.group)
        began = time.monotonic()
        check_question(asked)
        truth = stage.truth_of(asked)
        right, wrong = ("Fake 95%", "Real 65%") if truth == "fake" else ("Real 95%", "Fake 65%")
        assert "Noted" in await stage.told(server.alice, asked, wrong)
        assert "Noted" in await stage.told(server.bob, asked, right)
        assert "answered this face already" in await stage.told(server.bob, asked, wrong)
        assert "somebody else's" in await stage.told(server.bob, asked, "Reveal")
        assert "somebody else's" in await stage.told(server.bob, asked, "Stop")
        shown = await stage.edited(asked, "It is")
        assert time.monotonic() >= began + ANSWER_S - 0.5
        check_reveal(shown, truth)
        assert re.search(r"✓ Bob: .*\n✗ Alice: ", shown.caption)
        assert "Too late" in await stage.told(server.olga, asked, right)
        asked = await stage.clicks(server.bob, shown, "Next face", "Face 2 of 5\n")
        check_question(asked)
        assert "Noted" in await stage.told(server.alice, asked, "Real 50%")
        shown = await stage.clicks(server.alice, asked, "Reveal", "It is")  # who began the round need not wait
        check_reveal(shown, stage.truth_of(shown))
        over = await stage.clicks(server.olga, shown, "Stop", "is over")  # she is an admin
        assert re.search(r"1\. Bob: .*\n2\. Alice: ", over.caption)
        for person in (server.alice, server.bob):
            assert [a for a in stage.app.records.answers(account_of(person)) if a.mode == "channel"]

    stage.run(scenario())


def test_answers_are_counted_without_sending_the_picture_again(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        group = server.add_group("Counting", server.alice, server.bob)
        rounds_of(stage.bot).table.count_every_s = 0.2
        asked = await stage.says(server.alice, "/quiz group", group)
        for person in (server.alice, server.bob):
            await stage.told(person, asked, "Real 50%")
        counted = await stage.edited(asked, "2 answers so far")
        assert counted.upload == asked.upload
        assert not {"Alice", "Bob"} & set(re.findall(r"\w+", counted.caption))
        edits = [e.call.method for e in server.entries("call") if e.call.args.get("chat_id") == group.id]
        assert "editMessageMedia" not in edits
        await stage.clicks(server.alice, counted, "Stop")

    stage.run(scenario())


def test_a_timer_outlives_a_restart(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        group = server.add_group("Night", server.alice, server.bob)
        asked = await stage.says(server.alice, "/quiz group", group)
        truth = stage.truth_of(asked)
        await stage.leave()
        await stage.enter()
        shown = await stage.edited(asked)
        check_reveal(shown, truth)
        assert "Nobody answered." in shown.caption
        await stage.clicks(server.alice, shown, "Stop")

    stage.run(scenario())


def test_a_message_that_was_deleted_ends_its_round(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        group = server.add_group("Tidy", server.alice, server.bob)
        other = server.add_group("Without a bot", server.alice, server.bob)
        asked = await stage.says(server.alice, "/quiz group", group)
        left = await stage.says(server.alice, "/quiz group", other)
        await server.bob.deletes(asked)
        await server.alice.removes_bot(other)
        await gone(stage, round_of(asked))
        await gone(stage, round_of(left))

    stage.run(scenario())


def test_many_answer_at_once(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        people = [server.add_person(f"Player {n}") for n in range(25)]
        group = server.add_group("Crowd", *people)
        asked = await stage.says(people[0], "/quiz group", group)
        presses = await asyncio.gather(*(person.clicks(asked, "Fake 80%") for person in people))
        answers = await asyncio.gather(*(pressed.answer(PATIENCE_S) for pressed in presses))
        assert all(answer.text.startswith("Noted: Fake") for answer in answers)
        shown = await stage.edited(asked, "It is")
        assert len(re.findall("^[✓✗] Player ", shown.caption, re.MULTILINE)) >= 5
        check_reveal(shown, stage.truth_of(asked))
        saved = [stage.app.records.answers(account_of(person)) for person in people]
        assert all(len(answers) == 1 for answers in saved)

    stage.run(scenario())


def test_a_made_up_press_does_nothing_elsewhere(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        mallory = server.add_person("Mallory")
        theirs = server.add_group("Theirs", server.olga, server.alice)
        asked = await stage.says(server.alice, "/quiz group 10", theirs)
        own = await stage.says(mallory, "/quiz group", server.add_group("Own", mallory))
        for label in ("Stop", "Reveal", "Fake 95%"):
            made_up = await mallory.presses(own, asked.button(label)["callback_data"])
            assert "This round is over" in (await made_up.answer(PATIENCE_S)).text
        alone = await stage.says(mallory, "/quiz")
        help_ = await stage.says(mallory, "/help", own.chat)
        for message in (own, help_):
            made_up = await mallory.presses(message, alone.button("Fake 95%")["callback_data"])
            assert "This round is over" in (await made_up.answer(PATIENCE_S)).text
        assert server.live(help_).text == help_.text
        for message in (asked, alone):
            assert stage.app.records.load_round(round_of(message)) is not None
        assert server.live(own).caption == own.caption
        await stage.clicks(server.alice, asked, "Stop")
        await stage.clicks(mallory, own, "Stop")

    stage.run(scenario())


def test_a_group_without_pictures(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        group = stage.server.add_group("Text only", stage.server.olga, stage.server.alice)
        group.may_send_media = False
        asked = await stage.says(stage.server.alice, "/quiz group", group)
        said = await stage.edited(asked, "I may not send pictures here.")
        assert not said.buttons
        await gone(stage, round_of(asked))

    stage.run(scenario())


def test_a_group_may_want_rounds_in_private(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        lena = server.add_person("Lena")
        group = server.add_group("Silence", server.olga, lena)
        await stage.bot.app.change_settings("telegram", str(group.id), ephemeral=True)
        refused = await stage.says(lena, "/quiz", group)
        assert "I can't write to you yet. Open https://t.me/face_check_bot" in (refused.text or "")
        await until(lambda: not stage.app.records.my_data(account_of(lena))["open_rounds"])
        await lena.starts()
        there = await stage.says(lena, "/quiz", group)
        assert "in our own chat" in (there.text or "")
        asked = await stage.in_private(lena, "Face 1 of 5")
        check_reveal(await stage.clicks(lena, asked.copy(), "Real 65%"), stage.truth_of(asked))
        (answer,) = stage.app.records.answers(account_of(lena))
        assert answer.server == f"telegram:{group.id}"  # and counts where it was asked for
        check_question(await stage.says(lena, "/quiz group", group))

    stage.run(scenario())


# The set of the day, and scores


def test_the_set_of_the_day(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        dana, emil = server.add_person("Dana"), server.add_person("Emil")
        faces = []
        for person in (dana, emil):
            asked = await stage.says(person, "/quiz daily")
            assert asked.caption.startswith("Today's set: Face 1 of 4\n")
            played = []
            for number in range(1, 5):
                played.append(asked.upload)
                shown = await stage.clicks(person, asked, "Real 65%")
                asked = await stage.clicks(person, shown, "Next face" if number < 4 else "To the end")
            assert "The round is over" in asked.caption
            faces.append(played)
        assert faces[0] == faces[1]
        assert len(set(faces[0])) == 4
        again = await stage.says(dana, "/quiz daily")
        assert again.text == "You have played today's set. The next one begins at midnight (UTC)."
        board = await stage.says(dana, "/leaderboard today")
        assert "Dana: " in (board.text or "")
        assert "Emil: " in (board.text or "")

    stage.run(scenario())


def test_scores(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        gil, hana = server.add_person("Gil"), server.add_person("see @olga at spam.example")
        group, other = server.add_group("Scores", gil, hana), server.add_group("Elsewhere", gil)
        assert "No answers yet" in ((await stage.says(gil, "/stats")).text or "")
        for person in (gil, hana):
            asked = await stage.says(person, "/quiz endless", group)
            for _ in range(MIN_ANSWERS):
                label = f"{stage.truth_of(asked).capitalize()} {95 if person is gil else 80}%"
                asked = await stage.clicks(person, await stage.clicks(person, asked, label), "Next face")
            await stage.clicks(person, asked, "Stop")
            group = server.add_group("Scores", gil, hana) if person is gil else group
        board = await stage.says(hana, "/leaderboard everyone")
        assert re.search(r"\d\. Gil: \+99 points a face, 100% right, 5 answers", board.text or "")
        assert not [e for e in board.entities if e["type"] in ("mention", "url")]
        assert "Gil" not in ((await stage.says(gil, "/leaderboard", other)).text or "")
        assert "▸ 1. see" in ((await stage.says(hana, "/leaderboard", group)).text or "")
        assert "There is /leaderboard, " in ((await stage.says(gil, "/leaderboard of cats")).text or "")
        told = await stage.says(gil, "/stats", other)
        assert "in our own chat" in (told.text or "")
        own = await stage.in_private(gil, "Right: 100% (5 of 5")
        assert opened(own.upload).size == (1000, 1330)
        shown = await stage.says(gil, "/stats show", other)
        assert "Right: 100% (5 of 5" in shown.caption

    stage.run(scenario())


# What needs no server


@given(st.lists(st.text(max_size=300), max_size=30), st.text(max_size=100))
def test_captions_fit_and_keep_the_truth(lines: list[str], title: str) -> None:
    kept = fitted(title, lines, MAX_CAPTION)
    assert len("\n".join(kept).encode("utf-16-le")) // 2 <= MAX_CAPTION
    if len("\n".join([title, *lines[-6:]]).encode("utf-16-le")) // 2 <= MAX_CAPTION - 2:
        assert kept[-6:] == [title, *lines][-6:]


def test_long_captions_lose_players_first() -> None:
    players = [f"✓ Player {n} {'x' * 90}: Real, very sure (95%). +99 points." for n in range(10)]
    truth = ["… and 3 more.", "The machine was right", "Drawn by sd3.", "A place to look at", "Beside it", "Picture: A"]
    kept = fitted("Face 1", [*players, *truth], MAX_CAPTION)
    assert kept[0] == "Face 1"
    assert kept[-7:] == ["…", *truth]
    assert kept[1] == players[0]
    assert "Player 9" not in "".join(kept)


def test_names_are_no_addresses() -> None:
    text = plain("@everyone see spam.example or https://t.me/x. 0.5 is 1.5, e. g.")
    assert text.replace("\N{WORD JOINER}", "") == "@everyone see spam.example or https://t.me/x. 0.5 is 1.5, e. g."
    assert "@e" not in text
    assert "spam.e" not in text
    assert "://t" not in text
    assert "0.5 is 1.5, e. g." in text


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("", Wish("solo", 5)),
        ("10", Wish("solo", 10)),
        ("Endless", Wish("solo", None)),
        ("group 10", Wish("channel", 10)),
        ("daily", Wish("daily", 5)),
        ("50", Wish("solo", 50)),
    ],
)
def test_what_is_wished_for(text: str, wish: Wish) -> None:
    assert Wish.of(text, ENGLISH) == wish


@pytest.mark.parametrize("text", ["0", "51", "99999999999999999999", "-3", "٣", "all", "10 cats"])
def test_what_cannot_be_wished_for(text: str) -> None:
    with pytest.raises(NotNow):
        Wish.of(text, ENGLISH)


def face_in(shown: Message) -> bytes:
    """The pixels of the face, in a question or beside its heatmap."""
    return Image.open(io.BytesIO(shown.upload)).convert("RGB").crop((0, 0, 64, 64)).tobytes()


async def gone(stage: TelegramQuizStage, round_id: str) -> None:
    await until(lambda: stage.app.records.load_round(round_id) is None)


async def until(is_so: Callable[[], bool]) -> None:
    """Of the records, which nobody is told about."""
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(is_so):
            await asyncio.sleep(0.05)
