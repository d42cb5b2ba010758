"""The quiz on Discord: rounds played to their end, alone and together, through restarts, and what they give away."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.quiz_refusals import NotNow
from bot.chat.quiz_state import IDLE_S, OpenRound
from bot.chat.quiz_views import Press
from bot.chat.quizzing import Quizzing
from bot.quiz.game import Refused, Round, UnreadableRound
from bot.records import Account
from bot.verdict import Side
from bot.words import ENGLISH
from tests.discord_server import Channel, Interaction, Message, Person
from tests.discord_server.doings import interact
from tests.discord_server.interactions import COMPONENT
from tests.discord_server.world import Member
from tests.discord_stage import PATIENCE_S, opened
from tests.quiz_decks import deck_of
from tests.quiz_stage import FACES, QuizStage, on_quiz_stage, write_deck

ANSWER_S = 3.0
MIN_ANSWERS = 5
TELLING = ("stylegan1", "sd3", "Author", "CC0", "example.org", "http")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuizStage]:
    folder = tmp_path_factory.mktemp("quiz")
    with on_quiz_stage(folder, answer_s=ANSWER_S, min_answers=MIN_ANSWERS, daily=4) as found:
        yield found


async def begin(person: Person, where: Channel | None = None, **options: Any) -> Message:
    """The first question."""
    used = await person.slash("quiz", where, **options)
    return await used.response(timeout=PATIENCE_S)


async def press(person: Person, message: Message, label: str) -> Interaction:
    """A click on a message as it was when the person looked at it; it may show something else by now."""
    control, live = message.control(label), person.server.messages[message.id]
    data = {"custom_id": control["custom_id"], "component_type": 2, "id": 1}
    seen = live if control in live.controls else message.copy()
    return await interact(person.server, person, COMPONENT, message.channel, data, name=label, message=seen)


async def click(person: Person, message: Message, label: str) -> Message:
    """What the message shows after a click on it."""
    clicked = await press(person, message, label)
    return await clicked.response(lambda m: m.id == message.id, timeout=PATIENCE_S)


async def told(person: Person, message: Message, label: str) -> str:
    """What only whoever clicked is told."""
    clicked = await press(person, message, label)
    line = await clicked.followup(timeout=PATIENCE_S)
    assert line.is_ephemeral
    return line.text


def round_of(message: Message) -> str:
    press = Press.of(message.controls[0]["custom_id"])
    assert press is not None
    return press.round_id


def truth_of(stage: QuizStage, message: Message) -> str:
    """What the bot knows and must not tell."""
    saved = stage.app.records.load_round(round_of(message))
    assert saved is not None
    return str(json.loads(saved.state)["game"]["round"]["turns"][-1]["truth"])


def check_question(message: Message) -> str:
    """A face under a neutral name, described without telling; the rest of it, for comparison with other questions."""
    (name,) = message.files
    assert name == "face.jpg"
    assert opened(message.files[name]).format == "JPEG"
    assert re.fullmatch(r"Face \d+( of \d+)?: a face, real or generated\.", message.alt_texts[name] or "")
    answers = [control for control in message.controls if re.search(":[rf][0-3]$", control["custom_id"])]
    assert [c["label"] for c in answers] == [f"{side} {p}%" for side in ("Real", "Fake") for p in (50, 65, 80, 95)]
    assert all(len(control["custom_id"].encode()) <= 64 for control in message.controls)
    assert [len(row["components"]) for row in message.components[:2]] == [4, 4]
    everything = json.dumps([message.content, message.embeds, message.components, message.alt_texts])
    assert not [word for word in TELLING if word in everything]
    everything = re.sub(r"q:[\w-]{8}:\d+:", "", everything)
    everything = re.sub(r"Face \d+", "Face", everything)
    return f"{len(message.files[name])} {everything}"


def check_reveal(message: Message, truth: str) -> None:
    assert f"It is {truth}" in message.text
    assert re.search(r"The machine was (right|wrong|unsure)", message.text)
    assert re.search(r"A place to look at: ", message.text)
    assert list(message.files) == ["face.jpg", "heat.png"]
    assert opened(message.files["heat.png"]).size == (64, 64)
    assert message.alt_texts["heat.png"] == (
        "The face with the machine's evidence for “fake” over it, strongest in the upper left."
    )
    assert ("Drawn by" in message.text) == (truth == "fake")
    assert "Picture: Author" in message.text


# Alone


def test_a_whole_round_alone(stage: QuizStage) -> None:
    async def scenario() -> None:
        server, records = stage.server, stage.app.records
        asked = await begin(server.alice, server.guild["general"], length=5, mode="solo")
        assert not asked.is_ephemeral
        questions, points = [], 0
        for number in range(1, 6):
            assert asked.text.startswith(f"Face {number} of 5\n")
            questions.append(check_question(asked))
            assert "somebody else's" in await told(server.bob, asked, "Fake 95%")
            truth = truth_of(stage, asked)
            if number == 3:
                await stage.restart()
            shown = await click(server.alice, asked, "Real 80%")
            check_reveal(shown, truth)
            earned = 84 if truth == "real" else -156
            assert f"{earned:+d}".replace("-", "−") + " points." in shown.text
            points += earned
            assert "answered this face already" in await told(server.alice, asked, "Fake 95%")
            assert "somebody else's" in await told(server.bob, shown, shown.labels[0])
            if number == 4:
                await stage.restart()
            asked = await click(server.alice, shown, "Next face" if number < 5 else "To the end")
        assert len(set(questions)) == 1  # in nothing but their pixels do questions differ
        assert asked.text.startswith("The round is over\n")
        assert re.search(r"You: \d of 5 right\.", asked.text)
        assert "The machine: " in asked.text
        assert not asked.controls
        assert not asked.files
        answers = [a for a in records.answers(Account("discord", str(server.alice.id))) if a.mode == "solo"]
        assert len(answers) == 5
        assert sum(answer.points for answer in answers) == points
        assert answers[0].server == f"discord:{server.guild.id}"
        counted = stage.app.metrics.registry.get_sample_value("bot_quiz_answers_total", {"platform": "discord"})
        assert counted is not None and counted >= 5

    stage.run(scenario())


def test_an_endless_round_until_it_is_stopped(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await begin(server.bob, None, length="endless")
        seen: dict[str, str] = {}
        for number in range(1, FACES):
            assert asked.text.startswith(f"Face {number}\n")
            truth = truth_of(stage, asked)
            seen[truth] = check_question(asked)
            shown = await click(server.bob, asked, "Real 50%")
            asked = await click(server.bob, shown, "Next face")
            if len(seen) == 2:
                break
        assert seen["real"] == seen["fake"]
        over = await click(server.bob, asked, "Stop")
        assert f"of {number} right" in over.text  # the face that was not answered does not count
        assert "This round is over" in await told(server.bob, asked, "Fake 95%")

    stage.run(scenario())


def test_clicks_at_once_are_one_answer(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        person = server.add_person("hasty")
        asked = await begin(person, None)
        clicks = await asyncio.gather(
            *(press(person, asked, f"{side} {p}%") for side in ("Real", "Fake") for p in (50, 95))
        )
        for clicked in clicks:
            await clicked.response(lambda m: m.id == asked.id, timeout=PATIENCE_S)
        await server.until(lambda: sum(len(each.followups) for each in clicks) == 3, "no notes", PATIENCE_S)
        assert len(stage.app.records.answers(Account("discord", str(person.id)))) == 1

    stage.run(scenario())


def test_a_message_that_was_left_behind_catches_up(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        person = server.add_person("luckless")
        asked = await begin(person, None)
        truth = truth_of(stage, asked)
        fault = server.fail("PATCH /webhooks/*", 404, code=10015)
        clicked = await press(person, asked, "Real 65%")
        await clicked.followup(timeout=PATIENCE_S)
        assert fault.hits == 1
        check_reveal(await click(person, asked, "Fake 95%"), truth)
        (answer,) = stage.app.records.answers(Account("discord", str(person.id)))
        assert (answer.said, answer.confidence) == ("real", 0.65)

    stage.run(scenario())


def test_private_answers_make_a_private_round(stage: QuizStage) -> None:
    async def scenario() -> None:
        server, place = stage.server, str(stage.server.other.id)
        await stage.bot.app.change_settings("discord", place, ephemeral=True)
        asked = await begin(server.alice, server.other["general"])
        assert asked.is_ephemeral
        truth = truth_of(stage, asked)
        check_reveal(await click(server.alice, asked, "Fake 65%"), truth)
        together = await begin(server.alice, server.other["general"], mode="channel")
        assert not together.is_ephemeral
        await click(server.alice, together, "Stop")
        await stage.bot.app.change_settings("discord", place, ephemeral=False)

    stage.run(scenario())


def test_rules_and_own_data_do_not_tell(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        person = server.add_person("curious")
        asked = await begin(person, None)
        rules = await told(person, asked, "How points work")
        assert "+84 if right" in rules
        used = await person.slash("my-data")
        answer = await used.response(timeout=PATIENCE_S)
        data = json.loads(answer.files["my-data.json"])
        (row,) = data["open_rounds"]
        (turn,) = row["state"]["game"]["round"]["turns"]
        assert not {"truth", "kind", "cue", "machine_p_fake", "machine_verdict", "machine_wrong"} & set(turn)
        assert not [word for word in TELLING[:3] if word in answer.files["my-data.json"].decode()]

    stage.run(scenario())


# Together


def test_a_round_of_a_channel(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await begin(server.alice, server.guild["pictures"], mode="channel", length=5)
        began = time.time()
        match = re.search(r"Time is up <t:(\d+):R>", asked.text)
        assert match is not None
        assert abs(int(match[1]) - began - ANSWER_S) < 30
        check_question(asked)
        truth = truth_of(stage, asked)
        right, wrong = ("Fake 95%", "Real 65%") if truth == "fake" else ("Real 95%", "Fake 65%")
        assert "Noted" in await told(server.alice, asked, wrong)
        assert "Noted" in await told(server.bob, asked, right)
        assert "answered this face already" in await told(server.bob, asked, wrong)
        assert "somebody else's" in await told(server.bob, asked, "Reveal")
        assert "somebody else's" in await told(server.bob, asked, "Stop")
        counted = await shows(stage, asked, lambda m: "2 answers so far" in m.text)
        assert not {"Alice", "Bob"} & set(re.findall(r"\w+", counted.text))
        assert list(counted.files) == ["face.jpg"]
        shown = await shows(stage, asked, lambda m: "It is" in m.text)
        assert time.time() >= began + ANSWER_S - 0.5
        check_reveal(shown, truth)
        assert re.search(r"✓ Bob: .*\n✗ Alice: ", shown.text)
        assert "answered this face already" in await told(server.alice, asked, right)
        assert "Too late" in await told(server.olga, asked, right)
        asked = await click(server.bob, shown, "Next face")
        assert asked.text.startswith("Face 2 of 5\n")
        assert "Noted" in await told(server.alice, asked, "Real 50%")
        shown = await click(server.alice, asked, "Reveal")  # who began the round need not wait
        check_reveal(shown, truth_of(stage, shown))
        over = await click(server.olga, shown, "Stop")  # she manages messages
        assert re.search(r"1\. Bob: .*\n2\. Alice: ", over.text)
        for person in (server.alice, server.bob):
            kept = stage.app.records.answers(Account("discord", str(person.id)))
            assert [a for a in kept if a.mode == "channel"]

    stage.run(scenario())


def test_a_timer_outlives_a_restart(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await begin(server.alice, server.guild["chat"], mode="channel", length=5)
        truth = truth_of(stage, asked)
        await stage.leave()
        await stage.enter()
        shown = await shows(stage, asked, lambda m: "It is" in m.text)
        check_reveal(shown, truth)
        assert "Nobody answered." in shown.text
        over = await click(server.alice, shown, "Stop")
        assert "Nobody answered." in over.text

    stage.run(scenario())


def test_a_timer_outlives_the_interaction(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await begin(server.alice, server.guild["chat"], mode="channel", length=5)
        for interaction in server.interactions.values():
            interaction.created -= 16 * 60
        check_reveal(await shows(stage, asked, lambda m: "It is" in m.text), truth_of(stage, asked))

    stage.run(scenario())


def test_a_message_that_was_deleted_ends_its_round(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        asked = await begin(server.alice, server.guild["general"], mode="channel", length="endless")
        await stage.restart()  # so that it is known by its place only
        await server.alice.delete(asked)
        await asyncio.to_thread(_wait_until_gone, stage, round_of(asked))

    stage.run(scenario())


# The set of the day


def test_the_set_of_the_day(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        dana, emil = server.add_person("dana"), server.add_person("emil")
        faces = []
        for person in (dana, emil):
            asked = await begin(person, None, mode="daily")
            assert asked.text.startswith("Today's set: Face 1 of 4\n")
            played = []
            for number in range(1, 5):
                played.append(asked.files["face.jpg"])
                if number == 3 and person is dana:
                    again = await begin(person, server.dm_of(person), mode="daily")  # goes on where she was
                    assert again.text == asked.text
                    assert again.id != asked.id
                    asked = again
                shown = await click(person, asked, "Real 65%")
                asked = await click(person, shown, "Next face" if number < 4 else "To the end")
            assert "The round is over" in asked.text
            faces.append(played)
        assert faces[0] == faces[1]
        assert len(set(faces[0])) == 4
        refused = await begin(dana, None, mode="daily")
        assert refused.text == "You have played today's set. The next one begins at midnight (UTC)."
        assert not refused.files
        board = await (await dana.slash("leaderboard", None, scope="today")).response(timeout=PATIENCE_S)
        assert "Dana: " in board.text
        assert "Emil: " in board.text

    stage.run(scenario())


def test_a_set_that_was_begun_elsewhere(stage: QuizStage) -> None:
    async def scenario() -> None:
        server, records = stage.server, stage.app.records
        fay = server.add_person("fay")
        account, elsewhere = Account("discord", str(fay.id)), Account("telegram", "77", "Fay")
        records.link(account, records.link_code(elsewhere))
        telegram = Quizzing(stage.app, "telegram")
        shown = await telegram.start(elsewhere, None, "daily", None, ENGLISH)
        asked = await begin(fay, None, mode="daily")  # it goes on here
        assert round_of(asked) == shown.round_id
        with pytest.raises(NotNow, match="goes on in Discord now"):
            await telegram.press(elsewhere, Press(shown.round_id, 1, "answer", "real", 1), ENGLISH)
        revealed = await click(fay, asked, "Real 50%")
        back = await telegram.start(elsewhere, None, "daily", None, ENGLISH)
        assert back.truth is not None
        assert "goes on in Telegram now" in await told(fay, revealed, "Next face")
        assert "goes on in Telegram now" in await told(server.bob, revealed, "Next face")
        records.drop_round(shown.round_id)  # as after a day
        asked = await begin(fay, None, mode="daily")
        assert round_of(asked) == shown.round_id
        assert asked.text.startswith("Today's set: Face 2 of 4\n")
        await click(fay, asked, "Real 50%")
        assert len(records.answers(elsewhere)) == 2

    stage.run(scenario())


# Scores


def test_scores(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        gil, hana, ida = (server.add_person(name) for name in ("gil", "*h_a_n_a*", "ida"))
        for guild, person in product((server.guild, server.other), (gil, hana, ida)):
            guild.members[person.id] = Member(person)
        empty = await (await gil.slash("stats", server.guild["general"])).response(timeout=PATIENCE_S)
        assert "No answers yet" in empty.text
        for person, faces in ((gil, MIN_ANSWERS), (hana, MIN_ANSWERS), (ida, MIN_ANSWERS - 1)):
            asked = await begin(person, server.guild["general"], length="endless")
            for _ in range(faces):
                side, percent = truth_of(stage, asked).capitalize(), 95 if person is gil else 80
                asked = await click(person, await click(person, asked, f"{side} {percent}%"), "Next face")
            await click(person, asked, "Stop")
        board = await (await hana.slash("leaderboard", server.guild["general"])).response(timeout=PATIENCE_S)
        assert re.search(r"1\. Gil: \+99 points a face, 100% right, 5 answers", board.text)
        assert r"▸ 2. \*H\_A\_N\_A\*: +84 points" in board.text  # a name, and no marks
        assert "Ida" not in board.text
        assert f"From {MIN_ANSWERS} answers on." in board.text
        elsewhere = await (await gil.slash("leaderboard", server.other["general"])).response(timeout=PATIENCE_S)
        assert "Gil" not in elsewhere.text
        everyone = await gil.slash("leaderboard", server.other["general"], scope="everyone")
        assert "▸ 1. Gil" in (await everyone.response(timeout=PATIENCE_S)).text
        used = await gil.slash("stats", server.guild["general"])
        own = await used.response(timeout=PATIENCE_S)
        assert own.is_ephemeral
        assert "Right: 100% (5 of 5" in own.text
        assert opened(own.files["stats.png"]).size == (1000, 1330)
        assert "100% of 5 at 95%" in (own.alt_texts["stats.png"] or "")
        for_all = await (await gil.slash("stats", server.guild["general"], show=True)).response(timeout=PATIENCE_S)
        assert not for_all.is_ephemeral

    stage.run(scenario())


# Decks, time and odd states


def test_without_a_deck_until_there_is_one(tmp_path: Path) -> None:
    with on_quiz_stage(tmp_path, deck=False) as stage:

        async def scenario() -> None:
            line = (await begin(stage.server.alice, None)).text
            assert "python -m bot deck" in line
            write_deck(tmp_path / "deck")
            check_question(await begin(stage.server.alice, None))

        stage.run(scenario())


def test_a_round_ends_with_the_deck_it_began_with(stage: QuizStage, tmp_path: Path) -> None:
    async def scenario() -> None:
        write_deck(tmp_path)
        quiz = stage.app.params.quiz.model_copy(update={"deck": f"file://{tmp_path}"})
        app = type(stage.app)(
            stage.app.params.model_copy(update={"quiz": quiz}), stage.app.desk, stage.app.records, stage.app.http,
            stage.app.metrics,
        )  # fmt: skip
        now = time.time()
        playing = Quizzing(app, "web", clock=lambda: now)
        ivo = Account("web", "1", "Ivo")
        shown = await playing.start(ivo, None, "daily", None, ENGLISH)
        endless = await playing.start(ivo, None, "solo", None, ENGLISH)
        write_deck(tmp_path, "fedcba9876543210", 8)
        late = Quizzing(app, "web", clock=lambda: now)  # as after a restart: it knows the new deck only
        await late.open_deck()
        with pytest.raises(UnreadableRound):
            OpenRound.from_json("x", None, "{}")
        for quizzing, pictures in ((playing, 2), (late, 0)):
            outcome = await quizzing.press(ivo, Press(endless.round_id, 1, "answer", "fake", 1), ENGLISH)
            assert outcome.shown is not None
            assert outcome.shown.truth is not None
            assert len(outcome.shown.pictures) == pictures
        await late.press(ivo, Press(shown.round_id, 1, "answer", "fake", 1), ENGLISH)
        over = await late.press(ivo, Press(shown.round_id, 1, "next"), ENGLISH)
        assert over.shown is not None
        assert over.shown.title == "The round is over"
        now += IDLE_S + 1
        idle = await late.time_up(endless.round_id)
        assert idle is not None
        assert idle.title == "The round is over"
        assert await late.now(endless.round_id) is None

    stage.run(scenario())


def test_who_is_forgotten_is_out_of_the_round_of_others(stage: QuizStage) -> None:
    async def scenario() -> None:
        records = stage.app.records
        quizzing = Quizzing(stage.app, "telegram")
        jan, kim = Account("telegram", "41", "Jan"), Account("telegram", "42", "Kim")
        shown = await quizzing.start(jan, "9", "channel", 5, ENGLISH)
        for player in (jan, kim):
            outcome = await quizzing.press(player, Press(shown.round_id, 1, "answer", "real", 1), ENGLISH)
            assert outcome.counted
        theirs = json.dumps(await quizzing.own_data(kim))
        assert "Kim" in theirs
        assert "Jan" not in theirs
        assert jan.key not in theirs
        records.forget(jan)
        saved = records.load_round(shown.round_id)
        assert saved is not None
        assert "Jan" not in saved.state
        assert jan.key not in saved.state
        with pytest.raises(Refused):
            open_ = OpenRound.from_json(saved.id, saved.server, saved.state)
            open_.round.stop(jan.key)
        assert (await quizzing.press(jan, Press(shown.round_id, 1, "reveal"), ENGLISH)).note
        over = await quizzing.press(kim, Press(shown.round_id, 1, "reveal"), ENGLISH, is_moderator=True)
        assert over.shown is not None
        text = "\n".join(over.shown.lines)
        assert "Kim: " in text
        assert "Jan" not in text
        assert records.person(jan) is None

    stage.run(scenario())


async def shows(stage: QuizStage, message: Message, matching: Callable[[Message], Any]) -> Message:
    """The state of a message that matches, however it came about."""

    def look() -> Message | None:
        states = (e.message for e in stage.server.log if e.kind in ("response", "edit") and e.message.id == message.id)
        return next((state for state in states if matching(state)), None)

    return await stage.server.until(look, f"the message {message.text!r} did not change so", PATIENCE_S)


def _wait_until_gone(stage: QuizStage, round_id: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while stage.app.records.load_round(round_id) is not None:
        assert time.monotonic() < deadline, "the round is still there"
        time.sleep(0.05)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["real", "fake"])), max_size=8))
def test_a_saved_round_is_the_same_round(clicks: list[tuple[str, Side]]) -> None:
    round, deck = Round.channel("discord:a", deck_of(8), None, 5.0), deck_of(8)
    open_ = OpenRound("x", round, "discord:9", "en", 7.0, {"channel": "1"}, {"discord:a": "Ann"})
    for at, (player, side) in enumerate(clicks):
        if round.phase != "asking":
            round.next(deck, [], random.Random(at), 10.0 * at, 0.1)
        with suppress(Refused):
            round.answer(f"discord:{player}", side, 0.8, 10.0 * at + 1)
        if at % 2:
            round.reveal(10.0 * at + 6)
        assert OpenRound.from_json("x", "discord:9", open_.to_json()) == open_


def _ids() -> st.SearchStrategy[Press]:
    return st.builds(
        Press,
        st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=8, max_size=8),
        st.integers(1, 999_999),
        st.just("answer"),
        st.sampled_from(["real", "fake"]),
        st.integers(0, 3),
    )  # fmt: skip


@given(_ids())
def test_ids_of_buttons(press: Press) -> None:
    assert Press.of(press.id) == press
    assert len(press.id.encode()) <= 64
    assert Press.of(press.id + "x") is None
    assert Press.of(press.id.replace(":", ":0", 2)) is None
