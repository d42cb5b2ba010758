"""The body of a panel: a grid of cells, one for each layer shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bot.lettering import LINE_HEIGHT, wrap, write
from bot.overlay import enlarged, greyed, heated
from bot.palette import ACCENT, BACKGROUND, CARD, MARGIN, MUTED, NOTE, TEXT
from bot.verdict import LayerHeatmap, Verdict
from bot.wording import share_percent, short_names, silence
from bot.words import Words

_SHAPES = ((2, 2, 488), (3, 3, 320), (8, 4, 236), (15, 5, 236), (10_000, 6, 236))  # layers up to, columns, tile
_GAP = 16
_TITLE = 18
_SHARE_BAR = 6


@dataclass(frozen=True)
class Grid:
    """Where the heatmaps lie: few layers large, many small; 1,040 to 1,544 pixels wide.

    names: what stands above each map, in at most `title_lines` lines. tile: the side of a map in pixels.
    """

    names: tuple[str, ...]
    columns: int
    tile: int
    title_lines: int

    @classmethod
    def of(cls, layers: Sequence[LayerHeatmap]) -> Grid:
        """The grid for these layers."""
        names = short_names(layers)
        _, columns, tile = next(shape for shape in _SHAPES if len(names) <= shape[0])
        lines = max((len(wrap(name, _TITLE, tile, bold=True, lines=2)) for name in names), default=1)
        return cls(tuple(names), columns, tile, lines)

    @property
    def width(self) -> int:
        """Pixels from edge to edge, margins included."""
        return 2 * MARGIN + self.columns * self.tile + (self.columns - 1) * _GAP

    @property
    def height(self) -> int:
        """Pixels of all rows."""
        return -(-len(self.names) // self.columns) * self._row_height

    def draw(self, panel: Image.Image, top: int, verdict: Verdict, layers: Sequence[LayerHeatmap], t: Words) -> None:
        """Draw the cells from `top` down; `layers` as they were given to `of`."""
        base = enlarged(verdict.picture.seen, self.tile)
        for index, layer in enumerate(layers):
            row, column = divmod(index, self.columns)
            x, y = MARGIN + column * (self.tile + _GAP), top + row * self._row_height
            silent = silence(layer, verdict.explains, t)
            self._draw_title(panel, (x, y), self.names[index], layer, t, muted=silent is not None)
            y += self._head_height
            if silent is None:
                panel.paste(Image.fromarray(heated(base, layer.map)), (x, y))
            else:
                draw_silence(panel, (x, y), base, silent)

    @property
    def _head_height(self) -> int:
        return self.title_lines * round(_TITLE * LINE_HEIGHT) + round(NOTE * LINE_HEIGHT) + _SHARE_BAR + 8

    @property
    def _row_height(self) -> int:
        return self._head_height + self.tile + _GAP

    def _draw_title(
        self, panel: Image.Image, at: tuple[int, int], name: str, layer: LayerHeatmap, t: Words, muted: bool
    ) -> None:
        """Name, size and share, and a bar whose full length is all evidence of all layers."""
        (x, y), draw, (height, width) = at, ImageDraw.Draw(panel), layer.size
        write(draw, at, name, _TITLE, MUTED if muted else TEXT, room=self.tile, bold=True, lines=self.title_lines)
        y += self.title_lines * round(_TITLE * LINE_HEIGHT)
        share = t("{share} of evidence", share=share_percent(layer.share, t))
        note = f"{width}×{height} · {share}"
        y = write(draw, (x, y), note, NOTE, MUTED, room=self.tile)
        draw.rectangle((x, y, x + self.tile - 1, y + _SHARE_BAR - 1), fill=CARD)
        if layer.share > 0:
            filled = max(2, round(layer.share * self.tile))
            draw.rectangle((x, y, x + filled - 1, y + _SHARE_BAR - 1), fill=ACCENT)


def draw_silence(panel: Image.Image, at: tuple[int, int], base: NDArray[np.uint8], words: str) -> None:
    """The picture without heat, and why."""
    (x, y), tile, draw = at, base.shape[0], ImageDraw.Draw(panel)
    panel.paste(Image.fromarray(greyed(base)), at)
    lines = wrap(words, NOTE, tile - 24)
    band = round(NOTE * LINE_HEIGHT) * len(lines)
    top = y + (tile - band) // 2
    draw.rectangle((x, top - 8, x + tile - 1, top + band + 8), fill=BACKGROUND)
    write(draw, (x + 12, top), words, NOTE, TEXT, room=tile - 24, lines=len(lines))
