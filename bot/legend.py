"""The foot of a panel: what the colours and lines mean, what was left out, which model answered."""

from __future__ import annotations

from datetime import date

import numpy as np
from PIL import Image, ImageDraw

from bot.lettering import width, write
from bot.overlay import CONTOURS, colours
from bot.palette import BODY, MARGIN, MUTED, NOTE, TEXT
from bot.verdict import Verdict
from bot.wording import NO_PROOF, label_word, percent
from bot.words import Words

LEGEND_HEIGHT = 164
_RAMP = (220, 22)  # pixels of the colour bar


def draw_legend(panel: Image.Image, verdict: Verdict, day: date, left_out: str, t: Words) -> None:
    """Draw the lower LEGEND_HEIGHT pixels of `panel`. left_out: a sentence on the layers that are not shown, or ""."""
    draw = ImageDraw.Draw(panel)
    room = panel.width - 2 * MARGIN
    x, y = MARGIN, panel.height - LEGEND_HEIGHT + 8
    coolest = t("coolest")
    write(draw, (x, y), coolest, BODY, TEXT, room=room)
    x += width(coolest, BODY) + 12
    _draw_ramp(panel, draw, (x, y + 3))
    x += _RAMP[0] + 12
    hottest = t("hottest: evidence for {side}", side=label_word(verdict.explains, t).upper())
    write(draw, (x, y), hottest, BODY, TEXT, room=panel.width - MARGIN - x, bold=True)
    levels = ", ".join(percent(level, t) for level, _ in CONTOURS)
    about = t("Each map runs from its own coolest spot to its own hottest; lines at {levels} of that.", levels=levels)
    if left_out:
        about = f"{left_out} {about}"
    y = write(draw, (MARGIN, y + 36), about, NOTE, MUTED, room=room, lines=2)
    write(draw, (MARGIN, y), t(NO_PROOF), NOTE, TEXT, room=room)
    origin = f"{verdict.model} · {day.isoformat()}"
    write(draw, (MARGIN, panel.height - NOTE - 20), origin, NOTE, MUTED, room=room)


def _draw_ramp(panel: Image.Image, draw: ImageDraw.ImageDraw, at: tuple[int, int]) -> None:
    (x, y), (length, height) = at, _RAMP
    ramp = np.broadcast_to(colours()[np.linspace(0, 255, length).astype(np.intp)], (height, length, 3))
    panel.paste(Image.fromarray(ramp.astype(np.uint8)), at)
    for level, line_width in CONTOURS:
        left = x + round(level * length)
        right = left + round(line_width) - 1
        draw.rectangle((left - 1, y, right + 1, y + height - 1), fill=(0, 0, 0))
        draw.rectangle((left, y, right, y + height - 1), fill=(255, 255, 255))
