"""The bot on the stand-in for Telegram: in this process, or as the command."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bot.chat.app import App, open_app
from bot.chat.telegram.client import TelegramBot
from bot.chat.telegram.endpoints import Endpoints
from bot.chat.telegram.updates import Poller, Webhook
from bot.params import BotParams
from tests import chat_stage
from tests.chat_stage import PATIENCE_S, ChatStage, on_play, opened, png
from tests.desks import shared_desk
from tests.telegram_server import Address, Message, TelegramServer, Threaded, serving

__all__ = ["PATIENCE_S", "Stage", "command", "on_play", "opened", "png", "stage", "stage_params"]


class Stage(ChatStage):
    """server: the stand-in at address. app, bot: ours."""

    server: TelegramServer
    address: Address
    app: App
    bot: TelegramBot
    _running: asyncio.Task[None]
    _updates: Poller | Webhook

    @asynccontextmanager
    async def play(self) -> AsyncIterator[None]:
        """The server, our app, and the bot between them."""
        async with serving() as self.address, self.opened_app() as self.app:
            self.server = self.address.server
            telegram = self.params.telegram
            if telegram.webhook_url is not None:
                path = urlsplit(telegram.webhook_url).path
                self.server.webhook_door = f"http://{telegram.webhook_host}:{telegram.webhook_port}{path}"
            await self.enter()
            try:
                yield
            finally:
                await self.leave()

    @asynccontextmanager
    async def opened_app(self) -> AsyncIterator[App]:
        """For stages with another one."""
        params = self.params
        async with open_app(params, Endpoints(params.telegram.api_url).hosts, shared_desk(params)) as app:
            yield app

    @property
    def params(self) -> BotParams:
        """With the server's address."""
        telegram = self._params.telegram.model_copy(update={"api_url": self.address.api_url})
        return self._params.model_copy(update={"telegram": telegram})

    async def enter(self) -> None:
        """Start a client, as after a restart: it remembers nothing."""
        polls, pushed = len(self.server.entries("poll")), self.server.updates.webhook
        app = self.app
        self.bot = TelegramBot(
            App(self.params, app.desk, app.records, app.http, app.metrics, app.files), self.server.token
        )
        telegram = self.params.telegram
        self._updates = Webhook(self.bot, telegram) if telegram.webhook_url is not None else Poller(self.bot)
        self._running = asyncio.create_task(self._take_in(self._updates))

        def is_there() -> bool:
            if self._running.done():
                self._running.result()
            return len(self.server.entries("poll")) > polls or self.server.updates.webhook is not pushed

        await self.server.until(is_there, "no client came", PATIENCE_S)

    async def leave(self) -> None:
        """End the client as SIGTERM does."""
        self.bot.is_stopping = True
        self._running.cancel()
        await asyncio.wait({self._running})
        await self._updates.acknowledge()
        await self.bot.finish(PATIENCE_S / 3)
        await self.bot.app.saved()
        await self.bot.close()

    async def answer(self, to: Message, matching: Callable[[Message], Any] = bool) -> Message:
        """The bot's reply to a message."""
        return await self.server.answer(to, matching, timeout=PATIENCE_S)

    async def still_talks(self) -> Message:
        """Ask something, and get the answer: nothing that happened before has stopped the bot."""
        asked = await self.server.alice.sends_file(png())
        return await self.answer(asked, lambda message: message.media)

    async def _take_in(self, updates: Poller | Webhook) -> None:
        await self.bot.start()
        await updates.run()


def stage_params(folder: Path, allow: Sequence[str] = (), **telegram: Any) -> BotParams:
    """A small bundle, a database, and downloads of at most 1 MiB; of links from loopback only where `allow` says so."""
    worker = {"batch": 2}  # so that a few pictures make a queue
    return chat_stage.stage_params(folder, network={"allow": allow}, worker=worker, telegram=telegram)


@contextmanager
def stage(folder: Path, allow: Sequence[str] = (), **telegram: Any) -> Iterator[Stage]:
    """A stage with everything on it. telegram: of the params; with a webhook_url, also a free webhook_port."""
    with on_play(Stage(stage_params(folder, allow, **telegram))) as played:
        yield played


@contextmanager
def command(
    folder: Path, served: Threaded | None, token: str | None, **options: str
) -> Iterator[subprocess.Popen[str]]:
    """The command at the stand-in of `in_thread`, as in `chat_stage`."""
    if served is not None:
        options = {"telegram.api_url": served.address.api_url, **options}
    with chat_stage.command("telegram", folder, token, **options) as process:
        yield process
