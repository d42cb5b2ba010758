"""RGB array ▶ PNG or JPEG bytes; the same array always gives the same bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


def encode_png(rgb: NDArray[np.uint8]) -> bytes:
    """rgb: uint8 [H, W, 3] ▶ a PNG without metadata."""
    return _encoded(rgb, "PNG")


def encode_jpeg(rgb: NDArray[np.uint8], quality: int, subsampling: str = "4:2:0") -> bytes:
    """rgb: uint8 [H, W, 3] ▶ a baseline JPEG without metadata. quality: 1 … 100, libjpeg's."""
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 … 100, not {quality}")
    if subsampling not in SUBSAMPLINGS:
        raise ValueError(f"subsampling must be one of {', '.join(SUBSAMPLINGS)}, not {subsampling!r}")
    return _encoded(rgb, "JPEG", quality=quality, subsampling=subsampling)


def _encoded(rgb: NDArray[np.uint8], name: str, **options: Any) -> bytes:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"expected uint8 [H, W, 3], got {rgb.dtype} {list(rgb.shape)}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, name, **options)
    return buffer.getvalue()
