"""The bot on the stand-in for Telegram with a quiz deck on disk, and a detector that is not running."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bot.chat.app import App
from bot.chat.quiz_views import Press
from bot.monitor import Metrics
from bot.records import Account, Records
from bot.worker import DetectorDesk
from infra.http import HttpClient
from model_defs.checkpoint import read_card
from tests.quiz_stage import write_deck
from tests.telegram_server import Chat, Entry, Message, Person
from tests.telegram_stage import PATIENCE_S, Stage, on_play, stage_params


class TelegramQuizStage(Stage):
    """As a stage, but no picture can be looked at."""

    @asynccontextmanager
    async def opened_app(self) -> AsyncIterator[App]:
        """Without a detector's process, whose start takes seconds."""
        params = self.params
        desk = DetectorDesk(params)
        desk.card = read_card(params.bundle)
        http = HttpClient(user_agent="test", allow=params.network.allow)
        with Records(params.database, keep_days=1) as records:
            async with http:
                yield App(params, desk, records, http, Metrics())

    async def says(self, person: Person, text: str, to: Chat | None = None) -> Message:
        """The bot's answer to a message, as it first stands in that chat."""
        return (await self.answer(await person.says(text, to))).copy()

    async def clicks(self, person: Person, message: Message, label: str, containing: str = "") -> Message:
        """What a message shows after a press of a button that it showed when the person looked at it."""
        await self.told(person, message, label)
        return await self.edited(message, containing)

    async def told(self, person: Person, message: Message, label: str) -> str:
        """The words over the chat that a press is answered with."""
        pressed = await person.presses(message, message.button(label)["callback_data"])
        return (await pressed.answer(PATIENCE_S)).text

    async def edited(self, message: Message, containing: str = "") -> Message:
        """The next state of a message that nobody has waited for yet."""

        def fits(entry: Entry) -> bool:
            state: Message = entry.message
            return state.id == message.id and state.chat is message.chat and containing in (state.text or "")

        state: Message = (await self.server.next("edit", fits, PATIENCE_S)).message
        return state.copy()

    async def in_private(self, person: Person, containing: str) -> Message:
        """A message of the bot in somebody's own chat."""

        def look() -> Message | None:
            return next((m for m in self.server.messages(person.private) if containing in (m.text or "")), None)

        return await self.server.until(look, f"nothing with {containing!r} came in private", PATIENCE_S)

    def truth_of(self, message: Message) -> str:
        """What the bot knows and must not tell."""
        saved = self.app.records.load_round(round_of(message))
        assert saved is not None
        return str(json.loads(saved.state)["game"]["round"]["turns"][-1]["truth"])


def round_of(message: Message) -> str:
    """The round whose buttons a message shows."""
    press = Press.of(message.buttons[0]["callback_data"])
    assert press is not None
    return press.round_id


def account_of(person: Person) -> Account:
    """As the records know somebody."""
    return Account("telegram", str(person.id))


@contextmanager
def on_telegram_quiz_stage(folder: Path, *, deck: bool = True, **quiz: Any) -> Iterator[TelegramQuizStage]:
    """quiz: of the params, as the tests want them, also where no operator may have them so. The folder may be that of
    another platform's stage: then both have one database and one deck.
    """
    params = stage_params(folder)
    wanted = params.quiz.model_copy(update={"deck": f"file://{folder}/deck", **quiz})
    if deck and not (folder / "deck").exists():
        write_deck(folder / "deck")
    with on_play(TelegramQuizStage(params.model_copy(update={"quiz": wanted}))) as stage:
        yield stage
