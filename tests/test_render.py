"""Panels: everything is on them, nothing is cut off, and a dead layer shows no heat."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bot.grid import Grid
from bot.header import HEADER_HEIGHT
from bot.legend import LEGEND_HEIGHT
from bot.lettering import elide, printable, width, wrap
from bot.overlay import enlarged, greyed, heated
from bot.render import MAX_LAYERS, choose_layers, render_panel
from bot.variants import VARIANT_NAMES
from bot.verdict import LayerHeatmap, Picture, Stability, Variant, Verdict
from bot.wording import alt_text, left_out_words, percent, share_percent, short_names, stability_words
from model_defs.checkpoint import Thresholds

DAY = date(2026, 1, 2)


def spot(row: int = 0, column: int = 0, side: int = 30) -> NDArray[np.float32]:
    """A map that is hot in one of 3×3 fields."""
    heat = np.zeros((3, 3), dtype=np.float32)
    heat[row, column] = 1
    return heat.repeat(side // 3, axis=0).repeat(side // 3, axis=1)


def layer(name: str = "blocks.block1.conv", share: float = 0.5, **changes: Any) -> LayerHeatmap:
    fields: dict[str, Any] = {
        "name": name, "size": (8, 8), "channels": 4, "peak": share, "share": share, "dead": share == 0, "map": spot(),
    }  # fmt: skip
    return LayerHeatmap(**{**fields, **changes})


def verdict_of(layers: list[LayerHeatmap], preview: tuple[int, int] = (60, 80), **changes: Any) -> Verdict:
    colours = np.zeros((*preview, 3), dtype=np.uint8)
    colours[..., 0] = 200
    seen = np.zeros((30, 30, 3), dtype=np.uint8)
    seen[..., 0] = np.linspace(0, 255, 30, dtype=np.uint8)
    fields: dict[str, Any] = {
        "p_fake": 0.93, "verdict": "fake", "model": "demo-1a2b3c4d", "layers": tuple(layers), "explains": "fake",
        "stability": Stability((Variant("JPEG q50", 0.81, "fake"),), 0.81, 0.93, flips=False), "seconds": 0.1,
        "thresholds": Thresholds(), "picture": Picture(preview[1], preview[0], "jpeg", "crop", colours, seen),
    }  # fmt: skip
    return Verdict(**{**fields, **changes})


def opened(panel: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(panel))
    picture.load()
    assert (picture.format, picture.mode) == ("PNG", "RGB")
    return picture


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 8, 9, 20, 25, 60])
def test_a_panel_of_any_number_of_layers_is_a_png_that_a_chat_can_show(count: int) -> None:
    layers = [layer(f"features.{n}.conv", 1 / count) for n in range(count)]
    panel = render_panel(verdict_of(layers), "photo.jpg", DAY, all_layers=True)
    picture = opened(panel)
    assert 1000 <= picture.width <= 1600
    assert picture.height == HEADER_HEIGHT + Grid.of(layers).height + LEGEND_HEIGHT
    assert len(panel) < 8_000_000
    assert panel == render_panel(verdict_of(layers), "photo.jpg", DAY, all_layers=True)


def test_above_the_limit_the_largest_shares_are_shown_and_the_rest_counted() -> None:
    layers = [layer(f"l{n}", share=(n % 40) / 1000) for n in range(40)]
    layers += [layer(f"se{n}", share=0.9, size=(1, 1)) for n in range(3)]
    shown = choose_layers(layers, MAX_LAYERS)
    assert [each.name for each in shown] == [f"l{n}" for n in range(16, 40)]
    assert left_out_words(layers, shown) == (
        "19 of 43 layers left out: 15 with less evidence, 1 dead or near-dead, 3 without a place to show."
    )
    assert choose_layers(layers, len(layers)) == layers
    assert left_out_words(layers, layers) == ""
    few = render_panel(verdict_of(layers), "photo.jpg", DAY)
    assert opened(few).height < opened(render_panel(verdict_of(layers), "photo.jpg", DAY, all_layers=True)).height


def test_a_network_that_is_dead_all_over_is_still_shown() -> None:
    layers = [layer(f"l{n}", share=0.0) for n in range(MAX_LAYERS + 6)]
    assert len(choose_layers(layers, MAX_LAYERS)) == MAX_LAYERS


def colourful(panel: bytes) -> int:
    """Pixels below the head and above the legend that are neither grey nor the bluish greys of the text."""
    body = np.asarray(opened(panel))[HEADER_HEIGHT:-LEGEND_HEIGHT].astype(int)
    return int((np.ptp(body, axis=2) > 30).sum())


@pytest.mark.parametrize(
    "silent",
    [
        layer(share=0.0, peak=0.0),
        layer(share=0.0, peak=1e-9, dead=True),
        layer(share=0.0, peak=0.0, size=(0, 0)),
        layer(share=0.0, peak=0.2, dead=False, size=(1, 1)),
    ],
)
def test_a_layer_without_heat_is_drawn_without_colour_whatever_its_map_says(silent: LayerHeatmap) -> None:
    assert colourful(render_panel(verdict_of([layer()]), "photo.jpg", DAY)) > 5000
    assert colourful(render_panel(verdict_of([silent]), "photo.jpg", DAY)) == 0


def test_heat_is_yellow_where_it_is_hot_blue_where_it_is_cool_and_follows_the_map() -> None:
    base = np.full((240, 240, 3), 128, dtype=np.uint8)
    picture = heated(base, spot(2, 0)).astype(int)
    hot, cool = picture[200, 40], picture[40, 200]
    assert hot[0] > hot[2] + 60
    assert cool[2] > cool[0] + 10
    assert not np.ptp(greyed(base), axis=2).any()
    flat = heated(base, np.zeros((30, 30), dtype=np.float32))
    assert (flat == flat[0, 0]).all()


def test_a_small_picture_is_enlarged_to_crisp_pixels() -> None:
    board = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None]
    np.testing.assert_array_equal(enlarged(board, 240), np.repeat(board.repeat(30, 0).repeat(30, 1), 3, axis=2))


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (64, 64), (720, 540), (300, 720)])
def test_photos_of_any_shape_fit(size: tuple[int, int]) -> None:
    for label, p_fake in (("real", 0.0), ("fake", 1.0), ("unsure", 0.5)):
        opened(render_panel(verdict_of([layer()], preview=size, verdict=label, p_fake=p_fake), "photo.jpg", DAY))


@pytest.mark.parametrize(
    "name", ["", "größe-фото-写真🙂.jpg", "a" * 500, "line\nbreak\x07.jpg", "\udcff\udcfe.jpg", "صورة"]
)
def test_any_file_name_can_be_shown(name: str) -> None:
    opened(render_panel(verdict_of([layer()]), name, DAY))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80), st.integers(20, 400), st.integers(1, 4))
def test_text_never_leaves_its_room(text: str, room: int, lines: int) -> None:
    text = printable(text)
    assert width(elide(text, 17, room), 17) <= room
    wrapped = wrap(text, 17, room, lines=lines)
    assert len(wrapped) <= lines
    assert all(width(line, 17) <= room for line in wrapped)
    if width(text, 17) <= room:
        assert elide(text, 17, room) == text


def test_elision_keeps_both_ends_of_a_name() -> None:
    short = elide("features.denseblock4.denselayer16.conv2", 18, 200)
    assert short.startswith("featu")
    assert short.endswith("conv2")
    assert "…" in short


def test_names_lose_only_what_all_share() -> None:
    def names(*given: str) -> list[str]:
        return short_names([layer(name) for name in given])

    assert names("blocks.block1.conv", "blocks.block2.conv") == ["block1.conv", "block2.conv"]
    assert names("network.features.0.0", "network.features.12.0") == ["features.0.0", "features.12.0"]
    assert names("network.conv1", "network.layer1.0.conv1") == ["conv1", "layer1.0.conv1"]
    assert names("blocks.block1.conv") == ["blocks.block1.conv"]
    assert names() == []


def test_alt_text_says_what_the_panel_shows() -> None:
    layers = [layer("one", 0.6, map=spot(0, 0)), layer("two", 0.3, map=spot(0, 0)), layer("three", 0.0)]
    assert alt_text(verdict_of(layers)) == (
        "Verdict: fake, 93% likely to be generated; the verdict holds when the photo is recompressed or resized. "
        "Most evidence for fake comes from one (60%) and two (30%), strongest in the upper left."
    )
    centre = verdict_of([layer("one", 1.0, map=spot(1, 1))], verdict="unsure", p_fake=0.45, explains="real")
    assert "Most evidence for real comes from one (100%), strongest in the centre." in alt_text(centre)
    spread = verdict_of([layer("one", 1.0, map=np.ones((30, 30), dtype=np.float32))])
    assert alt_text(spread).endswith("spread all over the picture.")
    assert alt_text(verdict_of([layer(share=0.0)])).endswith("No layer shows evidence for fake.")
    deep = [layer(f"network.features.{n}.conv", 0.5) for n in (1, 12)]
    assert "comes from features.1.conv (50%) and features.12.conv (50%)" in alt_text(verdict_of(deep))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [1, 2])
def test_the_smallest_maps_have_words_too(side: int) -> None:
    corner = np.zeros((side, side), dtype=np.float32)
    corner[0, 0] = 1
    said = alt_text(verdict_of([layer("one", 1.0, map=corner)]))
    assert said.endswith("spread all over the picture." if side == 1 else "strongest in the upper left.")


def test_numbers_claim_no_more_than_they_know() -> None:
    assert [percent(p) for p in (0.0, 0.004, 0.5, 0.994, 0.999, 1.0)] == [
        "under 1%", "under 1%", "50%", "99%", "over 99%", "over 99%",
    ]  # fmt: skip
    assert [share_percent(s) for s in (0.0, 0.0004, 0.012, 0.5, 1.0)] == ["0%", "<0.1%", "1.2%", "50%", "100%"]


def test_the_words_on_stability_name_what_changes_the_verdict() -> None:
    assert stability_words(verdict_of([])) == "holds under recompression and resize: yes (p 0.81–0.93)"
    variants = (
        Variant("JPEG q90", 0.9, "fake"),
        Variant("JPEG q50", 0.45, "unsure"),
        Variant("half size", 0.1, "real"),
    )
    flipping = verdict_of([], stability=Stability(variants, 0.1, 0.93, flips=True))
    assert stability_words(flipping) == (
        "holds under recompression and resize: no, unsure after JPEG q50 and real after half size (p 0.10–0.93)"
    )
    all_over = tuple(Variant(name, 0.5, "unsure") for name in VARIANT_NAMES)
    assert stability_words(verdict_of([], stability=Stability(all_over, 0.5, 0.93, flips=True))) == (
        "holds under recompression and resize: no, unsure after JPEG q90, JPEG q75, JPEG q50 and half size "
        "(p 0.50–0.93)"
    )
