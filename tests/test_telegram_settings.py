"""/settings and /language on Telegram, what the bot says about itself, and what it forgets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.telegram_quiz_stage import TelegramQuizStage, account_of, on_telegram_quiz_stage
from tests.telegram_stage import PATIENCE_S

COMMANDS = {
    "check", "quiz", "leaderboard", "stats", "language", "link", "help", "about", "privacy", "mydata", "forgetme",
}  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TelegramQuizStage]:
    with on_telegram_quiz_stage(tmp_path_factory.mktemp("settings")) as found:
        yield found


def test_commands_are_known_and_described(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        menus = stage.server.commands
        await stage.server.until(lambda: len(menus) >= 6, "no menus")
        names = {scope: {each["command"] for each in menu} for (scope, language), menu in menus.items() if not language}
        private, groups, admins = (
            next(found for scope, found in names.items() if kind in scope)
            for kind in ("all_private_chats", "all_group_chats", "all_chat_administrators")
        )
        assert private == COMMANDS
        assert groups == COMMANDS - {"link"}
        assert admins == groups | {"settings"}

    stage.run(scenario())


def test_settings_by_buttons_for_admins(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server, records = stage.server, stage.app.records
        place = str(server.group.id)
        assert "You may not do that here." in ((await stage.says(server.alice, "/settings", server.group)).text or "")
        assert "use /settings there" in ((await stage.says(server.olga, "/settings")).text or "")
        shown = await stage.says(server.olga, "/settings", server.group)
        assert "Where I answer every picture\nNone: I answer only when I am asked." in (shown.text or "")
        assert [label for label in shown.labels if label.startswith("✓")] == [
            "✓ Only when asked", "✓ automatic", "✓ Everybody sees answers",
        ]  # fmt: skip
        assert "You may not do that here." in await stage.told(server.alice, shown, "Answer every picture")
        shown = await stage.clicks(server.olga, shown, "Answer every picture")
        assert "this group" in (shown.text or "")
        assert records.settings("telegram", place).channels == (place,)
        shown = await stage.clicks(server.olga, shown, "Only who asked")
        assert records.settings("telegram", place).ephemeral
        shown = await stage.clicks(server.olga, shown, "Deutsch")
        assert records.settings("telegram", place).language == "de"
        assert "✓ Deutsch" in shown.labels
        shown = await stage.clicks(server.olga, shown, "set:a:auto")
        shown = await stage.clicks(server.olga, shown, "Everybody sees answers")
        shown = await stage.clicks(server.olga, shown, "Only when asked")
        assert not records.settings("telegram", place).model_dump(exclude_defaults=True)

    stage.run(scenario())


def test_settings_by_words(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        group = server.add_group("Words", server.olga, server.alice)

        async def said(text: str) -> str:
            return (await stage.says(server.olga, f"/settings {text}", group)).text or ""

        assert "From 22:00 to 07:30 (Europe/Berlin)" in await said("quiet 22:00 07:30 Europe/Berlin")
        assert "Times are written like 22:00" in await said("quiet 25:00 07:30")
        assert "Times are written like 22:00" in await said("quiet 22:00 07:30 Middle/Earth")
        assert "Quiet hours\nNone" in await said("quiet off")
        assert "this group" in await said("pictures on")
        assert "None: I answer only when I am asked." in await said("pictures off")
        assert "Only whoever asked" in await said("private on")
        assert "Sprache\nDeutsch" in await said("language de")
        assert "/settings quiet off" in await said("colour blue")
        assert "/settings quiet off" in await said("quiet")
        kept = stage.app.records.settings("telegram", str(group.id))
        assert kept.model_dump(exclude_defaults=True) == {
            "timezone": "Europe/Berlin", "ephemeral": True, "language": "de",
        }  # fmt: skip

    stage.run(scenario())


def test_an_anonymous_admin_is_an_admin(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        group = server.add_group("Masks", server.olga, server.alice)
        server.make_anonymous(group, server.olga)
        shown = await stage.says(server.olga, "/settings private on", group)
        assert "✓ Only who asked" in shown.labels

    stage.run(scenario())


def test_private_answers(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        group = server.add_group("Silence", server.olga, server.alice)
        assert "The best here" in ((await stage.says(server.alice, "/leaderboard", group)).text or "")
        await stage.bot.app.change_settings("telegram", str(group.id), ephemeral=True)
        await server.alice.starts()
        for command, wanted in (("leaderboard", "The best here"), ("privacy", "Never kept"), ("about", "The model")):
            told = await stage.says(server.alice, f"/{command}", group)
            assert "I have answered you in our own chat: https://t.me/face_check_bot" in (told.text or "")
            await stage.in_private(server.alice, wanted)

    stage.run(scenario())


def test_languages(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server, records = stage.server, stage.app.records
        lena = server.add_person("Lena")
        asked = await stage.says(lena, "/language")
        assert "Deutsch" in await stage.told(lena, asked, "Deutsch")
        assert records.person_language(account_of(lena)) == "de"
        assert (await stage.bot.app.words(account_of(lena), None, "en-US")).language == "de"
        await stage.told(lena, asked, "language:auto")
        assert records.person_language(account_of(lena)) is None
        assert "Deutsch" in ((await stage.says(lena, "/language de")).text or "")
        german = server.add_person("Jens", language="de")
        assert "So benutzt du mich" in ((await stage.says(german, "/help")).text or "")
        assert records.person(account_of(german)) is None  # nothing is kept of who only asks

    stage.run(scenario())


def test_what_the_bot_says_about_itself(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        alice = stage.server.alice
        for command, wanted in (
            ("help", ["/quiz", "/forgetme", "/mydata", "/link", "As a file"]),
            ("start", ["/quiz", "/forgetme"]),
            ("start ABCD-EFGH", ["/quiz"]),
            ("about", [stage.app.desk.card.id, "The faces of the quiz", "Author 1 · CC0"]),
            ("model", [stage.app.desk.card.id]),
            ("privacy", ["Your pictures", "30 days", "/mydata"]),
        ):
            answer = await stage.says(alice, f"/{command}")
            assert not [text for text in wanted if text not in (answer.text or "")], answer.text
            assert not [e for e in answer.entities if e["type"] == "bot_command" and "-" in str(e)]
        assert stage.app.records.person(account_of(alice)) is None

    stage.run(scenario())


def test_forget_me_leaves_nothing(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server, records = stage.server, stage.app.records
        mona = server.add_person("Monalisa")
        account = account_of(mona)
        await stage.says(mona, "/language en")
        asked = await stage.says(mona, "/quiz")
        await stage.clicks(mona, asked, "Real 65%")
        records.add_result("a" * 64, verdict="fake", p_fake=0.9, model="m", asker=account)
        records.add_claim(account, "b" * 64, claimed="real", verdict="fake", p_fake=0.9, model="m")
        answer = await stage.says(mona, "/mydata")
        assert answer.media is not None
        assert answer.media.name == "my-data.json"
        data = json.loads(answer.upload)
        assert [len(data[name]) for name in ("answers", "results", "claims", "open_rounds")] == [1, 1, 1, 1]
        assert data["language"] == "en"
        assert "Everything, word for word, is in the file." in answer.caption
        assert _in_files(stage, "Monalisa")
        asked = await stage.says(mona, "/forgetme")
        assert len(records.answers(account)) == 1  # not before it is confirmed
        await stage.restart()
        await server.bob.starts()
        done = await stage.clicks(mona, asked, "Delete everything")
        assert done.text == (
            "Done. I have nothing about you any more.\n"
            "Deleted: one answer in the quiz, one verdict on a picture, one “that's wrong”, one open round."
        )
        assert not done.buttons
        assert records.person(account) is None
        assert not _in_files(stage, "Monalisa")
        assert not _in_files(stage, str(mona.id))
        assert "I have nothing about you." in (await stage.says(mona, "/mydata")).caption

    stage.run(scenario())


def test_what_is_private_stays_so_in_a_group(stage: TelegramQuizStage) -> None:
    async def scenario() -> None:
        server = stage.server
        vera = server.add_person("Vera")
        group = server.add_group("Talk", server.olga, vera)
        for command in ("mydata", "forgetme", "stats"):
            told = await stage.says(vera, f"/{command}", group)
            assert "I can't write to you yet." in (told.text or "")
        await vera.starts()
        for command, wanted in (("mydata", "I have nothing about you."), ("forgetme", "Are you sure?")):
            told = await stage.says(vera, f"/{command}", group)
            assert "in our own chat" in (told.text or "")
            await stage.in_private(vera, wanted)
        asked = await stage.in_private(vera, "Are you sure?")
        made_up = await server.bob.presses(await stage.says(server.bob, "/forgetme"), asked.buttons[0]["callback_data"])
        assert (await made_up.answer(PATIENCE_S)).text == "This button is somebody else's. Yours: /forgetme"

    stage.run(scenario())


def _in_files(stage: TelegramQuizStage, text: str) -> bool:
    """Whether the database's files hold `text` anywhere, freed pages and logs included."""
    path = Path(re.sub("^sqlite:///", "", stage.app.params.database))
    return any(text.encode() in file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
