"""The panel: one picture with the photo, the verdict and a heatmap for every conv layer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from PIL import Image

from bot.grid import Grid
from bot.header import HEADER_HEIGHT, draw_header
from bot.legend import LEGEND_HEIGHT, draw_legend
from bot.lettering import printable
from bot.palette import BACKGROUND
from bot.picture_file import as_file, as_jpeg, as_png
from bot.verdict import LayerHeatmap, Verdict
from bot.wording import left_out_words
from bot.words import ENGLISH, Words

MAX_LAYERS = 24  # a panel of more is taller than a chat shows and than anyone reads
_FEWER_LAYERS = (12, 6)  # for a panel that would have too many bytes: better few maps than small ones


def render_panel(
    verdict: Verdict,
    name: str,
    day: date,
    all_layers: bool = False,
    t: Words = ENGLISH,
    max_bytes: int | None = None,
) -> bytes:
    """The panel as a PNG file; where that would be larger than `max_bytes`, a JPEG, at need of fewer layers and pixels.

    name: the photo's, shown at the top. day: shown at the foot. all_layers: show all, not only MAX_LAYERS.
    t: the reader's language. max_bytes: at least 4,096.
    """
    panel = _drawn(verdict, name, day, len(verdict.layers) if all_layers else MAX_LAYERS, t)
    data = as_png(panel)
    if max_bytes is None or len(data) <= max_bytes:
        return data
    data = as_jpeg(panel)
    for most in _FEWER_LAYERS:
        if len(data) > max_bytes and len(verdict.layers) > most:
            panel = _drawn(verdict, name, day, most, t)
            data = as_jpeg(panel)
    return data if len(data) <= max_bytes else as_file(panel, max_bytes)


def choose_layers(layers: Sequence[LayerHeatmap], most: int) -> list[LayerHeatmap]:
    """All layers when there are at most `most`; else those with heat to show, the `most` with the largest share.

    In the network's order either way.
    """
    if len(layers) <= most:
        return list(layers)
    hot = [layer for layer in layers if not layer.dead and not layer.placeless] or list(layers)
    kept = {layer.name for layer in sorted(hot, key=lambda layer: -layer.share)[:most]}
    return [layer for layer in layers if layer.name in kept]


def _drawn(verdict: Verdict, name: str, day: date, most_layers: int, t: Words) -> Image.Image:
    shown = choose_layers(verdict.layers, most_layers)
    grid = Grid.of(shown)
    panel = Image.new("RGB", (grid.width, HEADER_HEIGHT + grid.height + LEGEND_HEIGHT), BACKGROUND)
    draw_header(panel, verdict, printable(name), t)
    grid.draw(panel, HEADER_HEIGHT, verdict, shown, t)
    draw_legend(panel, verdict, day, left_out_words(verdict.layers, shown, t), t)
    return panel
