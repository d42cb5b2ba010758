"""The head of a panel: the photo, what the network saw of it, and the verdict with its probability bar."""

from __future__ import annotations

from PIL import Image, ImageDraw

from bot.lettering import width, write
from bot.overlay import enlarged, scaled
from bot.palette import BACKGROUND, BODY, CARD, MARGIN, MUTED, NOTE, TEXT, VERDICTS
from bot.verdict import Picture, Verdict
from bot.wording import label_word, likelihood, stability_words
from bot.words import Words, later

HEADER_HEIGHT = 408
_PICTURE = 260  # pixels: the height of the photo and of the crop
_WIDEST = 320  # of the photo, so that a panorama leaves room for the words
_BAR_HEIGHT = 22
_FITS = {"crop": later("centre crop"), "squash": later("whole, stretched"), "pad": later("whole, padded")}


def draw_header(panel: Image.Image, verdict: Verdict, name: str, t: Words) -> None:
    """Draw the upper HEADER_HEIGHT pixels of `panel`. name: the photo's, printable."""
    draw = ImageDraw.Draw(panel)
    top = write(draw, (MARGIN, 18), name, BODY, MUTED, room=panel.width - 2 * MARGIN) + 8
    right = _draw_pictures(panel, draw, verdict.picture, top, t)
    _draw_verdict(draw, verdict, (right, top - 8), panel.width - MARGIN - right, t)
    draw.line((MARGIN, HEADER_HEIGHT - 20, panel.width - MARGIN, HEADER_HEIGHT - 20), fill=CARD, width=2)


def _draw_pictures(panel: Image.Image, draw: ImageDraw.ImageDraw, picture: Picture, top: int, t: Words) -> int:
    """The photo and the crop, side by side; the x where the words may begin."""
    preview = Image.fromarray(picture.preview)
    factor = min(_WIDEST / preview.width, _PICTURE / preview.height)
    size = (max(1, round(preview.width * factor)), max(1, round(preview.height * factor)))
    photo = scaled(preview, *size)
    x, below = MARGIN, top + _PICTURE + 8
    panel.paste(photo, (x, top + (_PICTURE - photo.height) // 2))
    # The captions stand below each other's pictures, so a narrow photo widens to what its caption needs.
    captions = (t("as it came"), f"{picture.width}×{picture.height} {picture.format.upper()}")
    room = max(photo.width, *(width(text, NOTE) for text in captions))
    for text in captions:
        below = write(draw, (x, below), text, NOTE, MUTED, room=room)
    x, below = x + room + 20, top + _PICTURE + 8
    panel.paste(Image.fromarray(enlarged(picture.seen, _PICTURE)), (x, top))
    side, fit = picture.seen.shape[0], t(_FITS[picture.fit])
    how = f"{side}×{side}, {fit}" if picture.seen.shape[2] == 3 else t("{side}×{side} grey, {fit}", side=side, fit=fit)
    for text in (t("what the network saw"), how):
        below = write(draw, (x, below), text, NOTE, MUTED, room=_PICTURE + 20)
    return x + _PICTURE + 28


def _draw_verdict(draw: ImageDraw.ImageDraw, verdict: Verdict, at: tuple[int, int], room: int, t: Words) -> None:
    x, y = at
    said, colour = label_word(verdict.verdict, t).upper(), VERDICTS[verdict.verdict]
    y = write(draw, (x, y), said, 56, colour, room=room, bold=True) + 2
    y = write(draw, (x, y), likelihood(verdict, t), BODY + 2, TEXT, room=room, bold=True, lines=2) + 14
    y = _draw_bar(draw, verdict, (x, y), room, t) + 14
    write(
        draw,
        (x, y),
        stability_words(verdict, t).replace("(p ", "(p\N{NO-BREAK SPACE}"),
        BODY - 1,
        TEXT,
        room=room,
        lines=4,
    )


def _draw_bar(draw: ImageDraw.ImageDraw, verdict: Verdict, at: tuple[int, int], room: int, t: Words) -> int:
    """The probability from 0 (real) to 1 (fake): the unsure band, the range under recompression, the marker."""
    x, y = at
    thresholds, stability = verdict.thresholds, verdict.stability

    def across(p: float) -> int:
        return x + round(p * (room - 1))

    bottom = y + _BAR_HEIGHT
    draw.rectangle((x, y, across(1), bottom), fill=CARD)
    low, high = across(thresholds.unsure_low), across(thresholds.unsure_high)
    draw.rectangle((low, y, high, bottom), fill=(104, 108, 117))
    for edge in range(low + 6, high, 8):  # hatched: the band is told from the bar without its shade
        draw.line((edge, y, edge, bottom), fill=CARD)
    middle = (y + bottom) // 2
    draw.rectangle((across(stability.p_min), middle - 3, across(stability.p_max), middle + 3), fill=MUTED)
    mark, colour = across(verdict.p_fake), VERDICTS[verdict.verdict]
    draw.rectangle((mark - 5, y - 7, mark + 5, bottom + 7), fill=BACKGROUND)
    draw.rectangle((mark - 3, y - 5, mark + 3, bottom + 5), fill=colour)
    below = bottom + 9
    real, fake, unsure = (label_word(label, t) for label in ("real", "fake", "unsure"))
    write(draw, (x, below), real, NOTE, MUTED, room=room)
    write(draw, (across(1) - width(fake, NOTE), below), fake, NOTE, MUTED, room=room)
    word = width(unsure, NOTE)
    leftmost, rightmost = x + width(f"{real} ", NOTE), across(1) - width(f" {fake}", NOTE) - word
    return write(draw, (min(max((low + high - word) // 2, leftmost), rightmost), below), unsure, NOTE, MUTED, room=room)
