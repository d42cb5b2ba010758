"""The one form in which every face of a deck is shown, and the picture of the machine's evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bot.overlay import greyed, heated
from bot.quiz.deck import HeatPlace
from bot.quiz.deck_choice import kind_of
from bot.verdict import LayerHeatmap
from crawler.manifest import ManifestRow
from infra.images import encode_jpeg, encode_png

MAX_SIDE = 512
SMALLEST = 0.1  # of a kind that may be left out for being smaller than the rest: one thumbnail would shrink the deck
SHRUNK = 7 / 8  # of the smallest, where files differ: all are resampled, none keeps the pixels of its own encoder
SHOWN_SIDE = 256  # pixels; smaller pictures are all enlarged by one whole factor, to be seen in a chat at all
HEAT_SIDE = 320  # pixels: 140 kB in full colour; a palette would be half of that, and lose the little yellow there is
QUALITY, SUBSAMPLING = 90, "4:2:0"
GREY_SPREAD = 6.0  # mean difference of a pixel's channels, of 255, below which a picture is called grey

_PLACES: tuple[tuple[HeatPlace, HeatPlace, HeatPlace], ...] = (
    ("upper left", "upper centre", "upper right"),
    ("left", "centre", "right"),
    ("lower left", "lower centre", "lower right"),
)
_SPREAD = 4 / 3  # as in `bot.wording.region`: a field must be so much hotter than the average to be named


@dataclass(frozen=True)
class Form:
    """side: pixels to which the square in the middle is brought. factor: by which all are then enlarged. grey: the
    pictures lose their colours."""

    side: int
    factor: int
    grey: bool = False

    @property
    def shown(self) -> int:
        """Pixels a side of the file."""
        return self.side * self.factor

    def picture(self, rgb: NDArray[np.uint8]) -> bytes:
        """uint8 [H, W, 3], no side smaller than `side` ▶ the JPEG that is shown."""
        height, width = rgb.shape[:2]
        square = min(height, width)
        top, left = (height - square) // 2, (width - square) // 2
        picture = Image.fromarray(np.ascontiguousarray(rgb[top : top + square, left : left + square]))
        if self.grey:
            picture = picture.convert("L").convert("RGB")
        if square != self.side:
            picture = picture.resize((self.side, self.side), Image.Resampling.LANCZOS)
        if self.factor > 1:
            picture = picture.resize((self.shown, self.shown), Image.Resampling.BICUBIC)
        return encode_jpeg(np.asarray(picture), QUALITY, SUBSAMPLING)


def common_form(rows: Sequence[ManifestRow]) -> Form:
    """The form in which faces of all kinds can be shown without one being enlarged more than another.

    Its side is that of the smallest face, but for the smallest tenth of each kind; see :func:`is_large_enough`.
    """
    kinds = {kind_of(row) for row in rows}
    smallest = min(
        int(np.quantile([_short(row) for row in rows if kind_of(row) == kind], SMALLEST, method="lower"))
        for kind in kinds
    )
    alike = len({(row.width, row.height, row.format, row.jpeg_quality) for row in rows}) == 1
    side = min(MAX_SIDE, smallest if alike else max(1, int(smallest * SHRUNK)))
    return Form(side, factor=max(1, -(-SHOWN_SIDE // side)))


def is_large_enough(row: ManifestRow, form: Form) -> bool:
    """Whether the face need not be enlarged on the way to the common side."""
    return _short(row) >= form.side


def should_be_grey(pictures: Mapping[str, Sequence[NDArray[np.uint8]]]) -> bool:
    """Whether colour alone would tell kinds apart: most pictures of one are grey, most of another are not.

    pictures: some of each kind, uint8 [H, W, 3].
    """
    shares = [np.mean([is_grey(rgb) for rgb in of_kind]) for of_kind in pictures.values() if of_kind]
    return bool(max(shares) >= 0.5 > min(shares))


def is_grey(rgb: NDArray[np.uint8]) -> bool:
    """Whether uint8 [H, W, 3] has no colours to speak of; the chroma of a JPEG is never quite even."""
    spread = rgb.max(axis=2).astype(np.float32) - rgb.min(axis=2)
    return float(spread.mean()) < GREY_SPREAD


def evidence(layers: Sequence[LayerHeatmap]) -> NDArray[np.float32]:
    """All layers' evidence together: their maps, weighted by share ▶ float32 [S, S] in [0, 1], its hottest spot 1.

    All zero where no layer has a place to show. Raises ValueError without layers.
    """
    if not layers:
        raise ValueError("a verdict without heatmaps has no evidence to show")
    heat = np.zeros_like(layers[0].map)
    for layer in layers:
        if not layer.dead and not layer.placeless:
            heat += layer.map * np.float32(layer.share)
    peak = float(heat.max())
    return heat / np.float32(peak) if peak > 0 else heat


def heat_place(heat: NDArray[np.float32]) -> HeatPlace:
    """The hottest of 3×3 fields, "everywhere" where none stands out, "nowhere" where there is no heat."""
    if heat.max() <= 0:
        return "nowhere"
    fields = np.array([[field.mean() for field in np.array_split(row, 3, axis=1)] for row in np.array_split(heat, 3)])
    if fields.max() < fields.mean() * _SPREAD:
        return "everywhere"
    row, column = divmod(int(fields.argmax()), 3)
    return _PLACES[row][column]


def heat_picture(shown: NDArray[np.uint8], heat: NDArray[np.float32]) -> bytes:
    """The face, at most HEAT_SIDE, with the evidence over it, as a PNG. shown: uint8 [T, T, 3]; heat: as `evidence`."""
    side = min(HEAT_SIDE, shown.shape[0])
    base = np.asarray(Image.fromarray(shown).resize((side, side), Image.Resampling.BICUBIC))
    return encode_png(heated(base, heat) if heat.max() > 0 else greyed(base))


def padded(jpeg: bytes, length: int) -> bytes:
    """`jpeg` with as many bytes as `length`, at least its own: smooth faces make smaller files, and fakes are smoother.

    By fill bytes before the end marker, which decoders skip (ITU-T T.81, B.1.1.2).
    """
    end = b"\xff\xd9"
    return jpeg.removesuffix(end) + b"\xff" * (length - len(jpeg)) + end


def _short(row: ManifestRow) -> int:
    return min(row.width, row.height)
