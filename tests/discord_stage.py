"""The bot on the stand-in for Discord, in this process: started once for a file of tests, since starts cost seconds."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from bot.chat.app import App, open_app
from bot.chat.discord.client import DiscordBot
from bot.params import BotParams
from tests.bot_bundles import photo, write_small_bundle
from tests.discord_server import DiscordServer, Message, Tls, plain, tls

T = TypeVar("T")
AnyStage = TypeVar("AnyStage", bound="Stage")

PATIENCE_S = 60.0  # a machine may be busy; nothing here takes long when it is not


def png(seed: int = 0, width: int = 96, height: int = 80) -> bytes:
    """A small picture, another one for each seed."""
    out = io.BytesIO()
    photo(width, height, seed).save(out, "PNG")
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    """A picture that was sent, decoded; it must carry nothing but pixels."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    assert not picture.getexif()
    assert not {"exif", "icc_profile", "xmp", "comment", "parameters"} & set(picture.info), picture.info
    return picture


class Stage:
    """server: the stand-in. app, bot: ours. Coroutines run on the stage's own event loop, by `run`."""

    server: DiscordServer
    app: App
    bot: DiscordBot
    address: Tls

    def __init__(self, params: BotParams) -> None:
        self._params = params
        self._loop = asyncio.new_event_loop()
        self._running: asyncio.Task[None] | None = None

    def run(self, work: Awaitable[T], timeout_s: float = 2 * PATIENCE_S) -> T:
        """Do something on the stage's loop and wait for it."""

        async def wait() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(timeout_s)

    @asynccontextmanager
    async def play(self) -> AsyncIterator[None]:
        """REST and gateway over TLS under Discord's names; files over plain HTTP, as our own client has no such CA."""
        async with tls() as self.address, plain(self.address.server), open_app(self._params) as self.app:
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
        """End the client."""
        await self.bot.finish(PATIENCE_S / 3)
        await self.bot.app.saved()
        await self.bot.close()
        assert self._running is not None
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

    def loop_in_thread(self) -> threading.Thread:
        """Run the stage's loop until `stop_loop`."""
        thread = threading.Thread(target=self._loop.run_forever, name="stage", daemon=True)
        thread.start()
        return thread

    def stop_loop(self) -> None:
        """End the thread of the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)


def stage_params(folder: Path, **discord: Any) -> BotParams:
    """A small bundle, a database and loopback downloads of at most 1 MiB."""
    return BotParams.model_validate({
        "bundle": write_small_bundle(folder / "bundle"),
        "database": f"sqlite:///{folder}/bot.db",
        "network": {"allow": ["127.0.0.1"], "max_mb": 1.0},
        "monitor": {"port": None},
        "discord": discord,
    })  # fmt: skip


@contextmanager
def on_stage(params: BotParams) -> Iterator[Stage]:
    """A stage with everything on it."""
    with on_play(Stage(params)) as stage:
        yield stage


@contextmanager
def on_play(stage: AnyStage) -> Iterator[AnyStage]:
    """The stage's play goes on in a thread of its own meanwhile."""
    thread = stage.loop_in_thread()
    play = stage.play()
    try:
        stage.run(play.__aenter__())
        yield stage
    finally:
        stage.run(play.__aexit__(None, None, None))
        stage.stop_loop()
        thread.join(PATIENCE_S)
