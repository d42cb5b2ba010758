"""/settings and /language, what the bot says about itself, and what it forgets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.records import Account
from tests.discord_server import Message, NotPossibleError, Person
from tests.discord_server.doings import command_data, interact
from tests.discord_server.interactions import COMMAND
from tests.discord_stage import PATIENCE_S, png
from tests.quiz_stage import QuizStage, on_quiz_stage

DEFAULTS = {"channels": (), "quiet_from": None, "quiet_to": None, "timezone": "UTC", "language": "auto",
            "ephemeral": False}  # fmt: skip
COMMANDS = {
    "check", "quiz", "leaderboard", "stats", "settings", "language", "link", "help", "about", "privacy", "my-data",
    "forget-me",
}  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuizStage]:
    with on_quiz_stage(tmp_path_factory.mktemp("settings")) as found:
        yield found


@pytest.fixture(autouse=True)
def _defaults(stage: QuizStage) -> Iterator[None]:
    yield
    for guild in (stage.server.guild, stage.server.other):
        stage.run(stage.bot.app.change_settings("discord", str(guild.id), **DEFAULTS))


async def use(person: Person, command: str, **options: object) -> Message:
    used = await person.slash(command, person.server.guild["general"], **options)
    return await used.response(timeout=PATIENCE_S)


async def answered(stage: QuizStage, posted: Message) -> bool:
    """Whether a picture that was posted got an answer; who asks by a mention always does, and later than this one."""
    asked = await stage.server.alice.say(stage.server.guild["general"], "and?", files=[("a.png", png())], mention=True)
    await stage.answer(asked)
    replied = {entry.message.referenced for entry in stage.server.entries("message") if entry.message.referenced}
    return posted in replied


def test_commands_are_known_and_described(stage: QuizStage) -> None:
    (told,) = [entry.commands for entry in stage.server.entries("commands")][-1:]
    by_name = {command["name"]: command for command in told if command.get("type", 1) == 1}
    assert set(by_name) == COMMANDS
    assert all(command["description"] for command in by_name.values())
    assert int(by_name["settings"]["default_member_permissions"]) == 1 << 5  # MANAGE_GUILD
    assert by_name["settings"]["contexts"] == [0]
    channels = next(option for option in by_name["settings"]["options"] if option["name"] == "channels")
    (typed,) = channels["options"][0]["options"]
    assert typed["type"] == 7
    assert {0, 5, 10, 11, 12, 15} <= set(typed["channel_types"])
    assert not {2, 4, 13} & set(typed["channel_types"])


def test_settings_are_for_those_who_manage_the_server(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        with pytest.raises(NotPossibleError):
            await use(server.alice, "settings show")
        with pytest.raises(NotPossibleError):
            await server.olga.slash("settings show")
        # An admin may let anybody use a command; the bot looks for itself.
        registered = server.commands.find("settings", 1, server.guild.id)
        where = server.guild["general"]
        data = command_data(server, registered, ["private-answers"], {"private": True}, where)
        forced = await interact(server, server.alice, COMMAND, where, data, name="settings private-answers")
        answer = await forced.response(timeout=PATIENCE_S)
        assert answer.text == "You may not do that here. Ask somebody who manages this place."
        assert answer.is_ephemeral
        assert not stage.app.records.settings("discord", str(server.guild.id)).ephemeral

    stage.run(scenario())


def test_a_channel_that_was_opened_is_answered(stage: QuizStage) -> None:
    async def scenario() -> None:
        server, pictures = stage.server, stage.server.guild["pictures"]
        assert not await answered(stage, await server.alice.say(pictures, files=[("a.png", png())]))
        shown = await use(server.olga, "settings channels add", channel=pictures)
        assert shown.is_ephemeral
        assert f"<#{pictures.id}>" in shown.text
        assert shown.content == ""
        await use(server.olga, "settings channels add", channel=pictures)
        assert stage.app.records.settings("discord", str(server.guild.id)).channels == (str(pictures.id),)
        assert await answered(stage, await server.alice.say(pictures, files=[("a.png", png())]))
        now = datetime.now(UTC)
        start, end = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (-1, 1))
        shown = await use(server.olga, "settings quiet-hours", start=start, end=end, timezone="UTC")
        assert f"From {start} to {end} (UTC)" in shown.text
        assert not await answered(stage, await server.alice.say(pictures, files=[("a.png", png())]))
        assert "Quiet hours\nNone" in (await use(server.olga, "settings quiet-hours")).text
        assert await answered(stage, await server.alice.say(pictures, files=[("a.png", png())]))
        await use(server.olga, "settings channels remove", channel=pictures)
        assert not await answered(stage, await server.alice.say(pictures, files=[("a.png", png())]))
        shown = await use(server.olga, "settings channels remove", channel=pictures)
        assert shown.content == "That channel was not open."

    stage.run(scenario())


def test_what_is_lacking_in_a_channel_is_said(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        for name, lacking in (("hidden", "View Channel"), ("no-files", "Attach Files"), ("general", "")):
            shown = await use(server.olga, "settings channels add", channel=server.guild[name])
            assert lacking in shown.content
            assert bool(shown.content) == bool(lacking)

    stage.run(scenario())


@pytest.mark.parametrize(
    "wished",
    [
        {"start": "25:00", "end": "07:00"},
        {"start": "22:00"},
        {"start": "ten", "end": "eleven"},
        {"start": "22:00", "end": "07:00", "timezone": "Middle/Earth"},
    ],
)
def test_what_cannot_be_set_is_said(stage: QuizStage, wished: dict[str, str]) -> None:
    async def scenario() -> None:
        answer = await use(stage.server.olga, "settings quiet-hours", **wished)
        assert answer.text == "I can't take that. Times are written like 22:00, time zones like Europe/Berlin."
        assert stage.app.records.settings("discord", str(stage.server.guild.id)).quiet_from is None

    stage.run(scenario())


def test_languages(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        place = str(server.guild.id)
        await use(server.olga, "settings language", language="Deutsch")
        assert stage.app.records.settings("discord", place).language == "de"
        lena = server.add_person("lena")
        said = await (await lena.slash("language", language="Deutsch")).response(timeout=PATIENCE_S)
        assert "Deutsch" in said.text
        account = Account("discord", str(lena.id))
        assert stage.app.records.person_language(account) == "de"
        assert (await stage.bot.app.words(account, None, "en-US")).language == "de"
        await (await lena.slash("language", language="automatic")).response(timeout=PATIENCE_S)
        assert stage.app.records.person_language(account) is None

    stage.run(scenario())


def test_private_answers(stage: QuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        assert "Only whoever asked" in (await use(server.olga, "settings private-answers", private=True)).text
        assert (await use(server.alice, "leaderboard")).is_ephemeral
        await use(server.olga, "settings private-answers", private=False)
        assert not (await use(server.alice, "leaderboard")).is_ephemeral

    stage.run(scenario())


def test_what_the_bot_says_about_itself(stage: QuizStage) -> None:
    async def scenario() -> None:
        for command, wanted in (
            ("help", ["/quiz", "/forget-me", "Is this real?"]),
            ("about", [stage.app.desk.card.id, "The faces of the quiz", "Author 1 · CC0"]),
            ("privacy", ["Your pictures", "30 days", "/my-data"]),
        ):
            answer = await use(stage.server.alice, command)
            assert answer.is_ephemeral
            assert not [text for text in wanted if text not in answer.text], answer.text
            direct = await (await stage.server.alice.slash(command)).response(timeout=PATIENCE_S)
            assert direct.text == answer.text

    stage.run(scenario())


def test_forget_me_leaves_nothing(stage: QuizStage) -> None:
    async def scenario() -> None:
        server, records = stage.server, stage.app.records
        mona = server.add_person("monalisa")
        account = Account("discord", str(mona.id))
        where = server.dm_of(mona)
        await (await mona.slash("language", where, language="Deutsch")).response(timeout=PATIENCE_S)
        await (await mona.slash("language", where, language="English")).response(timeout=PATIENCE_S)
        asked = await (await mona.slash("quiz", where)).response(timeout=PATIENCE_S)
        clicked = await mona.click(asked, "Real 65%")
        await clicked.response(timeout=PATIENCE_S)
        stage.app.records.add_result("a" * 64, verdict="fake", p_fake=0.9, model="m", asker=account)
        records.add_claim(account, "b" * 64, claimed="real", verdict="fake", p_fake=0.9, model="m")
        used = await mona.slash("my-data", where)
        answer = await used.response(timeout=PATIENCE_S)
        data = json.loads(answer.files["my-data.json"])
        assert answer.is_ephemeral
        assert [len(data[name]) for name in ("answers", "results", "claims", "open_rounds")] == [1, 1, 1, 1]
        assert data["language"] == "en"
        assert "Everything, word for word, is in the file." in answer.text
        assert _in_files(stage, "Monalisa") and _in_files(stage, str(mona.id))
        asked = await (await mona.slash("forget-me", where)).response(timeout=PATIENCE_S)
        assert asked.is_ephemeral
        assert len(records.answers(account)) == 1  # not before it is confirmed
        await stage.restart()
        done = await (await mona.click(asked, "Delete everything")).response(timeout=PATIENCE_S)
        assert done.text == (
            "Done. I have nothing about you any more.\n"
            "Deleted: one answer in the quiz, one verdict on a picture, one “that's wrong”, one open round."
        )
        assert not done.labels
        assert records.person(account) is None
        assert not _in_files(stage, "Monalisa")
        assert not _in_files(stage, str(mona.id))
        empty = await (await mona.slash("my-data", where)).response(timeout=PATIENCE_S)
        assert "I have nothing about you." in empty.text

    stage.run(scenario())


def test_a_server_that_is_left_is_forgotten(stage: QuizStage) -> None:
    async def scenario() -> None:
        server, place = stage.server, str(stage.server.other.id)
        used = await server.olga.slash(
            "settings channels add", server.other["general"], channel=server.other["general"]
        )
        await used.response(timeout=PATIENCE_S)
        await server.outage(server.other)  # which is no goodbye
        await use(server.alice, "help")
        assert stage.app.records.settings("discord", place).channels
        await server.join(server.other)
        await server.remove_bot(server.other)
        async with asyncio.timeout(PATIENCE_S):
            while stage.app.records.settings("discord", place).channels:
                await asyncio.sleep(0.02)
        assert not (await stage.bot.app.settings("discord", place)).channels
        await server.join(server.other)

    stage.run(scenario())


def _in_files(stage: QuizStage, text: str) -> bool:
    """Whether the database's files hold `text` anywhere, freed pages and logs included."""
    path = Path(re.sub("^sqlite:///", "", stage.app.params.database))
    return any(text.encode() in file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
