"""Linking accounts: the same person in two apps has one score, one daily set and one place on the leaderboard."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.chat.app import App
from bot.chat.linking import new_code, use_code
from bot.monitor import Metrics
from bot.records import Account, Records
from bot.words import ENGLISH, words
from bot.worker import DetectorDesk
from infra.http import HttpClient
from tests import discord_server, telegram_server
from tests.discord_stage import PATIENCE_S
from tests.quiz_stage import QuizStage, on_quiz_stage
from tests.telegram_quiz_stage import TelegramQuizStage, on_telegram_quiz_stage
from tests.telegram_stage import stage_params

QUIZ: dict[str, Any] = {"daily": 4, "min_answers": 3}
CODE = re.compile(r"Your code: ([2-9A-Z]{4}-[2-9A-Z]{4})\n")


@dataclass
class Stages:
    """Both bots, each in its own loop, on one database and one deck."""

    discord: QuizStage
    telegram: TelegramQuizStage

    def on_discord(self, person: discord_server.Person, command: str, **options: Any) -> discord_server.Message:
        """What a command is answered with, alone with the bot."""

        async def ask() -> discord_server.Message:
            used = await person.slash(command, None, **options)
            return await used.response(timeout=PATIENCE_S)

        return self.discord.run(ask())

    def clicks(self, person: discord_server.Person, message: discord_server.Message, label: str) -> Any:
        """What the message shows then, on Discord."""

        async def click() -> discord_server.Message:
            clicked = await person.click(message, label)
            return await clicked.response(lambda m: m.id == message.id, timeout=PATIENCE_S)

        return self.discord.run(click())

    def on_telegram(self, person: telegram_server.Person, text: str, to: Any = None) -> telegram_server.Message:
        """What a message is answered with."""
        return self.telegram.run(self.telegram.says(person, text, to))

    def presses(self, person: telegram_server.Person, message: telegram_server.Message, label: str) -> Any:
        """What the message shows then, on Telegram."""
        return self.telegram.run(self.telegram.clicks(person, message, label))

    def people(self, name: str) -> tuple[discord_server.Person, telegram_server.Person]:
        """The same person in both apps."""
        return self.discord.server.add_person(name.lower()), self.telegram.server.add_person(name)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    folder = tmp_path_factory.mktemp("linking")
    with on_quiz_stage(folder, **QUIZ) as discord, on_telegram_quiz_stage(folder, **QUIZ) as telegram:
        yield Stages(discord, telegram)


def code_in(text: str | None) -> str:
    found = CODE.search(text or "")
    assert found is not None, text
    return found[1]


def lines_with(text: str | None, name: str) -> list[str]:
    return [line for line in (text or "").splitlines() if name in line]


def play_on_telegram(stages: Stages, person: telegram_server.Person, label: str) -> telegram_server.Message:
    """Today's set to its end; what is said then."""
    shown = stages.on_telegram(person, "/quiz daily")
    while shown.buttons:
        onward = next((each for each in ("Next face", "To the end") if each in shown.labels), label)
        shown = stages.presses(person, shown, onward)
    return shown


def test_two_sets_of_a_day_become_the_first(stages: Stages) -> None:
    dana, danas = stages.people("Dana")
    shown = stages.on_discord(dana, "quiz", mode="daily")
    for _ in range(4):
        shown = stages.clicks(dana, shown, "Real 65%")
        shown = stages.clicks(dana, shown, shown.labels[0])
    first = re.search(r"of 4 right\. (\S+) points", shown.text)
    assert first is not None
    play_on_telegram(stages, danas, "Fake 95%")
    before = stages.on_telegram(danas, "/leaderboard today").text
    assert len(lines_with(before, "Dana")) == 2  # nobody knows yet that they are one

    code = code_in(stages.on_telegram(danas, "/link").text)
    told = stages.on_discord(dana, "link", code=code.lower())
    assert told.is_ephemeral
    assert told.text.startswith("Linked: your two accounts are one person's now.\n")
    for board in (stages.on_discord(dana, "leaderboard", scope="today").text,
                  stages.on_telegram(danas, "/leaderboard today").text):  # fmt: skip
        (line,) = lines_with(board, "Dana")
        assert line.startswith("▸ ")
        assert f"{first[1]} points" in line
    assert len(lines_with(stages.on_telegram(danas, "/leaderboard everyone").text, "Dana")) == 1
    assert "You have played today's set." in (stages.on_telegram(danas, "/quiz daily").text or "")
    ours, theirs = stages.on_discord(dana, "stats").text, stages.on_telegram(danas, "/stats").text or ""
    assert "of 4, likely" in ours
    assert ours.splitlines()[:3] == theirs.splitlines()[:3]


def test_a_set_that_is_begun_in_one_app_is_ended_in_the_other(stages: Stages) -> None:
    emil, emils = stages.people("Emil")
    code = code_in(stages.on_discord(emil, "link").text)
    assert (stages.on_telegram(emils, f"/link {code}").text or "").startswith("Linked: ")
    shown = stages.on_discord(emil, "quiz", mode="daily")
    shown = stages.clicks(emil, shown, "Real 65%")
    shown = stages.clicks(emil, shown, "Next face")
    over = play_on_telegram(stages, emils, "Real 65%")
    assert "of 4 right" in over.caption
    for text in (stages.on_discord(emil, "leaderboard", scope="today").text,
                 stages.on_telegram(emils, "/leaderboard today").text):  # fmt: skip
        assert len(lines_with(text, "Emil")) == 1
    answers = stages.discord.app.records.answers(Account("discord", str(emil.id)))
    assert len({answer.face_id for answer in answers}) == len(answers) == 4
    assert "You have played today's set." in stages.on_discord(emil, "quiz", mode="daily").text


def test_who_is_forgotten_in_one_app_is_forgotten_in_both(stages: Stages) -> None:
    fay, fays = stages.people("Fay")
    stages.on_telegram(fays, "/language de")
    code = code_in(stages.on_discord(fay, "link").text)
    told = stages.on_telegram(fays, f"/link {code}").text or ""
    assert told.startswith(words("de")("Linked: your two accounts are one person's now."))
    assert "Deutsch" in stages.on_discord(fay, "language", language="Deutsch").text
    data = json.loads(stages.on_discord(fay, "my-data").files["my-data.json"])
    assert {row["platform"] for row in data["accounts"]} == {"discord", "telegram"}
    asked = stages.on_discord(fay, "forget-me")
    stages.clicks(fay, asked, asked.labels[0])
    records = stages.telegram.app.records
    assert records.person(Account("telegram", str(fays.id))) is None
    assert records.person(Account("discord", str(fay.id))) is None
    assert json.loads(stages.on_telegram(fays, "/mydata").upload)["accounts"] == []
    stages.on_telegram(fays, f"/link {code_in(stages.on_discord(fay, 'link').text)}")
    person = records.person(Account("telegram", str(fays.id)))
    assert person is not None
    assert person == records.person(Account("discord", str(fay.id)))


def test_codes_are_for_one_who_is_alone(stages: Stages) -> None:
    gus, guss = stages.people("Gus")
    group = stages.telegram.server.add_group("Talk", guss)
    told = stages.on_telegram(guss, "/link", group).text or ""
    assert told == "Only in private, please: whoever sees a code can use it. Send me /link there."
    code = code_in(stages.on_discord(gus, "link").text)
    assert stages.on_telegram(guss, f"/link {code}", group).text == told
    assert stages.telegram.app.records.person(Account("telegram", str(guss.id))) is None

    async def in_server() -> discord_server.Message:
        server = stages.discord.server
        used = await server.alice.slash("link", server.guild["general"])
        return await used.response(timeout=PATIENCE_S)

    assert stages.discord.run(in_server()).is_ephemeral


def test_codes_that_do_not_work(stages: Stages) -> None:
    hal, hals = stages.people("Hal")
    code = code_in(stages.on_telegram(hals, "/link").text)
    assert stages.on_telegram(hals, f"/link {code}").text == "These two accounts are linked already."
    wrong = "That code is wrong or too old. Please get a new one in the other app."
    assert stages.on_discord(hal, "link", code="nonsense").text == wrong
    assert stages.on_discord(hal, "link", code="🙂").text == wrong
    newer = code_in(stages.on_telegram(hals, "/link").text)
    assert stages.on_discord(hal, "link", code=code).text == wrong  # there is one at a time
    typed = f" {newer[:4]} {newer[5:].lower()} "
    assert stages.on_discord(hal, "link", code=typed).text.startswith("Linked: ")
    assert stages.on_discord(hal, "link", code=newer).text == wrong  # and each works once
    stages.on_discord(hal, "link", code="nonsense")
    third = code_in(stages.on_telegram(hals, "/link").text)
    assert stages.on_discord(hal, "link", code=third).text == (
        "Too many wrong codes. Please wait 10 minutes, then get a new one."
    )


# The core, with a clock


@contextmanager
def _app(folder: Path, now: list[datetime]) -> Iterator[App]:
    params = stage_params(folder)
    with Records(params.database, keep_days=1, now=lambda: now[0]) as records:
        http = HttpClient(user_agent="test", allow=())
        yield App(params, DetectorDesk(params), records, http, Metrics())


def test_codes_grow_old(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 2, tzinfo=UTC)]
    ann, bob = Account("web", "1", "Ann"), Account("discord", "2", "Bob")

    async def scenario(app: App) -> None:
        first = await new_code(app, ann, ENGLISH)
        assert first.is_done
        assert first.code in first.text
        now[0] += timedelta(minutes=10, seconds=1)
        late = await use_code(app, bob, first.code, ENGLISH)
        assert not late.is_done
        assert late.lines == ("That code is wrong or too old. Please get a new one in the other app.",)
        second = await new_code(app, ann, ENGLISH)
        now[0] += timedelta(minutes=9)
        assert (await use_code(app, bob, second.code, ENGLISH)).is_done
        assert app.records.person(ann) == app.records.person(bob)

    _run(tmp_path, now, scenario)


def test_the_choice_of_language_is_joined_too(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 2, tzinfo=UTC)]
    ann, bob = Account("web", "1", "Ann"), Account("telegram", "2", "Bob")

    async def scenario(app: App) -> None:
        await app.set_language(ann, "de")
        assert (await app.words(bob, None, "en")).language == "en"
        assert (await use_code(app, bob, (await new_code(app, ann, ENGLISH)).code, ENGLISH)).is_done
        assert (await app.words(bob, None, "en")).language == "de"

    _run(tmp_path, now, scenario)


def _run(folder: Path, now: list[datetime], scenario: Any) -> None:
    with _app(folder, now) as app:
        work: Coroutine[Any, Any, None] = scenario(app)
        asyncio.run(work)
