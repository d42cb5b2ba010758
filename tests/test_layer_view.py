"""The large picture of one layer, as a file that opens and says what it shows."""

from __future__ import annotations

import dataclasses
import io
from datetime import date

import numpy as np
import pytest
from PIL import Image

from bot.layer_view import render_layer
from bot.verdict import LayerHeatmap, Picture, Stability, Verdict
from model_defs.checkpoint import Thresholds

DAY = date(2026, 1, 2)
HEAT = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))
LAYER = LayerHeatmap("blocks.block1.conv", (16, 16), 8, peak=0.5, share=0.25, dead=False, map=HEAT)
SEEN = np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype=np.uint8)
VERDICT = Verdict(
    p_fake=0.9, verdict="fake", stability=Stability((), 0.9, 0.9, flips=False), model="test-1", layers=(LAYER,),
    explains="fake", thresholds=Thresholds(), picture=Picture(32, 32, "png", "crop", np.repeat(SEEN, 3, 2), SEEN),
    seconds=0.1,
)  # fmt: skip


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def colourful(area: np.ndarray) -> float:
    return float((area.max(axis=2) - area.min(axis=2)).mean())


def test_heat_lies_on_the_right_and_only_where_there_is_heat() -> None:
    shown = pixels(render_layer(VERDICT, LAYER, DAY))
    height, width, _ = shown.shape
    body = shown[height // 3 : height // 2]
    assert colourful(body[:, 40 : width // 2 - 40]) == 0  # the picture as the network saw it, grey
    assert colourful(body[:, width // 2 + 40 : -40]) > 20


def test_the_title_is_the_name_on_the_layers_button() -> None:
    other = dataclasses.replace(LAYER, name="blocks.block2.conv")
    short, several = dataclasses.replace(LAYER, name="block1.conv"), dataclasses.replace(VERDICT, layers=(LAYER, other))
    assert render_layer(several, LAYER, DAY) == render_layer(VERDICT, short, DAY)


@pytest.mark.parametrize(
    "change",
    [{"size": (0, 0)}, {"peak": 0.0, "dead": True}, {"share": 1e-5, "dead": True}, {"size": (1, 1)}],
    ids=["unreached", "dead", "near-dead", "placeless"],
)
def test_a_layer_without_a_place_to_show_says_so_instead_of_heat(change: dict[str, object]) -> None:
    layer = dataclasses.replace(LAYER, **change)  # type: ignore[arg-type]
    shown = pixels(render_layer(VERDICT, layer, DAY))
    height, width, _ = shown.shape
    right = shown[height // 3 : height * 3 // 5, width // 2 + 40 : -40]
    assert colourful(right) < 2
    assert right.max() > 200  # the words


def test_it_is_as_small_as_asked() -> None:
    whole = render_layer(VERDICT, LAYER, DAY)
    for max_bytes in (len(whole) - 1, 20_000, 4096):
        smaller = render_layer(VERDICT, LAYER, DAY, max_bytes=max_bytes)
        assert len(smaller) <= max_bytes
        assert smaller.startswith(b"\xff\xd8")
        assert pixels(smaller).shape[0] > 50
    assert render_layer(VERDICT, LAYER, DAY, max_bytes=len(whole)) == whole
