"""What the network saw of several pictures, as one file: it goes along with their answer, so that its buttons work from
it later. Telegram keeps a file byte for byte, which it does not do with a photo.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from bot.chat.refusals import NoPicture

NAME = "seen.png"


def sheet(tiles: Sequence[bytes]) -> bytes:
    """PNG files of one size, square, side by side in one."""
    opened = [Image.open(io.BytesIO(tile)) for tile in tiles]
    side = max(tile.height for tile in opened)
    together = Image.new(opened[0].mode, (side * len(opened), side))
    for number, tile in enumerate(opened):
        together.paste(tile, (side * number, 0))
    return _png(together)


def tile_of(data: bytes, number: int) -> bytes:
    """One of a sheet, counted from 0, as a PNG. Raises NoPicture where there are fewer."""
    with Image.open(io.BytesIO(data)) as together:
        side = together.height
        if (number + 1) * side > together.width:
            raise NoPicture
        return _png(together.crop((side * number, 0, side * (number + 1), side)))


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
