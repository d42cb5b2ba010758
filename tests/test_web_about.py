"""The *About* page: the card of the model that answers, told honestly, and readable by everybody."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import expect

from bot.chat.about import about_blocks
from bot.quiz.cues import cues
from bot.web.pages.about_card import band, measure_rows, missing_lines, origin_rows, source_rows
from bot.words import ENGLISH, words
from model_defs.checkpoint import Card, DatasetRef, Origin, Thresholds
from model_defs.preprocess import Preprocess
from model_defs.spec import parse_model_spec
from tests.bot_bundles import SMALL_CNN
from tests.browser import Opened, chromium
from tests.web_browser import faults_in_both_schemes, on_page, tabbed, wide
from tests.web_stage import Site, served, web_params

METRICS: dict[str, dict[str, Any]] = {
    "test": {
        "images": 1200, "auc": 0.9512, "auc_ci95": [0.93, 0.97], "accuracy": 0.9, "fpr": 0.05, "ece": 0.03,
        "called_fake": {
            "real": {"images": 600, "share": 0.05}, "sd3": {"images": 100, "share": 0.4},
            "stylegan2": {"images": 500, "share": 0.99},
        },
    },
    "val": {"images": 300, "auc": 0.97},
}  # fmt: skip


CARD = Card(
    id="test-0",
    created_at="2026-01-02T03:04:05+00:00",
    model=parse_model_spec(SMALL_CNN, "test"),
    preprocess=Preprocess(image_size=32),
    dataset=DatasetRef(url="file://./data/test", version=1, hash="0" * 64),
    origin=Origin(sweep="test", trial="trial-1", epoch=1, params={}),
)  # which says nothing but what it must


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(web_params(tmp_path_factory.mktemp("web"))) as site:
        yield site


def test_figures_come_with_their_intervals_where_the_card_has_them() -> None:
    rows = {row.name: row for row in measure_rows(CARD.model_copy(update={"metrics": METRICS}), ENGLISH)}
    assert rows["AUC"].values == (("0.951", "0.930 to 0.970"), ("0.970", ""))
    drawn = rows["AUC"].drawn
    assert drawn and (drawn.low, drawn.at, drawn.high) == (93.0, 95.12, 97.0)
    assert rows["False alarms"].values == (("5.0%", ""), ("", ""))
    assert rows["False alarms"].better == "less is better"
    assert "Generated found" not in rows


def test_generators_come_worst_first_and_real_photos_last() -> None:
    rows = source_rows(CARD.model_copy(update={"metrics": METRICS}), ENGLISH)
    assert rows == [("sd3", "100", "40%"), ("stylegan2", "500", "99%"), ("Real photos", "600", "5%")]


def test_what_the_card_lacks_is_said() -> None:
    bare = " ".join(missing_lines(CARD, ENGLISH))
    assert "How good it is" in bare and "Its limits" in bare and "licence" in bare
    assert measure_rows(CARD, ENGLISH) == [] and source_rows(CARD, ENGLISH) == []
    full = CARD.model_copy(update={"metrics": METRICS, "limits": ("Weak on sd3.",)})
    assert "How good it is" not in " ".join(missing_lines(full, ENGLISH))
    assert "Its limits" not in " ".join(missing_lines(full, ENGLISH))
    without = {"test": {"images": 3, "auc": 0.9}}
    assert "there are no intervals" in " ".join(missing_lines(CARD.model_copy(update={"metrics": without}), ENGLISH))


def test_no_place_of_storage_is_named() -> None:
    told = str(origin_rows(CARD, ENGLISH))
    assert CARD.dataset.hash in told and CARD.dataset.url not in told


@given(
    st.dictionaries(
        st.sampled_from(["auc", "auc_ci95", "accuracy", "fpr", "called_fake", "images"]),
        st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.floats() | st.none(), max_size=3)
        | st.dictionaries(st.text(), st.floats() | st.dictionaries(st.sampled_from(["share", "images"]), st.floats())),
    )
)  # fmt: skip
def test_any_metrics_are_shown_without_harm(metrics: dict[str, Any]) -> None:
    """A card may come from another program."""
    card = CARD.model_copy(update={"metrics": {"test": metrics, "val": {}}})
    for row in measure_rows(card, ENGLISH):
        assert row.drawn is None or 0 <= row.drawn.low <= row.drawn.high <= 100
    source_rows(card, words("de"))
    missing_lines(card, ENGLISH)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted))
def test_band_is_drawn_where_the_thresholds_are(three: list[float]) -> None:
    low, decision, high = three
    thresholds = Thresholds(unsure_low=low, decision=decision, unsure_high=high)
    drawn = band(CARD.model_copy(update={"thresholds": thresholds}), ENGLISH)
    assert 0 <= drawn.low <= drawn.decision <= drawn.high <= 100
    assert "unsure" in drawn.alt and drawn.alt.count(";") == 2


def test_page_tells_of_the_model_and_of_what_is_kept(site: Site) -> None:
    answer = site.get("about", Accept_Language="en")
    text = html.unescape(re.sub(r"<[^>]+>", " ", answer.body.decode()))
    shown = site.app.desk.card
    assert answer.status == 200 and shown.id in text and shown.weights_sha256 in text
    for block in about_blocks(shown, ENGLISH):
        for line in block.text.split("\n"):
            assert line.removeprefix("• ") in text
    assert "The card has no figures." in text
    assert "for 30 days" in text and "“Delete everything” below the quiz" in text
    assert all(cue.title in text and cue.source in text for cue in cues().values())
    assert 'style="' not in answer.body.decode()
    assert len(answer.body) < 60_000


def test_page_speaks_german(site: Site) -> None:
    answer = site.send("GET", "about?language=de", None, {})
    assert 'lang="de"' in answer.body.decode() and answer.headers["Content-Language"] == "de"


def test_page_is_accessible_at_a_desk_and_on_a_phone(site: Site) -> None:
    chromium()

    async def desk(opened: Opened) -> None:
        page = opened.page
        assert await faults_in_both_schemes(opened) == []
        await expect(page.locator("header [aria-current=page]")).to_have_text("About")
        reached = await tabbed(page, 80)
        assert reached[:6] == ["Check", "Quiz", "Experiments", "About", "The model", "The figures"]
        cue = page.locator("details").first
        await cue.locator("summary").press("Enter")
        await expect(cue).to_have_attribute("open", "")
        assert opened.errors == []

    async def phone(opened: Opened) -> None:
        page = opened.page
        assert await faults_in_both_schemes(opened) == []
        assert await wide(page) == 0
        await page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert await wide(page) == 0
        await page.locator("a[href='#heatmaps']").tap()
        await expect(page.locator("#heatmaps")).to_be_in_viewport()

    on_page(site.url + "about", desk)
    on_page(site.url + "about", phone, width=360, height=800, is_dark=True)
