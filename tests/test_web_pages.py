"""The pages of `bot web`: what is served, and the *Check* page in a real browser with a real worker behind it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Callable, Coroutine
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot.chat.app import open_app
from bot.web.languages import reader
from bot.web.pages import add_pages
from bot.web.serve import serving
from tests.bot_bundles import photo
from tests.browser import Page, browser_page, chromium
from tests.discord_stage import stage_params

STATIC = Path(__file__).parent.parent / "bot" / "web" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
MOST_BYTES = 300_000
SHOWN = "!byId('verdict').hidden && byId('heat').complete && byId('seen').complete"


# What is served


def test_page_and_all_it_needs_come_from_here_and_are_small() -> None:
    page = opened()
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert {"static/page.css", "static/check.js", "static/icon.svg"} <= set(page.links)
    files = {*(link for link in page.links if link.startswith("static/")), *(f"static/{path.name}" for path in SCRIPTS)}
    size = len(page.html.encode())
    for name in sorted(files):
        status, headers, body = asyncio.run(fetched(f"/{name}"))
        assert status == 200, name
        assert headers["Content-Type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml"), name
        assert headers["Cache-Control"] == "no-cache", name
        size += len(body)
    assert size < MOST_BYTES


def test_page_keeps_to_its_policy() -> None:
    """Nothing inline and nothing from elsewhere: what the policy forbids would only fail in the reader's browser."""
    page = opened()
    assert not [attributes for tag, attributes in page.tags if tag == "style" or "style" in attributes]
    assert all("src" in attributes for tag, attributes in page.tags if tag == "script")
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [link for link in page.links if ":" in link or link.startswith("/")]
    for path in STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//\w+\.\w|eval\(|innerHTML|setAttribute\(.style", text), path.name


def test_scripts_find_their_elements_and_words() -> None:
    page = opened()
    code = "\n".join(path.read_text() for path in SCRIPTS)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'\$\("([\w-]+)"\)', code)) <= set(ids)
    for reference in ("for", "aria-labelledby"):
        assert {attributes[reference] for _, attributes in page.tags if reference in attributes} <= set(ids)
    words = json.loads(page.tag("main")["data-words"])
    assert set(re.findall(r"\bwords\.(\w+)", code)) - {"title", "lines", "alt", "caution"} == set(words)


def test_every_control_has_a_name() -> None:
    page = opened()
    labelled = {attributes["for"] for tag, attributes in page.tags if tag == "label" and "for" in attributes}
    for tag, attributes in page.tags:
        if tag == "input":
            inside = attributes["id"] == "layer"  # its label stands around it
            assert inside or "aria-label" in attributes or attributes["id"] in labelled, attributes
        if tag == "img":
            assert "alt" in attributes, attributes
    assert page.tag("html")["lang"] == "en"


@pytest.mark.parametrize(
    ("header", "query", "language", "title"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "", "de", "Ist dieses Foto echt?"),
        ("fr, en;q=0.8, de;q=0.7", "", "en", "Is this photo real?"),
        ("en", "?language=de", "de", "Ist dieses Foto echt?"),
        ("de", "?language=tlh", "de", "Ist dieses Foto echt?"),
        (None, "", "en", "Is this photo real?"),
    ],
)
def test_page_speaks_the_readers_language(header: str | None, query: str, language: str, title: str) -> None:
    page = opened(f"/{query}", header)
    assert page.tag("html")["lang"] == page.headers["Content-Language"] == language
    assert f"<title>{title}</title>" in page.html
    assert page.headers["Vary"] == "Accept-Language"


@given(st.text() | st.text(alphabet="den-,;q=0.19 *"))
def test_any_language_header_is_answered(header: str) -> None:
    assert reader(header).language in ("en", "de")


@pytest.mark.parametrize(
    ("header", "language"),
    [("de;q=0,en", "en"), ("en;q=0.2,de;q=0.3", "de"), ("*", "en"), ("de;q=much", "en"), ("DE_at", "en"), ("", "en")],
)
def test_preferences_are_weighed(header: str, language: str) -> None:
    assert reader(header).language == language


def test_too_large_a_picture_is_told_before_it_is_sent() -> None:
    page = opened(max_bytes=3 * 2**20)
    assert page.tag("main")["data-max-bytes"] == str(3 * 2**20)
    assert "up to 3 MiB" in json.loads(page.tag("main")["data-words"])["tooLarge"]


def test_texts_can_be_read_in_both_schemes() -> None:
    """WCAG 2.2: 4.5:1 for texts (1.4.3), 3:1 for edges of controls (1.4.11)."""
    schemes = re.findall(r":root \{(.*?)\}", (STATIC / "page.css").read_text(), re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", scheme))
        for text in ("text", "muted", "link", "real", "fake", "unsure"):
            for back in ("back", "card"):
                assert contrast(colour[text], colour[back]) >= 4.5, (text, back, colour)
        assert contrast(colour["strong-text"], colour["strong"]) >= 4.5
        assert contrast(colour["text"], colour["button"]) >= 4.5
        assert contrast(colour["text"], colour["trouble"]) >= 4.5
        assert contrast(colour["back"], colour["text"]) >= 4.5
        assert contrast(colour["line"], colour["card"]) >= 3


# In a browser


@pytest.mark.slow
def test_a_picture_gets_its_verdict_in_a_browser(tmp_path: Path) -> None:
    """Chosen, looked at with the keyboard, refused, then dropped: with the page's policy, on a phone's width."""
    picture, text = tmp_path / "photo.png", tmp_path / "text.jpg"
    photo().save(picture)
    text.write_text("this is no picture")

    async def test(page: Page, url: str) -> None:
        await page.resize(360, 800)
        await page.open(url)
        await page.run("window.byId = (id) => document.getElementById(id)")

        await page.choose("#file", picture)
        await page.until(SHOWN)
        title = await page.run("byId('title').textContent")
        assert title in ("Probably generated", "Probably a real photo", "I can't tell (unsure)")
        assert await page.run("document.activeElement.id") == "title"
        assert await page.run("byId('strip').children.length") == 5
        assert await page.run("byId('seen').naturalWidth") >= 32
        assert await page.run("byId('heat').naturalWidth") >= 32
        assert "likely to be generated" in await page.run("byId('bar').ariaLabel")
        assert await page.run("byId('band').offsetWidth") > 0
        assert await page.run("document.documentElement.scrollWidth") <= 360

        await layers_by_keyboard(page, tmp_path / "saves")

        await page.choose("#file", text)
        said = await page.until("byId('problem-words').textContent")
        assert said == "This is no picture. Send a JPEG, PNG, WebP or AVIF."
        assert await page.run("byId('verdict').hidden")
        assert await page.run("byId('retry').hidden")
        assert len(page.errors) == 1, page.errors  # the refusal, which a browser counts as one

        await page.offline(True)
        await page.choose("#file", picture)
        said = await page.until("!byId('retry').hidden && byId('problem-words').textContent")
        assert said == "I could not reach the server. Is it running? Please try again."
        await page.offline(False)
        await page.run("byId('again').click()")
        await page.until(SHOWN)

        await page.run(_PASTE_TEXT)
        assert (await page.run("byId('problem-words').textContent")).startswith("There was no picture in that.")

        await page.run(_DROP)
        await page.until(SHOWN)
        assert await page.run("byId('status').textContent") == "I take one picture at a time, so I looked at the first."
        assert await page.run("byId('problem-words').textContent") == ""

    with_page(tmp_path, test)


async def layers_by_keyboard(page: Page, saves: Path) -> None:
    """Every layer, the heat faded, side by side, saved; no mouse."""
    await page.run("byId('layer').focus()")
    await page.press("Home", 36)
    first = await page.until("byId('layer-words').textContent.startsWith('Layer 1 of 2') && byId('heat').src")
    await page.press("ArrowRight", 39)
    await page.until(f"byId('heat').src !== {json.dumps(first)}")
    assert (await page.run("byId('layer').ariaValueText")).startswith("Layer 2 of 2")

    await page.run("byId('opacity').focus()")
    await page.press("Home", 36)
    await page.until("byId('heat-figure').style.opacity === '0'")

    await page.run("byId('beside').focus()")
    await page.press("Enter", 13)
    await page.until("byId('beside').ariaPressed === 'true' && byId('heat-figure').style.opacity === '1'")
    left, right = [await page.run(f"byId('{name}').getBoundingClientRect().left") for name in ("seen", "heat")]
    assert left < right

    saves.mkdir()
    saved = await page.save("byId('download').click()", saves)
    assert saved.name.startswith("heatmap-")
    with Image.open(saved) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000 > picture.height


_PASTE_TEXT = """(() => {
    const pasted = new DataTransfer();
    pasted.setData("text/plain", "no picture");
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: pasted }));
})()"""

_DROP = """(async () => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 80;
    canvas.getContext("2d").fillRect(10, 10, 40, 40);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const dragged = new DataTransfer();
    dragged.items.add(new File([blob], "one.png", { type: "image/png" }));
    dragged.items.add(new File([blob], "two.png", { type: "image/png" }));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: dragged, cancelable: true }));
})()"""


def with_page(folder: Path, test: Callable[[Page, str], Coroutine[Any, Any, None]]) -> None:
    """Run `test` with a browser's page and the address of a whole server: pages, API, worker, records."""
    chromium()

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as at:
            async with (
                asyncio.timeout(120),
                open_app(stage_params(folder)) as app,
                serving(app, at) as url,
                browser_page() as page,
            ):
                await test(page, url)

    asyncio.run(run())


# Helpers


class Opened(HTMLParser):
    """A page as it was served. tags: (name, attributes) in order. links: every address in it."""

    def __init__(self, status: int, headers: dict[str, str], html: str) -> None:
        super().__init__()
        self.status, self.headers, self.html = status, headers, html
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    @property
    def links(self) -> list[str]:
        return [tag[name] for _, tag in self.tags for name in ("src", "href", "action") if name in tag]

    def tag(self, name: str) -> dict[str, str]:
        """The attributes of the only tag of that name."""
        (attributes,) = [attributes for tag, attributes in self.tags if tag == name]
        return attributes


def opened(path: str = "/", language: str | None = None, max_bytes: int | None = None) -> Opened:
    headers = {"Accept-Language": language} if language is not None else {}
    status, answered, body = asyncio.run(fetched(path, headers, max_bytes))
    return Opened(status, answered, body.decode())


async def fetched(
    path: str, headers: dict[str, str] | None = None, max_bytes: int | None = None
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of one GET, from a server with the pages alone."""
    app = FastAPI(openapi_url=None)
    add_pages(app, max_bytes)
    with socket.create_server(("127.0.0.1", 0)) as at:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        running = asyncio.create_task(server.serve(sockets=[at]))
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{at.getsockname()[1]}{path}", headers=headers) as answer,
        ):
            found = answer.status, dict(answer.headers), await answer.read()
        server.should_exit = True
        await running
    return found


def contrast(one: str, other: str) -> float:
    """Of two colours "#rrggbb", by WCAG 2.2."""
    darker, lighter = sorted(_luminance(colour) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
