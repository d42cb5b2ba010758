"""One layer, large: what the network saw, beside the same with that layer's heat over it."""

from __future__ import annotations

from datetime import date

from PIL import Image, ImageDraw

from bot.grid import draw_silence
from bot.legend import LEGEND_HEIGHT, draw_legend
from bot.lettering import LINE_HEIGHT, write
from bot.overlay import enlarged, heated
from bot.palette import ACCENT, BACKGROUND, BODY, CARD, MARGIN, MUTED, NOTE, TEXT
from bot.picture_file import as_file
from bot.verdict import LayerHeatmap, Verdict
from bot.wording import label_word, likelihood, share_percent, short_name, silence
from bot.words import ENGLISH, Words

_TILE = 560  # pixels: both pictures side by side stay under what chats show without shrinking, about 1,200
_GAP = 16
_TITLE = 30
_SHARE_BAR = 8
_TOP = 150  # pixels above the pictures


def render_layer(
    verdict: Verdict, layer: LayerHeatmap, day: date, t: Words = ENGLISH, max_bytes: int | None = None
) -> bytes:
    """A PNG file; a JPEG where that would be larger than `max_bytes` (at least 4,096).

    layer: one of the verdict's. day: shown at the foot. t: the reader's language.
    """
    width, height = 2 * (MARGIN + _TILE) + _GAP, _TOP + _TILE + _GAP + LEGEND_HEIGHT
    view = Image.new("RGB", (width, height), BACKGROUND)
    silent = silence(layer, verdict.explains, t)
    _draw_title(ImageDraw.Draw(view), verdict, layer, t, width - 2 * MARGIN)
    base = enlarged(verdict.picture.seen, _TILE)
    right = MARGIN + _TILE + _GAP
    view.paste(Image.fromarray(base), (MARGIN, _TOP))
    if silent is None:
        view.paste(Image.fromarray(heated(base, layer.map)), (right, _TOP))
    else:
        draw_silence(view, (right, _TOP), base, silent)
    draw_legend(view, verdict, day, "", t)
    return as_file(view, max_bytes)


def _draw_title(draw: ImageDraw.ImageDraw, verdict: Verdict, layer: LayerHeatmap, t: Words, room: int) -> None:
    """The layer's name and what it is, a bar whose full length is all evidence, and what stands below."""
    y = write(draw, (MARGIN, 16), short_name(verdict.layers, layer), _TITLE, TEXT, room=room, bold=True)
    (height, width), share = layer.size, share_percent(layer.share, t)
    size = t("{width}×{height} map, {channels} channels", width=width, height=height, channels=layer.channels)
    evidence = t("{share} of evidence", share=share)
    answer = f"{label_word(verdict.verdict, t).upper()}, {likelihood(verdict, t)}"
    y = write(draw, (MARGIN, y), f"{evidence} · {size} · {answer}", BODY, MUTED, room=room)
    draw.rectangle((MARGIN, y + 2, MARGIN + room - 1, y + 1 + _SHARE_BAR), fill=CARD)
    if layer.share > 0:
        filled = max(2, round(layer.share * room))
        draw.rectangle((MARGIN, y + 2, MARGIN + filled - 1, y + 1 + _SHARE_BAR), fill=ACCENT)
    y = _TOP - round(NOTE * LINE_HEIGHT) - 6
    captions = (t("what the network saw"), t("where this layer found evidence"))
    for caption, x in zip(captions, (MARGIN, MARGIN + _TILE + _GAP), strict=True):
        write(draw, (x, y), caption, NOTE, MUTED, room=_TILE)
