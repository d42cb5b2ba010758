"""A player's statistics as a picture: right against sure, and right over time, with what chance alone explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from bot.lettering import width, write
from bot.palette import ACCENT, BACKGROUND, CARD, MARGIN, MUTED, TEXT, Colour
from bot.picture_file import as_png
from bot.quiz.stats import Rate, Stats
from bot.words import Words

WIDTH = 1000  # pixels; a phone shows it at about 400 of its own, so text below is never smaller than 26
HEIGHT = 1330
_TITLE, _HEAD, _NOTE = 38, 32, 26
_FINE = 2  # lines and dots are drawn so many times larger and reduced: smooth edges
_FEW = 10  # answers below which a rate is a ring, and no line leads to it
_LEFT, _PLOT = 128, 320  # pixels: left of the plots for the percentages, and a plot's height
_UPPER, _LOWER = 194, 824  # the tops of the plots


@dataclass(frozen=True)
class _Mark:
    """A rate in a plot. x: in [0, 1] of the plot's width. labels: below it, top to bottom."""

    x: float
    rate: Rate
    labels: tuple[str, ...]


def stats_picture(t: Words, stats: Stats) -> bytes:
    """A PNG, WIDTH × HEIGHT, of the calibration curve above the learning curve. No names, nothing but numbers."""
    fine = Image.new("RGB", (WIDTH * _FINE, HEIGHT * _FINE), BACKGROUND)
    sure, learning = _calibration_marks(t, stats), _learning_marks(t, stats)
    _draw_plot(ImageDraw.Draw(fine), _UPPER, sure, True)
    _draw_plot(ImageDraw.Draw(fine), _LOWER, learning, False)
    picture = fine.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    draw = ImageDraw.Draw(picture)
    room = WIDTH - 2 * MARGIN
    title = t.n("Your quiz: {count} answer", "Your quiz: {count} answers", stats.right.of)
    write(draw, (MARGIN, 24), title, _TITLE, TEXT, room=room, bold=True)
    _write_plot(t, draw, _UPPER, sure, t("How often you are right, by how sure you were"), t("no answers yet"))
    _write_centred(draw, _UPPER + _PLOT + 92, t("how sure you said you were"))
    about = t("On the dashed line you are exactly as often right as you are sure. Below it you are too sure.")
    write(draw, (MARGIN, _UPPER + _PLOT + 136), about, _NOTE, MUTED, room=room, lines=2)
    _write_plot(t, draw, _LOWER, learning, t("How often you are right, over time"), t("from 10 answers on"))
    _write_centred(draw, _LOWER + _PLOT + 56, t("answers so far"))
    about = t(
        "The dashed line is guessing. Bars show where your true rate lies with 95% confidence; rings: few answers."
    )
    write(draw, (MARGIN, _LOWER + _PLOT + 100), about, _NOTE, MUTED, room=room, lines=2)
    return as_png(picture)


def stats_alt(t: Words, stats: Stats) -> str:
    """The picture in words, for people who do not see it."""
    if not stats.bins:
        return t("Two empty charts: no answers yet.")
    bins = ", ".join(
        t(
            "{right}% of {count} at {sure}%",
            right=round(100 * (each.right.value or 0)),
            count=each.right.of,
            sure=round(100 * each.confidence),
        )
        for each in stats.bins
    )
    first = t("How often you were right, by how sure you were: {list}.", list=bins)
    if not stats.blocks:
        return first
    blocks = ", ".join(_percent(t, block.value or 0) for block in stats.blocks)
    return f"{first} {t('How often you were right, over time, oldest first: {list}.', list=blocks)}"


def _calibration_marks(t: Words, stats: Stats) -> list[_Mark]:
    return [
        _Mark(
            _sure_x(each.confidence),
            each.right,
            (_percent(t, each.confidence), t.n("{count} time", "{count} times", each.right.of)),
        )
        for each in stats.bins
    ]


def _learning_marks(t: Words, stats: Stats) -> list[_Mark]:
    marks, before = [], 0
    for block in stats.blocks:
        before += block.of
        marks.append(_Mark(0.94 * before / stats.right.of, block, (t.number(before),)))
    return marks


def _sure_x(confidence: float) -> float:
    """50% and 95% a good way from the edges, so that what is written below has room."""
    return 0.1 + 0.8 * (confidence - 0.5) / 0.45


def _percent(t: Words, share: float) -> str:
    return t("{percent}%", percent=f"{100 * share:.0f}")


def _across(x: float) -> float:
    return _LEFT + x * (WIDTH - MARGIN - _LEFT)


def _down(top: int, share: float) -> float:
    return top + (1 - share) * _PLOT


def _draw_plot(draw: ImageDraw.ImageDraw, top: int, marks: Sequence[_Mark], is_calibration: bool) -> None:
    """Everything but the words, on the larger canvas."""
    for share in (0, 0.25, 0.5, 0.75, 1) if is_calibration else (0, 0.25, 0.75, 1):
        _line(draw, [(_across(0), _down(top, share)), (_across(1), _down(top, share))], CARD, 2)
    start, end = ((_sure_x(0.5), 0.5), (_sure_x(0.95), 0.95)) if is_calibration else ((0, 0.5), (1, 0.5))
    _dashes(draw, (_across(start[0]), _down(top, start[1])), (_across(end[0]), _down(top, end[1])))
    dots = [(_across(mark.x), _down(top, mark.rate.value or 0)) for mark in marks]
    for n, (left, right) in enumerate(pairwise(marks)):
        if min(left.rate.of, right.rate.of) >= _FEW:
            _line(draw, dots[n : n + 2], ACCENT, 3)
    for (x, y), mark in zip(dots, marks, strict=True):
        low, high = (_down(top, edge) for edge in mark.rate.interval)
        _line(draw, [(x, low), (x, high)], ACCENT, 4)
        for edge in (low, high):
            _line(draw, [(x - 12, edge), (x + 12, edge)], ACCENT, 4)
        hole = [(6, BACKGROUND)] if mark.rate.of < _FEW else []
        for radius, colour in ((14, BACKGROUND), (11, ACCENT), *hole):
            draw.ellipse([_FINE * each for each in (x - radius, y - radius, x + radius, y + radius)], fill=colour)


def _write_plot(t: Words, draw: ImageDraw.ImageDraw, top: int, marks: Sequence[_Mark], head: str, empty: str) -> None:
    write(draw, (MARGIN, top - 98), head, _HEAD, TEXT, room=WIDTH - 2 * MARGIN, bold=True, lines=2)
    for share in (0, 0.5, 1):
        label = _percent(t, share)
        at = (_LEFT - 16 - width(label, _NOTE), round(_down(top, share)) - 17)
        write(draw, at, label, _NOTE, MUTED, room=_LEFT)
    for mark in marks:
        for line, label in enumerate(mark.labels):
            at = (round(_across(mark.x)) - width(label, _NOTE) // 2, top + _PLOT + 14 + 36 * line)
            write(draw, at, label, _NOTE, MUTED if line else TEXT, room=WIDTH)
    if not marks:
        at = (round(_across(0.5)) - width(empty, _HEAD) // 2, round(_down(top, 0.5)) - 60)
        write(draw, at, empty, _HEAD, MUTED, room=WIDTH)


def _write_centred(draw: ImageDraw.ImageDraw, y: int, text: str) -> None:
    x = max(MARGIN, round(_across(0.5)) - width(text, _NOTE) // 2)
    write(draw, (x, y), text, _NOTE, MUTED, room=WIDTH - MARGIN - x)


def _line(draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], colour: Colour, thick: int) -> None:
    draw.line([(_FINE * x, _FINE * y) for x, y in points], fill=colour, width=_FINE * thick, joint="curve")


def _dashes(draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float]) -> None:
    count = 41  # odd: a dash at both ends
    steps = [tuple(a + (b - a) * n / count for a, b in zip(start, end, strict=True)) for n in range(count + 1)]
    for n in range(0, count, 2):
        _line(draw, [(steps[n][0], steps[n][1]), (steps[n + 1][0], steps[n + 1][1])], MUTED, 3)
