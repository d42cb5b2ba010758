"""The one transform that both labels of an equalised dataset go through: crop, size, encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.errors import UserError
from infra.images import encode_jpeg, encode_png

_VERSION = 1  # raised when the same settings would give other bytes


class EqualiseError(UserError):
    """A dataset that cannot be equalised; the line says why and what to do."""


@dataclass(frozen=True)
class Transform:
    """crop: the share of the shorter side that the square in the middle keeps. side: pixels, of the outcome.

    quality: of the JPEG; PNG has none.
    """

    side: int = 256
    crop: float = 1.0
    format: Literal["jpeg", "png"] = "jpeg"
    quality: int = 90

    def __post_init__(self) -> None:
        if not 16 <= self.side <= 4096:
            raise EqualiseError(f"side must be 16 to 4096 pixels, not {self.side}")
        if not 0.1 <= self.crop <= 1:
            raise EqualiseError(f"crop must be 0.1 to 1, not {self.crop:g}")
        if not 1 <= self.quality <= 100:
            raise EqualiseError(f"quality must be 1 to 100, not {self.quality}")

    def __str__(self) -> str:
        """What the manifest says was done; equal only for equal transforms."""
        encoder = "PNG" if self.format == "png" else f"JPEG q{self.quality} 4:2:0"
        return f"square-crop {self.crop:g}, {self.side} px Lanczos, {encoder}, v{_VERSION}"

    def cropped_side(self, width: int, height: int) -> int:
        """How many pixels the square in the middle has before it is made smaller."""
        return round(self.crop * min(width, height))

    def apply(self, rgb: NDArray[np.uint8]) -> bytes:
        """rgb: uint8 [H, W, 3], cropped larger than `side` ▶ the bytes of the file; the same for the same pixels."""
        height, width = rgb.shape[:2]
        cropped = self.cropped_side(width, height)
        left, top = (width - cropped) // 2, (height - cropped) // 2
        square = Image.fromarray(np.ascontiguousarray(rgb[top : top + cropped, left : left + cropped]))
        small = np.asarray(square.resize((self.side, self.side), Image.Resampling.LANCZOS))
        return encode_png(small) if self.format == "png" else encode_jpeg(small, self.quality)
