"""The picture after what the internet does to pictures: recompressed and resized."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.images import decode_image, encode_jpeg

# What chats and sites do: WhatsApp and Telegram recompress near 75–87, forums and thumbnails near 50, and most halve
# a camera's picture.
JPEG_QUALITIES = (90, 75, 50)
VARIANT_NAMES = (*(f"JPEG q{quality}" for quality in JPEG_QUALITIES), "half size")


def variants(rgb: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """uint8 [H, W, 3] ▶ one picture of the same size for each of VARIANT_NAMES, in that order.

    JPEG with 4:2:0 chroma, as senders use; half size is bicubic down and up again.
    """
    for quality in JPEG_QUALITIES:
        yield decode_image(encode_jpeg(rgb, quality, "4:2:0"), max_bytes=sys.maxsize, max_pixels=math.inf).rgb
    picture = Image.fromarray(rgb)
    half = (max(1, picture.width // 2), max(1, picture.height // 2))
    small = picture.resize(half, Image.Resampling.BICUBIC)
    yield np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC))
