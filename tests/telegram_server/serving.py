"""Serving on loopback: in the test's own event loop, or in a thread for tests without one; taken down and up again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

from aiohttp import web

from tests import stand_in
from tests.stand_in import Loop
from tests.telegram_server.server import TelegramServer


class Address:
    """api_url: what the bot's params take. Methods are at api_url/bot<token>/, files at api_url/file/bot<token>/."""

    def __init__(self, server: TelegramServer, port: int) -> None:
        self.server = server
        self.port = port
        self._runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.2)
        self._site: web.TCPSite | None = None

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Listen, on the same port as before."""
        if not self._runner.addresses:
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Cut every connection, and take no new one."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        handlers = self._runner.server.connections if self._runner.server else []
        for handler in list(handlers):
            if handler.transport is not None:
                handler.transport.abort()

    async def close(self) -> None:
        await self.down()
        self.server.updates.close()
        await self._runner.cleanup()


@asynccontextmanager
async def serving(server: TelegramServer | None = None, port: int = 0) -> AsyncIterator[Address]:
    """Serve on 127.0.0.1, in this event loop."""
    address = Address(server or TelegramServer(), port)
    await address.up()
    try:
        yield address
    finally:
        await address.close()


Threaded: TypeAlias = stand_in.Threaded[Address, TelegramServer]


@contextmanager
def in_thread(make: Callable[[], TelegramServer] = TelegramServer) -> Iterator[Threaded]:
    """For tests without an event loop: the server answers while the test waits for a subprocess."""
    with Loop().in_thread() as loop, loop.entered(serving(make())) as address:
        yield Threaded(address, address.server, loop)
