"""The heat of an answer's layers, as files for a page."""

from __future__ import annotations

from PIL import Image

from bot.overlay import enlarged, greyed, heated
from bot.picture_file import as_png
from bot.verdict import Verdict

_SIDE = 288  # pixels, about: contour lines are fine there, and fifty layers are a few megabytes


def heat_pictures(verdict: Verdict) -> list[bytes]:
    """A PNG for each layer, in their order, between 2 and 4 times as large as the network's input. A layer without a
    "where" gives the picture alone, grey.
    """
    seen = verdict.picture.seen
    base = enlarged(seen, seen.shape[0] * min(4, max(2, round(_SIDE / seen.shape[0]))))
    silent = as_png(Image.fromarray(greyed(base)))
    return [
        silent if layer.dead or layer.placeless else as_png(Image.fromarray(heated(base, layer.map)))
        for layer in verdict.layers
    ]
