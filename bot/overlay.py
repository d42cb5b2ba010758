"""A heatmap over the picture that the network saw: cividis and contour lines."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Fractions of a map's hottest spot at which a line is drawn, with its width in pixels: the hotter, the bolder.
CONTOURS = ((0.5, 1.2), (0.75, 1.8), (0.9, 2.4))
_SMOOTH_SIDE = 32  # contours follow a map of this side: those of a 128×128 map of single hot pixels are a scribble
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@lru_cache(maxsize=1)
def colours() -> NDArray[np.float32]:
    """Cividis, float32 [256, 3] in 0–255: the same to people with and without a colour vision deficiency, and even in
    grey (Nuñez, Anderton, Renslow, PLOS ONE 2018)."""
    import matplotlib

    table = matplotlib.colormaps["cividis"](np.arange(256))[:, :3] * 255
    return np.asarray(table, dtype=np.float32)


def enlarged(seen: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """uint8 [S, S, 1 or 3] ▶ uint8 [side, side, 3]; a small picture keeps its crisp pixels."""
    picture = Image.fromarray(np.repeat(seen, 3, axis=2) if seen.shape[2] == 1 else seen)
    return np.asarray(scaled(picture, side, side))


def scaled(picture: Image.Image, width: int, height: int) -> Image.Image:
    """`picture` at that size. Enlarged by whole pixels first, so that a 64×64 picture is seen as it is, not blurred."""
    factor = -(-width // picture.width)
    if factor > 1:
        whole = (picture.width * factor, picture.height * factor)
        picture = picture.resize(whole, Image.Resampling.NEAREST)
    if picture.size == (width, height):
        return picture
    return picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def heated(base: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """base: uint8 [T, T, 3]; heat: float32 [S, S] in [0, 1] ▶ uint8 [T, T, 3].

    The picture goes grey, so that the only colours are the map's, and the hotter a place the denser its colour.
    """
    side = base.shape[0]
    heat_there = _resized(heat, side)
    grey = (base @ _LUMA)[..., None]
    density = (0.25 + 0.5 * heat_there)[..., None]
    colour = colours()[np.rint(heat_there * 255).astype(np.intp)]
    blended = grey * (1 - density) + colour * density
    return _with_contours(blended, heat, side)


def greyed(base: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture without heat, grey and dim: nothing to see here."""
    grey = np.rint(base @ _LUMA * 0.35 + 16).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _with_contours(blended: NDArray[np.float32], heat: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    smooth = _resized(_resized(heat, min(_SMOOTH_SIDE, heat.shape[0])), side)
    peak = float(smooth.max())
    if peak > 0:
        rise, run = np.gradient(smooth)
        # The distance to a level in pixels, to first order.
        slope = np.maximum(np.hypot(rise, run), peak / 4000)
        for level, line_width in CONTOURS:
            distance = np.abs(smooth - level * peak) / slope
            for grown, shade in ((1.5, 0.0), (0.0, 255.0)):
                ink = np.clip((line_width + grown) / 2 + 0.5 - distance, 0, 1)[..., None]
                blended = blended * (1 - ink) + shade * ink
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8)


def _resized(heat: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    if heat.shape == (side, side):
        return heat
    picture = Image.fromarray(heat).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(picture, dtype=np.float32), 0, 1)
