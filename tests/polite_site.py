"""A loopback site with a real HTTP client to ask it, and a clock that tests turn: for tests of politeness."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from crawler.politeness import user_agent
from infra.http import HttpClient
from tests.http_site import Site, reply


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class PoliteSite(Site):
    """A site whose answers are put there by path, and held back while there is a `gate`."""

    def put(self, path: str, body: str | bytes = b"", *headers: str, status: int = 200) -> None:
        """Answer `path` with `body`, header lines and status from now on."""
        self.answers[path] = reply(body.encode() if isinstance(body, str) else body, *headers, status=f"{status} Said")

    def hold(self, path: str) -> tuple[asyncio.Event, asyncio.Event]:
        """Keep the answer of `path` back: (set when somebody asks, to be set to let the answer go)."""
        asked, gate, answer = asyncio.Event(), asyncio.Event(), self.answers.get(path, reply(status="404 Not Found"))

        async def talk(writer: asyncio.StreamWriter) -> None:
            asked.set()
            await gate.wait()
            assert isinstance(answer, bytes)
            writer.write(answer)
            await writer.drain()

        self.answers[path] = talk
        return asked, gate

    def times_asked(self) -> int:
        """Requests so far, of whatever path."""
        return len(self.asked)


def with_site(test: Callable[[PoliteSite, HttpClient], Awaitable[None]]) -> None:
    """Run `test` with a site of its own, and a client that may reach it."""

    async def run() -> None:
        client = HttpClient(user_agent=user_agent("me@example.com"), allow=["127.0.0.1"])
        async with PoliteSite() as site, client:
            await test(site, client)

    asyncio.run(run())
