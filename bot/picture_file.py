"""A drawn picture ▶ a file that is no larger than a chat takes."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_JPEG_QUALITY = 88  # lettering stays clean; a fifth of the PNG
_SMALLER = 0.7  # of the sides: half the pixels a step


def as_png(picture: Image.Image) -> bytes:
    """A PNG without metadata."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=3)  # level 6 takes three times as long to save a tenth
    return buffer.getvalue()


def seen_png(seen: NDArray[np.uint8]) -> bytes:
    """What the network saw, uint8 [S, S, 1 or 3] ▶ a PNG without metadata, and without loss."""
    return as_png(Image.fromarray(np.repeat(seen, 3, axis=2) if seen.shape[2] == 1 else seen))


def as_jpeg(picture: Image.Image) -> bytes:
    """A JPEG without metadata; 4:4:4, as coloured lettering and contours fray at less."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling="4:4:4", optimize=True)
    return buffer.getvalue()


def as_file(picture: Image.Image, max_bytes: int | None = None) -> bytes:
    """A PNG; where that is larger than `max_bytes` (at least 4,096) a JPEG, and where that is, one of fewer pixels."""
    data = as_png(picture)
    if max_bytes is None or len(data) <= max_bytes:
        return data
    data = as_jpeg(picture)
    while len(data) > max_bytes and max(picture.size) > 8:
        size = (max(1, round(picture.width * _SMALLER)), max(1, round(picture.height * _SMALLER)))
        picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
        data = as_jpeg(picture)
    return data
