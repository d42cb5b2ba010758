"""A real browser for tests: Chromium without a window, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_MS = 30_000
_QUIET = (
    "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: the page is not tried in a browser (apt-get install chromium)")
    return found


@dataclass
class Opened:
    """A page, Playwright's. errors: what its console said that no good page says, refusals by its policy among it."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def hear(self, said: ConsoleMessage) -> None:
        """Keep what the console says, if it is an error."""
        if said.type == "error":
            self.errors.append(said.text)

    async def faults(self) -> list[str]:
        """What axe-core holds against the page as it is shown now, of the rules of WCAG 2.2 A and AA and best
        practices: impact, rule, and the first elements."""
        await self.page.evaluate(_AXE.read_text())  # through the debugger, which the page's policy does not bind
        found: dict[str, Any] = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{rule['impact']}: {rule['id']}: {[node['html'][:120] for node in rule['nodes'][:3]]}"
            for rule in found["violations"]
        ]


@asynccontextmanager
async def browser_page(
    language: str = "en", width: int = 1280, height: int = 900, is_dark: bool = False
) -> AsyncIterator[Opened]:
    """An empty page of a browser of its own, which ends with it. width, height: CSS pixels; below 600 a phone."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(_QUIET))
        context = await browser.new_context(
            locale=language, viewport={"width": width, "height": height}, is_mobile=width < 600, has_touch=width < 600,
            color_scheme="dark" if is_dark else "light",
        )  # fmt: skip
        context.set_default_timeout(_PATIENCE_MS)
        opened = Opened(await context.new_page())
        opened.page.on("console", opened.hear)
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        try:
            yield opened
        finally:
            await browser.close()
