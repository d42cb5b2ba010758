"""What a JPEG tells about how it was saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Table K.1 of ITU-T T.81 (luminance), row by row.
_LUMINANCE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip


def _tables_by_quality() -> NDArray[np.int64]:
    """The luminance table that libjpeg writes at each quality 1 … 100: int [100, 64] (jcparam.c)."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    tables: NDArray[np.int64] = np.clip((_LUMINANCE * scale + 50) // 100, 1, 255)
    return tables


_LOG_BY_QUALITY = np.log(_tables_by_quality())


def estimated_quality(tables: Mapping[int, Sequence[int]] | None) -> int | None:
    """The libjpeg quality (1 … 100) whose luminance table lies nearest; None without a usable table.

    tables: quantisation tables as Pillow gives them (`image.quantization`, in natural order). Exact for libjpeg and
    everything built on it; cameras and Photoshop have tables of their own, for which it is the nearest.
    """
    luminance = (tables or {}).get(0)
    if luminance is None or len(luminance) != 64:
        return None
    return _nearest_quality(tuple(luminance))


@lru_cache(maxsize=256)  # the images of one source share a few tables
def _nearest_quality(luminance: tuple[int, ...]) -> int:
    return _nearest(tuple(luminance))


@lru_cache(maxsize=1024)  # most files were written by few encoders
def _nearest(luminance: tuple[int, ...]) -> int:
    # Relative: a step from 2 to 3 matters more than one from 98 to 99.
    distance = np.abs(_LOG_BY_QUALITY - np.log(np.maximum(np.array(luminance), 1))).sum(axis=1)
    return int(distance.argmin()) + 1
