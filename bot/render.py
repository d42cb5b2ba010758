"""The panel: one PNG with the photo, the verdict and a heatmap for every conv layer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date

from PIL import Image

from bot.grid import Grid
from bot.header import HEADER_HEIGHT, draw_header
from bot.legend import LEGEND_HEIGHT, draw_legend
from bot.lettering import printable
from bot.palette import BACKGROUND
from bot.verdict import LayerHeatmap, Verdict

MAX_LAYERS = 24  # a panel of more is taller than a chat shows and than anyone reads


def render_panel(verdict: Verdict, name: str, day: date, all_layers: bool = False) -> bytes:
    """The panel as a PNG file.

    name: the photo's, shown at the top. day: shown at the foot. all_layers: show all, not only MAX_LAYERS.
    """
    shown = choose_layers(verdict.layers, len(verdict.layers) if all_layers else MAX_LAYERS)
    grid = Grid.of(shown)
    panel = Image.new("RGB", (grid.width, HEADER_HEIGHT + grid.height + LEGEND_HEIGHT), BACKGROUND)
    draw_header(panel, verdict, printable(name))
    grid.draw(panel, HEADER_HEIGHT, verdict, shown)
    draw_legend(panel, verdict, day, left_out_words(verdict.layers, shown))
    buffer = io.BytesIO()
    panel.save(buffer, "PNG", compress_level=3)  # level 6 takes three times as long to save a tenth
    return buffer.getvalue()


def choose_layers(layers: Sequence[LayerHeatmap], most: int) -> list[LayerHeatmap]:
    """All layers when there are at most `most`; else those with heat to show, the `most` with the largest share.

    In the network's order either way.
    """
    if len(layers) <= most:
        return list(layers)
    hot = [layer for layer in layers if not layer.dead and not layer.placeless] or list(layers)
    kept = {layer.name for layer in sorted(hot, key=lambda layer: -layer.share)[:most]}
    return [layer for layer in layers if layer.name in kept]


def left_out_words(layers: Sequence[LayerHeatmap], shown: Sequence[LayerHeatmap]) -> str:
    """A sentence on the layers that are not shown; empty when all are."""
    names = {layer.name for layer in shown}
    hidden = [layer for layer in layers if layer.name not in names]
    if not hidden:
        return ""
    dead = sum(layer.dead for layer in hidden)
    placeless = sum(layer.placeless and not layer.dead for layer in hidden)
    less = len(hidden) - dead - placeless
    kinds = ((less, "with less evidence"), (dead, "dead or near-dead"), (placeless, "without a place to show"))
    return f"{len(hidden)} of {len(layers)} layers left out: {', '.join(f'{n} {kind}' for n, kind in kinds if n)}."
