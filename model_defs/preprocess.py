"""Image ▶ tensor: saved in every checkpoint and used unchanged by training and by the bot.

Two steps, so that the slow one is done once for many trainings: `fit` makes the uint8 picture that the decode cache
keeps, `to_tensor` turns a batch of those into the network's input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from infra.params import StrictModel
from model_defs.spec import CHANNELS, Colour

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Preprocess(StrictModel):
    """What happens to a decoded picture before the network sees it.

    fit: crop = the largest centred square; squash = the whole picture, its sides stretched; pad = the whole picture,
    its short side filled with mid-grey. Then bicubic resampling to `image_size`.
    mean, std: per channel, in units of [0, 1].
    """

    image_size: int = Field(ge=8, le=1024)
    colour: Colour = "rgb"
    fit: Literal["crop", "squash", "pad"] = "crop"
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    @property
    def channels(self) -> int:
        """Channels of the network's input: 3 for rgb, 1 for grey."""
        return CHANNELS[self.colour]

    def fit_image(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] ▶ uint8 [S, S, C]."""
        picture = Image.fromarray(rgb)
        if self.colour == "grey":
            picture = picture.convert("L")
        size = (self.image_size, self.image_size)
        if picture.size != size:
            picture = self._square(picture).resize(size, Image.Resampling.BICUBIC)
        return np.asarray(picture, dtype=np.uint8).reshape(self.image_size, self.image_size, self.channels)

    def to_tensor(self, pictures: NDArray[np.uint8]) -> Tensor:
        """uint8 [N, S, S, C] ▶ normalised float32 [N, C, S, S]."""
        import torch

        batch = torch.from_numpy(np.array(pictures, order="C")).permute(0, 3, 1, 2).float()
        mean = torch.tensor(self.mean).view(1, -1, 1, 1) * 255
        std = torch.tensor(self.std).view(1, -1, 1, 1) * 255
        return ((batch - mean) / std).contiguous()

    def _square(self, picture: Image.Image) -> Image.Image:
        width, height = picture.size
        if width == height or self.fit == "squash":
            return picture
        if self.fit == "crop":
            side = min(width, height)
            left, top = (width - side) // 2, (height - side) // 2
            return picture.crop((left, top, left + side, top + side))
        side = max(width, height)
        square = Image.new(picture.mode, (side, side), 128 if picture.mode == "L" else (128, 128, 128))
        square.paste(picture, ((side - width) // 2, (side - height) // 2))
        return square
