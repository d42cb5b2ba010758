"""Text on panels: one font, measured before it is drawn, so that nothing is cut off or overlaps."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

ELLIPSIS = "…"
LINE_HEIGHT = 1.3  # of the font's size

_WORD = re.compile(r".*?(?: +|(?<!\d)\.|\.(?!\d)|$)", re.DOTALL)  # a no-break space holds its words together


@lru_cache(maxsize=32)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib brings it: Latin, Greek, Cyrillic, Arabic, Hebrew, arrows and mathematics."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def printable(text: str) -> str:
    """`text` with what no font can draw (control characters, half surrogates) shown as the replacement character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def width(text: str, size: int, bold: bool = False) -> int:
    """Pixels that `text` takes, rounded up."""
    return int(-(-font(size, bold).getlength(text) // 1))


def elide(text: str, size: int, room: int, bold: bool = False) -> str:
    """`text`, its middle replaced by an ellipsis when it is wider than `room` pixels: both ends of a name tell."""
    if width(text, size, bold) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width(_shortened(text, middle), size, bold) <= room else (low, middle - 1)
    return _shortened(text, low)


def wrap(text: str, size: int, room: int, bold: bool = False, lines: int = 99) -> list[str]:
    """`text` in at most `lines` lines no wider than `room` pixels, broken after spaces, and dots outside numbers.

    What does not fit is elided: a word wider than a line, or all that is left on the last line.
    """
    wrapped: list[str] = []
    for word in _WORD.findall(text):
        longer = wrapped[-1] + word if wrapped else word
        if wrapped and (width(longer.rstrip(), size, bold) <= room or len(wrapped) == lines):
            wrapped[-1] = longer
        elif word:
            wrapped.append(word)
    return [elide(line.rstrip(), size, room, bold) for line in wrapped]


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    *,
    room: int,
    bold: bool = False,
    lines: int = 1,
) -> int:
    """Draw `text` from its upper left corner `at` in at most `lines` lines of `room` pixels; the y below it."""
    x, y = at
    for line in wrap(text, size, room, bold, lines):
        draw.text((x, y), line, fill=colour, font=font(size, bold))
        y += round(size * LINE_HEIGHT)
    return y


def _shortened(text: str, kept: int) -> str:
    head = (kept + 1) // 2
    return text[:head] + ELLIPSIS + text[len(text) - (kept - head) :]
