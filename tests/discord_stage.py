"""The bot on the stand-in for Discord, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bot.chat.app import App, open_app
from bot.chat.discord.client import DiscordBot
from bot.params import BotParams
from tests import chat_stage
from tests.chat_stage import PATIENCE_S, ChatStage, on_play, opened, png
from tests.desks import shared_desk
from tests.discord_server import DiscordServer, Message, Tls, plain, tls

__all__ = ["PATIENCE_S", "Stage", "on_play", "on_stage", "opened", "png", "stage_params"]


class Stage(ChatStage):
    """server: the stand-in. app, bot: ours."""

    server: DiscordServer
    app: App
    bot: DiscordBot
    address: Tls
    _running: asyncio.Task[None]

    @asynccontextmanager
    async def play(self) -> AsyncIterator[None]:
        """REST and gateway over TLS under Discord's names; files over plain HTTP, as our own client has no such CA."""
        app = open_app(self._params, desk=shared_desk(self._params))
        async with tls() as self.address, plain(self.address.server), app as self.app:
            self.server = self.address.server
            self.server.gateway.url = "wss://gateway.discord.gg"
            await self.enter()
            try:
                yield
            finally:
                await self.leave()

    async def enter(self) -> None:
        """Start a client, as after a restart: it remembers nothing."""
        ready = len(self.server.entries("ready"))
        self.bot = DiscordBot(App(self._params, self.app.desk, self.app.records, self.app.http, self.app.metrics),
                              self.address.connector())  # fmt: skip
        self.bot.identify_every_s = 0.0
        await self.bot.__aenter__()
        self._running = asyncio.create_task(self.bot.start(self.server.token))
        await self.server.until(lambda: len(self.server.entries("ready")) > ready, "no client came", PATIENCE_S)
        await asyncio.wait_for(self.bot.wait_until_ready(), PATIENCE_S)

    async def leave(self) -> None:
        """End the client as SIGTERM does."""
        await self.bot.finish(PATIENCE_S / 3)
        await self.bot.app.saved()
        await self.bot.close()
        await asyncio.wait([self._running])
        self._running.exception()

    async def answer(self, to: Message, matching: Callable[[Message], Any] = bool) -> Message:
        """The bot's reply to a message."""
        return await self.server.answer(to, matching, timeout=PATIENCE_S)

    async def still_talks(self) -> Message:
        """Ask something, and get the answer: nothing that happened before has stopped the bot."""
        asked = await self.server.alice.say(
            self.server.guild["general"], "real?", files=[("photo.png", png())], mention=True
        )
        return await self.answer(asked)


def stage_params(folder: Path, **discord: Any) -> BotParams:
    """A small bundle, a database and loopback downloads of at most 1 MiB."""
    return chat_stage.stage_params(folder, network={"allow": ["127.0.0.1"]}, discord=discord)


@contextmanager
def on_stage(params: BotParams) -> Iterator[Stage]:
    """A stage with everything on it."""
    with on_play(Stage(params)) as stage:
        yield stage
