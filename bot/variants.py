"""The picture after what the internet does to pictures: recompressed and resized."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.images import decode_image, encode_jpeg

JPEG_QUALITIES = (90, 75, 50)  # a careful sender, a usual one, and a thumbnail
VARIANT_NAMES = (*(f"JPEG q{quality}" for quality in JPEG_QUALITIES), "half size")

# Messengers shrink a camera's photo to about this before they recompress it. Recompressed at full size it would look
# stabler than it is, as the network's own shrinking hides the blocks; and 24 megapixels would take seconds.
MAX_SIDE = 2048


def variants(rgb: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """uint8 [H, W, 3] ▶ the picture treated in each way of VARIANT_NAMES, in that order.

    JPEG with 4:2:0 chroma, as senders use; half size is bicubic down and up again. A picture with a side over
    MAX_SIDE is shrunk to that first.
    """
    picture = Image.fromarray(rgb)
    if max(picture.size) > MAX_SIDE:
        picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
        rgb = np.asarray(picture)
    for quality in JPEG_QUALITIES:
        yield decode_image(encode_jpeg(rgb, quality, "4:2:0")).rgb
    half = (max(1, picture.width // 2), max(1, picture.height // 2))
    small = picture.resize(half, Image.Resampling.BICUBIC)
    yield np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC))
