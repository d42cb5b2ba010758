"""The *Check* page in a real browser, with a real server and worker behind it."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page, Route, expect

from bot.detector import Detector
from bot.web.bodies import CheckBody
from infra.images import decode_image
from tests.bot_bundles import photo
from tests.browser import Opened, browser_page, chromium
from tests.web_browser import faults_in_both_schemes, on_page, tabbed, wide, wired
from tests.web_stage import Site, png, served, web_params

MAX_MB = 6.0
TITLES = re.compile(r"Probably generated|Probably a real photo|I can't tell \(unsure\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    chromium()
    with served(web_params(tmp_path_factory.mktemp("web"), check={"max_mb": MAX_MB})) as site:
        yield site


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    photo().save(path)
    return path


def test_verdict_is_read_at_a_desk(site: Site, picture: Path, tmp_path: Path) -> None:
    """With the keyboard alone, from an empty page to the saved panel."""

    async def test(opened: Opened) -> None:
        page = opened.page
        assert await faults_in_both_schemes(opened) == []
        answer = await choose(page, picture)
        await expect(page.locator("#title")).to_have_text(TITLES)
        await expect(page.locator("#title")).to_be_focused()
        await expect(page.locator("#bar")).to_have_attribute("aria-label", answer["words"]["bar"])
        assert await wide(page) == 0
        assert await faults_in_both_schemes(opened) == []
        await qualities_are_shown(page, answer)
        await layers_are_read(page, answer)
        assert await tabbed(page) == [
            "Check", "Quiz", "Experiments", "About", "choose", "previous", "layer", "next", "beside",
            "How to read a heatmap", "another", "save", "English", "Deutsch", "For programs: the HTTP API",
        ]  # fmt: skip
        await panel_is_saved(page, answer, tmp_path)
        assert opened.errors == []

    on_page(site.url, test)


def test_verdict_is_read_on_a_phone(site: Site, picture: Path) -> None:
    """By touch, with twice the text, with few colours, and on paper."""

    async def test(opened: Opened) -> None:
        page = opened.page
        await page.emulate_media(reduced_motion="reduce", forced_colors="active")
        await choose(page, picture)
        assert await page.locator("#mark").evaluate("mark => getComputedStyle(mark).transitionDuration") == "0s"
        assert await page.locator("#bar").evaluate("bar => getComputedStyle(bar).forcedColorAdjust") == "none"
        await page.emulate_media(forced_colors="none")
        assert await faults_in_both_schemes(opened) == []
        await expect(page.locator("#photograph")).to_be_visible()
        await expect(page.locator("#camera")).to_have_attribute("capture", "environment")
        await page.locator("#share i").first.tap()
        await expect(page.locator("#layer-title")).to_contain_text("Layer 1 of 2")
        await page.locator("#next").tap()
        await expect(page.locator("#layer-title")).to_contain_text("Layer 2 of 2")
        for name in ("#next", "#beside", "#another"):
            box = await page.locator(name).bounding_box()
            assert box and box["width"] >= 44 and box["height"] >= 44
        await page.locator("#beside").tap()
        assert await wide(page) == 0
        await page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert await wide(page) == 0
        await page.emulate_media(media="print")
        await expect(page.locator("#title")).to_be_visible()
        await expect(page.locator("#choose")).to_be_hidden()

    on_page(site.url, test, width=360, height=800, is_dark=True)


async def qualities_are_shown(page: Page, answer: dict[str, Any]) -> None:
    tiles = page.locator("#strip li")
    await expect(tiles).to_have_count(5)
    for index, variant in enumerate(answer["stability"]["variants"], start=1):
        tile = tiles.nth(index)
        await expect(tile).to_contain_text(variant["title"])
        await expect(tile).to_contain_text(variant["label"])
        await expect(tile.locator(".percent")).to_have_text(variant["percent"])
        assert await tile.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
        at = await tile.locator(".mark").evaluate("mark => parseFloat(mark.style.left)")
        assert at == pytest.approx(100 * variant["p_fake"], abs=0.01)
    await expect(page.locator("#strip-words")).to_have_text(answer["words"]["thumbnails"])


async def layers_are_read(page: Page, answer: dict[str, Any]) -> None:
    """Every layer, the heat faded, side by side."""
    press = page.keyboard.press
    first, second = answer["layers"]
    await page.locator("#layer").focus()
    await press("Home")
    await expect(page.locator("#layer-title")).to_have_text(f"Layer 1 of 2: {first['short']}")
    await expect(page.locator("#layer-words")).to_have_text(first["caption"])
    await expect(page.locator("#heat")).to_have_attribute("alt", re.compile(re.escape(first["caption"])))
    await press("ArrowRight")
    await expect(page.locator("#layer-title")).to_have_text(f"Layer 2 of 2: {second['short']}")
    await expect(page.locator("#layer-title")).to_have_attribute("title", second["name"])
    await expect(page.locator("#heat")).to_have_attribute("src", second["heatmap"])
    await press("Tab")  # to "next", which stays where it is at the last layer
    await press("Enter")
    await expect(page.locator("#next")).to_be_focused()
    await page.locator("#opacity").focus()
    await press("Home")
    await expect(page.locator("#heat-figure")).to_have_css("opacity", "0")
    await press("Tab")
    await press("Space")
    await expect(page.locator("#beside")).to_have_attribute("aria-pressed", "true")
    await expect(page.locator("#heat-figure")).to_have_css("opacity", "1")
    left, right = await page.locator("#seen").bounding_box(), await page.locator("#heat").bounding_box()
    assert left and right and left["x"] + left["width"] <= right["x"]


async def panel_is_saved(page: Page, answer: dict[str, Any], folder: Path) -> None:
    async with page.expect_download() as saving:
        await page.keyboard.press("Shift+Tab")  # back from the foot of the page is the way to it
        await page.locator("#save").press("Enter")
    saved = await saving.value
    assert saved.suggested_filename == f"faces-{answer['sha256'][:8]}.png"
    await saved.save_as(folder / "panel.png")
    with Image.open(folder / "panel.png") as panel:
        assert (panel.format, panel.width) == ("PNG", 1040)
    await expect(page.locator("#save-words")).to_have_text("Saved.")


def test_api_gives_words_and_pictures_where_they_are_asked_for(site: Site) -> None:
    plain = CheckBody.model_validate(site.post("image/png", png()).json)
    assert plain.layers == [] and plain.seen is plain.panel is plain.words.thumbnails is None
    assert [variant.thumbnail for variant in plain.stability.variants] == [None] * 4
    panel = CheckBody.model_validate(site.post("image/png", png(), "?panel=true").json)
    assert panel.layers == [] and panel.seen is None and panel.panel is not None
    assert panel.panel.startswith("data:image/png;base64,")
    both = CheckBody.model_validate(
        site.post("image/png", png(), "?panel=true&heatmaps=png", Accept_Language="de").json
    )
    assert both.panel != panel.panel and len(both.layers) == 2
    given = Detector(site.app.params.bundle).prepare(decode_image(png())).inputs[1:]
    assert [pixels_of(each.thumbnail) for each in both.stability.variants] == given.tolist()
    for layer in both.layers:
        assert layer.name.endswith(layer.short) and (layer.live or not layer.dead)
        assert not layer.live or layer.caption.startswith(layer.percent)


def pixels_of(url: str | None) -> Any:
    assert url is not None
    return decode_image(base64.b64decode(url.removeprefix("data:image/png;base64,"))).rgb.tolist()


# What else is given


@pytest.mark.slow
def test_a_photo_of_40_megapixels_is_looked_at(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    photo(73, 55).resize((7300, 5500)).save(path, quality=60)
    assert 0.5e6 < path.stat().st_size < MAX_MB * 2**20

    async def test(opened: Opened) -> None:
        answer = await choose(opened.page, path)
        assert (answer["width"], answer["height"]) == (7300, 5500)
        await expect(opened.page.locator("#title")).to_have_text(TITLES)

    on_page(site.url, test)


def test_what_is_no_photo_is_refused_kindly(site: Site, tmp_path: Path) -> None:
    """Dropped by the browser itself, as by a hand, and pasted."""
    first, second = photo(seed=1), photo(seed=2)
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    first.save(tmp_path / "one.png")
    second.save(tmp_path / "two.png")
    (tmp_path / "photo.heic").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64))
    (tmp_path / "text.jpg").write_text("this is no picture")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "large.jpg").write_bytes(bytes(int(MAX_MB * 2**20) + 1))
    (tmp_path / "folder").mkdir()
    refusals = {
        "folder": "That is a folder. Open it, and drop one picture from it.",
        "moving.gif": "several frames",
        "photo.heic": "I can't open this kind of picture.*export it as JPEG",
        "text.jpg": "This is no picture. Send a JPEG, PNG, WebP or AVIF.",
        "empty.jpg": "This file is empty.",
        "large.jpg": "I take up to 6 MiB.",
    }

    async def test(opened: Opened) -> None:
        page, said = opened.page, opened.page.locator("#problem-words")
        for name, text in refusals.items():
            await drop(page, files=[tmp_path / name])
            await expect(said).to_have_text(re.compile(text))
            await expect(page.locator("#verdict")).to_be_hidden()
            await expect(page.locator("#progress")).to_be_hidden()
            await expect(page.locator("#retry")).to_be_hidden()
        assert await faults_in_both_schemes(opened) == []
        await drop(page, files=[tmp_path / "one.png", tmp_path / "two.png"])
        await expect(page.locator("#verdict")).to_be_visible()
        await expect(page.locator("#status")).to_have_text("I take one picture at a time, so I looked at the first.")
        await expect(said).to_have_text("")
        link, nothing = re.compile("That is a link to a picture"), re.compile("There was no picture in that")
        await drop(page, {"text/uri-list": "https://example.com/face.jpg"})
        await expect(said).to_have_text(link)
        await paste(page, {"text/plain": "no picture"})
        await expect(said).to_have_text(nothing)
        await paste(page, {"text/html": '<p><img src="https://example.com/face.jpg"></p>', "text/plain": ""})
        await expect(said).to_have_text(link)
        held = base64.b64encode(png()).decode()
        await paste(page, {"text/html": f'<img src="data:image/png;base64,{held}">'})
        await expect(said).to_have_text("")
        await expect(page.locator("#verdict")).to_be_visible()

    on_page(site.url, test)


# When it goes wrong


def test_a_network_that_fails_is_told_and_tried_again(site: Site, tmp_path: Path) -> None:
    grain = np.random.default_rng(0).integers(0, 256, (1200, 1000, 3), dtype=np.uint8)
    Image.fromarray(grain).save(tmp_path / "grain.png")

    async def run() -> None:
        async with wired(site.url) as wire, browser_page() as opened:
            page, status = opened.page, opened.page.locator("#status")
            await page.goto(wire.url)
            wire.most = 1_000_000  # of 3.6 MB: it is cut while it is sent
            await page.set_input_files("#file", tmp_path / "grain.png")
            await expect(status).to_have_text(re.compile("could not reach the server.*again in 5 s"))
            await expect(page.locator("#count")).to_have_text(re.compile(r"^\d s$"))
            wire.is_down = True  # as while a server is started anew
            await page.locator("#now").click()
            await expect(status).to_have_text(re.compile("could not reach the server.*again in 5 s"))
            assert await opened.faults() == []
            wire.most, wire.is_down = None, False
            await expect(page.locator("#verdict")).to_be_visible(timeout=30_000)
            await expect(page.locator("#problem-words")).to_have_text("")

    asyncio.run(run())


def test_a_busy_server_is_asked_again_when_it_said_and_asking_can_be_stopped(site: Site, picture: Path) -> None:
    refusals = iter([(429, "1"), (503, "1"), (429, "3600"), (429, "60")])

    async def busy(route: Route) -> None:
        refusal = next(refusals, None)
        if refusal is None:
            await route.continue_()
            return
        body = {"type": "/docs#busy", "title": "Busy", "status": refusal[0], "detail": "Too much waits."}
        await route.fulfill(status=refusal[0], headers={"Retry-After": refusal[1]}, json=body)

    async def test(opened: Opened) -> None:
        page = opened.page
        await page.route("**/api/v1/check*", busy)
        await page.set_input_files("#file", picture)
        said = page.locator("#problem-words")  # twice waited for; an hour is too long, and is said
        await expect(said).to_have_text(re.compile(r"^Too much waits\. It may work again at \d+:\d\d( [AP]M)?\.$"))
        await page.locator("#again").click()
        await expect(page.locator("#status")).to_have_text("Too much waits. I try again in 60 s.")
        await page.locator("#stop").click()
        await expect(page.locator("#status")).to_have_text("Stopped.")
        await expect(page.locator("#again")).to_be_focused()
        await page.locator("#again").click()
        await expect(page.locator("#verdict")).to_be_visible()

    on_page(site.url, test)


# Helpers


async def choose(page: Page, path: Path) -> dict[str, Any]:
    """Choose a file, and wait for its verdict to be shown; the API's answer."""
    async with page.expect_response("**/api/v1/check*") as answering:
        await page.set_input_files("#file", path)
    await expect(page.locator("#verdict")).to_be_visible()
    for name in ("#seen", "#heat"):
        await page.locator(name).evaluate("image => image.decode()")
    answer: dict[str, Any] = await (await answering.value).json()
    return answer


async def drop(page: Page, texts: dict[str, str] | None = None, files: list[Path] | None = None) -> None:
    devtools = await page.context.new_cdp_session(page)
    data = {
        "items": [{"mimeType": kind, "data": text} for kind, text in (texts or {}).items()],
        "files": [str(path) for path in files or ()],
        "dragOperationsMask": 1,
    }
    for kind in ("dragEnter", "dragOver", "drop"):
        await devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 250, "data": data})


async def paste(page: Page, texts: dict[str, str]) -> None:
    await page.evaluate(
        """(texts) => {
            const pasted = new DataTransfer();
            for (const [kind, text] of Object.entries(texts)) pasted.setData(kind, text);
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: pasted }));
        }""",
        texts,
    )
