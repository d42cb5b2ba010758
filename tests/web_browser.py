"""A real browser on a whole server of `bot web`, for the tests of its pages, and a network between them that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Page

from tests.browser import Opened, browser_page

_PATIENCE_S = 150.0


def on_page(url: str, test: Callable[[Opened], Awaitable[None]], **how: Any) -> None:
    """Run `test` on the page at `url`. how: of `browser_page`."""

    async def run() -> None:
        async with asyncio.timeout(_PATIENCE_S), browser_page(**how) as opened:
            await opened.page.goto(url)
            await test(opened)

    asyncio.run(run())


async def faults_in_both_schemes(opened: Opened) -> list[str]:
    """What axe-core holds against the page as it is shown now, in light and in dark."""
    found = []
    for scheme in ("light", "dark"):
        await opened.page.emulate_media(color_scheme=scheme)
        found += [f"{scheme}: {fault}" for fault in await opened.faults()]
    return found


async def wide(page: Page) -> int:
    """Pixels that the page is wider than its window; 0 is good."""
    found: int = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


async def tabbed(page: Page, most: int = 60) -> list[str]:
    """What the Tab key reaches after the link at the page's start, in order: ids, else texts. Each shows its focus."""
    reached: list[str] = []
    await page.locator(".skip").focus()
    for _ in range(most):
        await page.keyboard.press("Tab")
        name, outline = await page.evaluate(
            "[document.activeElement.id || document.activeElement.textContent.trim(),"
            " parseFloat(getComputedStyle(document.activeElement).outlineWidth)]"
        )
        if await page.evaluate("document.activeElement === document.body || document.activeElement.matches('.skip')"):
            break
        assert outline >= 2, f"{name} does not show that it has the focus"
        reached.append(name)
    return reached


class Wire:
    """A way to a server through a port of its own, where connections are cut. most: bytes of a connection that are let
    through to the server, after which it is cut; None for all. is_down: new ones are cut at once.
    """

    url: str

    def __init__(self) -> None:
        self.most: int | None = None
        self.is_down = False

    async def carry(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        if self.is_down:
            writer.transport.abort()
            return
        name, _, port = host.partition(":")
        from_server, to_server = await asyncio.open_connection(name, int(port))
        passed = 0
        back = asyncio.create_task(_pass_on(from_server, writer))
        while piece := await reader.read(16 * 1024):
            passed += len(piece)
            if self.most is not None and passed > self.most:
                writer.transport.abort()
                break
            to_server.write(piece)
            await to_server.drain()
        to_server.close()
        await asyncio.wait({back})


@asynccontextmanager
async def wired(url: str) -> AsyncIterator[Wire]:
    """A wire to the server at `url`."""
    wire = Wire()
    host = urlsplit(url).netloc
    server = await asyncio.start_server(lambda reader, writer: wire.carry(host, reader, writer), "127.0.0.1", 0)
    async with server:
        wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield wire


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(64 * 1024):
            writer.write(piece)
            await writer.drain()
        writer.close()
    except OSError:
        pass
