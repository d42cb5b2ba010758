"""A contact sheet: what the images of a dataset look like, a row of thumbnails for each group, drawn by chance.

Real and fake are told apart by the word beside them, by the colour of the frame (blue, orange: Okabe and Ito's, safe
for any colour vision) and by its line (solid, dashed).
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from crawler.labels import LABELS, SPLITS
from crawler.manifest import Manifest
from infra.images import ImageRefused, decode_image
from infra.storage import ObjectNotFound, Storage, open_storage

COLUMNS = 8
MAX_ROWS = 40  # 40 rows are 6,500 pixels high; what lies below nobody looks at

_TILE = 144  # pixels: a face can be judged
_FRAME = 4
_GAP = 12
_CAPTION = 250
_HEAD = 76
_TEXT = 19  # the size of the letters beside a row
_INK, _PALE, _PAPER = (17, 17, 17), (90, 90, 90), (255, 255, 255)
_MATTE = (225, 225, 225)
_FRAMES = {"real": (0, 114, 178), "fake": (213, 94, 0)}  # #0072B2, #D55E00
_READS = 8

Group = tuple[str, str | None, str | None]  # label, generator, split; a split of None is all of them


@dataclass(frozen=True)
class _Row:
    """A group, how many images it has, and the keys of those shown."""

    group: Group
    count: int
    keys: Sequence[str]


def contact_sheet(manifest: Manifest, seed: int = 0) -> bytes:
    """The sheet as PNG bytes. The same images and seed give the same sheet.

    A row is a label, generator and split; splits are taken together where that would be more than MAX_ROWS rows, and
    the smallest groups left out, which the sheet says. An object that is missing or cannot be decoded is a grey tile
    that says so.
    """
    rows, left_out = _rows(manifest, seed)
    keys = [key for row in rows for key in row.keys]
    storage = open_storage(manifest.url)
    with ThreadPoolExecutor(_READS) as pool:
        tiles = dict(zip(keys, pool.map(lambda key: _tile(storage, key), keys), strict=True))
    width = _CAPTION + COLUMNS * (_TILE + _GAP) + _GAP
    foot = 40 if left_out or not rows else 0
    sheet = Image.new("RGB", (width, _HEAD + len(rows) * (_TILE + _GAP) + _GAP + foot), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_GAP, 12), f"{len(manifest):,} images, version {manifest.version}", 26, _INK, width - 2 * _GAP, True)
    legend = (
        f"up to {COLUMNS} of each group, drawn by chance (seed {seed}); frames: real solid blue, fake dashed orange"
    )
    _write(draw, (_GAP, 46), legend, 17, _PALE, width - 2 * _GAP)
    for number, row in enumerate(rows):
        _draw_row(sheet, draw, _HEAD + number * (_TILE + _GAP), row, tiles)
    if foot:
        text = f"{left_out} smaller groups are not shown" if rows else "this version holds no images"
        _write(draw, (_GAP, sheet.height - foot), text, 17, _PALE, width - 2 * _GAP)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _rows(manifest: Manifest, seed: int) -> tuple[list[_Row], int]:
    """The rows to draw, and how many groups are left out."""
    columns = [manifest.table[name].to_pylist() for name in ("label", "generator", "split")]
    groups: list[Group] = list(zip(*columns, strict=True))
    if len(set(groups)) > MAX_ROWS:
        groups = [(label, generator, None) for label, generator, _ in groups]
    counts = Counter(groups)
    largest = [group for group, _ in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:MAX_ROWS]]
    keys: dict[Group, list[str]] = {group: [] for group in largest}
    for group, key in zip(groups, manifest.table["key"].to_pylist(), strict=True):
        if group in keys:
            keys[group].append(key)
    chance = random.Random(seed)
    rows = []
    for group in sorted(keys, key=_order):
        shown = chance.sample(keys[group], min(COLUMNS, len(keys[group])))
        rows.append(_Row(group, counts[group], shown))
    return rows, len(counts) - len(rows)


def _order(group: Group) -> tuple[int, str, int]:
    label, generator, split = group
    return LABELS.index(label), generator or "", -1 if split is None else SPLITS.index(split)


def _tile(storage: Storage, key: str) -> Image.Image | str:
    """The thumbnail, or the word to show in its place."""
    try:
        rgb = decode_image(storage.get(key)).rgb
    except ObjectNotFound:
        return "missing"
    except ImageRefused:
        return "unreadable"
    return _thumbnail(rgb)


def _thumbnail(rgb: npt.NDArray[np.uint8]) -> Image.Image:
    """rgb: uint8 [H, W, 3] ▶ at most _TILE pixels square, never cropped; a small picture is enlarged in whole steps."""
    image = Image.fromarray(rgb)
    room = _TILE - 2 * _FRAME
    scale = room / max(image.size)
    if scale >= 2:
        scale = int(scale)
        return image.resize((image.width * int(scale), image.height * int(scale)), Image.Resampling.NEAREST)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _draw_row(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, top: int, row: _Row, tiles: Mapping[str, Image.Image | str]
) -> None:
    label, generator, split = row.group
    room = _CAPTION - 2 * _GAP
    _write(draw, (_GAP, top + 4), label.upper(), 26, _FRAMES[label], room, True)
    named = generator or ("generator unknown" if label == "fake" else "")
    lines = [*_in_two(named, room), split or "all splits", f"{row.count:,} image{'s' * (row.count != 1)}"]
    for number, line in enumerate(lines):
        _write(draw, (_GAP, top + 38 + 26 * number), line, _TEXT, _INK, room)
    for column, key in enumerate(row.keys):
        left = _CAPTION + column * (_TILE + _GAP)
        draw.rectangle((left, top, left + _TILE - 1, top + _TILE - 1), fill=_MATTE)
        tile = tiles[key]
        if isinstance(tile, str):
            _write_centred(draw, left, top, tile)
        else:
            sheet.paste(tile, (left + (_TILE - tile.width) // 2, top + (_TILE - tile.height) // 2))
        _frame(draw, left, top, _FRAMES[label], dashed=label == "fake")


def _frame(draw: ImageDraw.ImageDraw, left: int, top: int, colour: tuple[int, int, int], dashed: bool) -> None:
    right, bottom = left + _TILE - 1, top + _TILE - 1
    if not dashed:
        draw.rectangle((left, top, right, bottom), outline=colour, width=_FRAME)
        return
    dash = _TILE // 9  # an odd number of dashes and gaps, so that every corner has a dash
    for start in range(0, _TILE, 2 * dash):
        end = min(start + dash, _TILE) - 1
        for box in (
            (left + start, top, left + end, top + _FRAME - 1),
            (left + start, bottom - _FRAME + 1, left + end, bottom),
            (left, top + start, left + _FRAME - 1, top + end),
            (right - _FRAME + 1, top + start, right, top + end),
        ):
            draw.rectangle(box, fill=colour)


def _in_two(text: str, room: int) -> list[str]:
    """`text` in at most two lines; nothing for nothing."""
    fits = len(text)
    while fits > 1 and _font(_TEXT, False).getlength(text[:fits]) > room:
        fits -= 1
    return [part for part in (text[:fits], text[fits:]) if part]


def _write_centred(draw: ImageDraw.ImageDraw, left: int, top: int, text: str) -> None:
    middle = (left + _TILE // 2, top + _TILE // 2)
    draw.text(middle, text, fill=_INK, font=_font(18, False), anchor="mm")


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int], room: int,
    bold: bool = False,
) -> None:  # fmt: skip
    """One line, its middle replaced by an ellipsis where it is wider than `room` pixels."""
    font = _font(size, bold)
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    shown, kept = text, len(text)
    while kept and font.getlength(shown) > room:
        kept -= 1
        head = (kept + 1) // 2
        shown = f"{text[:head]}…{text[len(text) - (kept - head) :]}"
    draw.text(at, shown, fill=colour, font=font)


@lru_cache(maxsize=8)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib brings it, so that no machine lacks it."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
