"""Image ▶ tensor: saved in every checkpoint and used unchanged by training and by the bot.

Two steps, so that the slow one is done once for many trainings: `fit` makes the uint8 picture that the decode cache
keeps, `to_tensor` turns a batch of those into the network's input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, ValidationInfo, field_validator, model_validator

from infra.params import StrictModel
from model_defs.spec import CHANNELS, Colour

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MID_GREY = 128


class Preprocess(StrictModel):
    """What happens to a decoded picture before the network sees it.

    fit: crop = the largest centred square; squash = the whole picture, its sides stretched; pad = the whole picture,
    mid-grey on both sides of the shorter one. Resampling is bicubic, and averages where it makes smaller.
    mean, std: of the pixel values taken as [0, 1]; one number, or one for each channel.
    """

    image_size: int = Field(ge=8, le=1024)
    colour: Colour = "rgb"
    fit: Literal["crop", "squash", "pad"] = "crop"
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    @field_validator("mean", "std")
    @classmethod
    def _in_range(cls, values: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        above = 0.0 if info.field_name == "mean" else 1e-6  # a picture is divided by std
        if not all(above <= value <= 1 for value in values):
            raise ValueError(f"each should be from {above:g} to 1, not {list(values)}")
        return values

    @model_validator(mode="after")
    def _one_for_each_channel(self) -> Preprocess:
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, self.channels):
                raise ValueError(f"{name} needs one number, or {self.channels} for {self.colour} pictures")
        return self

    @property
    def channels(self) -> int:
        """Channels of the network's input: 3 for rgb, 1 for grey."""
        return CHANNELS[self.colour]

    def fit_image(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] ▶ uint8 [S, S, C]."""
        picture = Image.fromarray(rgb)
        if self.colour == "grey":
            picture = picture.convert("L")
        picture = self._square(picture)
        return np.asarray(picture, dtype=np.uint8).reshape(self.image_size, self.image_size, self.channels)

    def to_tensor(self, pictures: NDArray[np.uint8]) -> Tensor:
        """uint8 [N, S, S, C] ▶ normalised float32 [N, C, S, S]."""
        import torch

        batch = torch.from_numpy(np.array(pictures, order="C")).permute(0, 3, 1, 2).float()
        mean = torch.tensor(self.mean).view(1, -1, 1, 1) * 255
        std = torch.tensor(self.std).view(1, -1, 1, 1) * 255
        return ((batch - mean) / std).contiguous()

    def _square(self, picture: Image.Image) -> Image.Image:
        """[H, W] ▶ [S, S], with nothing larger on the way: a picture may be 1 pixel high and 50,000 wide."""
        width, height = picture.size
        side = self.image_size
        if self.fit == "pad" and width != height:
            longer = max(width, height)
            small = (max(1, round(width * side / longer)), max(1, round(height * side / longer)))
            square = Image.new(picture.mode, (side, side), MID_GREY if picture.mode == "L" else (MID_GREY,) * 3)
            square.paste(_resized(picture, small), ((side - small[0]) // 2, (side - small[1]) // 2))
            return square
        if self.fit == "crop":
            shorter = min(width, height)
            left, top = (width - shorter) // 2, (height - shorter) // 2
            picture = picture.crop((left, top, left + shorter, top + shorter))
        return _resized(picture, (side, side))


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)
