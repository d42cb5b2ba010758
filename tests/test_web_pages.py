"""The pages of `bot web` as they are served: small, from here only, within their policy, in the reader's language."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from bot.web.languages import reader
from bot.web.pages import add_pages

STATIC = Path(__file__).parent.parent / "bot" / "web" / "static"
MOST_BYTES = 300_000


def scripts(first: str = "check.js") -> list[Path]:
    """A script and all that it imports."""
    found, waiting = [], [first]
    while waiting:
        path = STATIC / waiting.pop()
        if path not in found:
            found.append(path)
            waiting += re.findall(r'from "\./([\w-]+\.js)"', path.read_text())
    return found


def test_page_and_all_it_needs_come_from_here_and_are_small() -> None:
    page = opened()
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert {"static/page.css", "static/check.js", "static/icon.svg"} <= set(page.links)
    files = {link for link in page.links if "static/" in link}
    assert {f"static/{path.name}" for path in scripts()} <= files, "what a script imports is fetched together with it"
    size = len(page.html.encode())
    for name in sorted(files):
        status, headers, body = asyncio.run(fetched(f"/{name}"))
        assert status == 200, name
        assert headers["Content-Type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml"), name
        assert headers["Cache-Control"] == "no-cache", name
        size += len(body)
    assert size < MOST_BYTES / 3


def test_what_has_not_changed_is_not_sent_again() -> None:
    for path in ("/", "/static/page.css"):
        _, headers, _ = asyncio.run(fetched(path))
        status, _, body = asyncio.run(fetched(path, {"If-None-Match": headers["Etag"]}))
        assert (status, body) == (304, b"")


def test_every_page_can_be_reached_from_every_page_and_is_marked() -> None:
    page = opened()
    hrefs = [attributes.get("href") for tag, attributes in page.tags if tag == "a"]
    assert {"./", "./quiz", "./experiments", "./about", "./docs"} <= set(hrefs)
    marked = [attributes["href"] for _, attributes in page.tags if attributes.get("aria-current") == "page"]
    assert marked == ["./"]


def test_page_keeps_to_its_policy() -> None:
    """Nothing inline and nothing from elsewhere: what the policy forbids would only fail in the reader's browser."""
    page = opened()
    assert not [attributes for tag, attributes in page.tags if tag == "style" or "style" in attributes]
    assert all("src" in attributes for tag, attributes in page.tags if tag == "script")
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [link for link in page.links if ":" in link or link.startswith("/")]
    for path in (*scripts(), STATIC / "page.css", STATIC / "icon.svg"):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//\w+\.\w|eval\(|innerHTML|setAttribute\(.style", text), path.name


def test_scripts_find_their_elements_and_words() -> None:
    page = opened()
    code = "\n".join(path.read_text() for path in scripts())
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'\$\("([\w-]+)"\)', code)) <= set(ids)
    for reference in ("for", "aria-labelledby", "aria-describedby"):
        assert {attributes[reference] for _, attributes in page.tags if reference in attributes} <= set(ids)
    words = json.loads(page.tag("main")["data-words"])
    assert set(re.findall(r"\bwords\.(\w+)", code)) == set(words)


def test_scripts_decide_nothing_that_the_server_decides() -> None:
    """How numbers are rounded, and why a layer shows nothing, stands in one place."""
    code = "\n".join(path.read_text() for path in scripts())
    assert not re.search(r"0\.995|0\.0995|\.peak|\.dead|Math\.round|toFixed", code)


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


def test_a_language_that_was_chosen_goes_along_to_the_other_pages() -> None:
    for path in ("/?language=de", "/quizz?language=de"):
        hrefs = {attributes.get("href") for tag, attributes in opened(path, "en").tags if tag == "a"}
        assert {"./?language=de", "./quiz?language=de", "./experiments?language=de", "./about?language=de"} <= hrefs
    assert not [link for link in opened("/?language=tlh").links if link.endswith("tlh")]


def test_an_address_that_is_none_is_a_page_for_people_and_a_problem_for_programs() -> None:
    status, headers, body = asyncio.run(fetched("/quizz", {"Accept": "text/html,*/*;q=0.8"}))
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"There is no such page" in body and b'href="./quiz"' in body
    for path, accept in (("/quizz", "*/*"), ("/api/v1/quizz", "text/html")):
        status, headers, _ = asyncio.run(fetched(path, {"Accept": accept}))
        assert (status, headers["Content-Type"]) == (404, "application/problem+json")


def test_a_slash_too_many_leads_to_the_page() -> None:
    status, headers, _ = asyncio.run(fetched("/quiz/?language=de"))
    assert (status, headers["Location"]) == (308, "../quiz?language=de")


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


# Helpers


class Served(HTMLParser):
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
        """Without the "./" that leads to where the first page is."""
        return [
            tag[name].removeprefix("./") for _, tag in self.tags for name in ("src", "href", "action") if name in tag
        ]

    def tag(self, name: str) -> dict[str, str]:
        """The attributes of the only tag of that name."""
        (attributes,) = [attributes for tag, attributes in self.tags if tag == name]
        return attributes


def opened(path: str = "/", language: str | None = None, max_bytes: int | None = None) -> Served:
    headers = {"Accept": "text/html"} | ({"Accept-Language": language} if language is not None else {})
    status, answered, body = asyncio.run(fetched(path, headers, max_bytes))
    return Served(status, answered, body.decode())


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
            session.get(
                f"http://127.0.0.1:{at.getsockname()[1]}{path}", headers=headers, allow_redirects=False
            ) as answer,
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
