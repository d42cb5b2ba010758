"""A loaded Pillow image of any mode ▶ 8-bit RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image, TiffImagePlugin

from infra.images.refusals import UnsupportedImage

_BITS_PER_SAMPLE = 258  # TIFF tags
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0

_PLAIN = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"}
_WITH_ALPHA = {"LA", "PA", "RGBA", "La", "RGBa"}


def has_alpha(image: Image.Image) -> bool:
    """Whether the file says that some of its pixels may be transparent."""
    return image.mode in _WITH_ALPHA or image.info.get("transparency") is not None


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """The picture in mode RGB; transparency is composited on white. name: the format, for errors.

    May be `image` itself. Colour profiles are not applied. Raises UnsupportedImage for pixels that have no one right
    8-bit form.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and name == "PPM"):
        return _from_16_bit(image)
    if image.mode in ("F", "I"):
        kind = "floating-point" if image.mode == "F" else "signed or 32-bit"
        raise UnsupportedImage(f"the {name} holds {kind} numbers, not a photo's 8 or 16 bits; convert it to PNG")
    if image.mode not in _PLAIN | _WITH_ALPHA:
        raise UnsupportedImage(f"the {name} holds {image.mode} colours; convert it to an RGB PNG or JPEG")
    if not has_alpha(image):
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Grey of 9 … 16 bits, by its high byte: what Pillow does itself to 16-bit colour. (Its own conversion clips.)"""
    samples = np.asarray(image).astype(np.uint32)
    bits = 16
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = max(int(bits) for bits in image.tag_v2.get(_BITS_PER_SAMPLE, (16,)))
        if image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            samples = (1 << bits) - 1 - samples
    grey = (samples >> (bits - 8)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[np.asarray(image) == transparent] = 255
    return Image.fromarray(grey).convert("RGB")
