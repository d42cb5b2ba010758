"""What is measured of an image besides its picture, in families; from the manifest's row and the original bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from crawler.audit.headers import Header, read_header
from crawler.manifest import ManifestRow
from infra.images import decode_image

Value: TypeAlias = str | float | frozenset[str]
Measured: TypeAlias = Mapping[str, Value]  # by the feature's name


@dataclass(frozen=True)
class Feature:
    """One measure. kind: what its values are. words: how a sentence about images goes on before the value."""

    name: str
    family: str
    kind: Literal["number", "category", "set"]
    words: str
    unit: str = ""


@dataclass(frozen=True)
class Family:
    """Features that are probed together. counted: whether the verdict depends on it."""

    name: str
    counted: bool = True


# The last two are told and not counted. Brightness and colour *are* the picture: a generator that draws darker faces
# is caught by that rightly, and no transform of the file should hide it. Where an image comes from separates the
# labels in nearly every dataset, and a network never sees it.
FAMILIES = (
    Family("format"),
    Family("dimensions"),
    Family("file size"),
    Family("quantisation"),
    Family("encoding"),
    Family("metadata"),
    Family("border"),
    Family("brightness and colour", counted=False),
    Family("source", counted=False),
)

FEATURES = (
    Feature("format", "format", "category", "are"),
    Feature("size", "dimensions", "category", "are"),
    Feature("width", "dimensions", "number", "width", "px"),
    Feature("height", "dimensions", "number", "height", "px"),
    Feature("aspect", "dimensions", "number", "width ÷ height"),
    Feature("bytes", "file size", "number", "file size", "bytes"),
    Feature("bytes per pixel", "file size", "number", "bytes per pixel"),
    Feature("quality", "quantisation", "number", "JPEG quality"),
    Feature("tables", "quantisation", "category", "have the quantisation tables"),
    Feature("subsampling", "encoding", "category", "have the chroma subsampling"),
    Feature("mode", "encoding", "category", "are coded as"),
    Feature("coder", "encoding", "category", "are written with"),
    Feature("layout", "encoding", "category", "have the file layout"),
    Feature("metadata", "metadata", "set", "carry"),
    Feature("metadata bytes", "metadata", "number", "metadata", "bytes"),
    Feature("markers", "metadata", "set", "carry traces of"),
    Feature("plain edges", "border", "number", "edges of one colour"),
    Feature("bars", "border", "number", "plain bars at the edges, together", "of the picture"),
    *(
        Feature(f"step {n}", "border", "number", f"step from the {where} line of pixels to the next, in logarithms")
        for n, where in enumerate(("outermost", "second", "third", "fourth"), 1)
    ),
    Feature("edge contrast", "border", "number", "contrast along the outermost line against the next, in logarithms"),
    Feature("edge brightness", "border", "number", "bend of the brightness at the outermost line", "levels"),
    Feature("brightness", "brightness and colour", "number", "mean brightness"),
    Feature("contrast", "brightness and colour", "number", "contrast"),
    Feature("red", "brightness and colour", "number", "red less green"),
    Feature("blue", "brightness and colour", "number", "blue less green"),
    Feature("rim brightness", "brightness and colour", "number", "brightness of the outermost four lines"),
    Feature("source", "source", "category", "come from the source"),
    Feature("host", "source", "category", "were fetched from"),
)  # fmt: skip

_LINES = 8  # lines of pixels looked at from each edge; the outermost four are judged against the others
_PLAIN = 3.0  # grey levels by which a bar of one colour may vary: JPEG rings beside it


def measure(row: ManifestRow, data: bytes) -> Measured:
    """Every feature of the image whose original bytes are `data`. Raises ImageRefused.

    Numbers may be NaN: no JPEG has no quality, a picture under 16 pixels no border.
    """
    rgb = decode_image(data).rgb
    return {
        "format": row.format.upper(),
        "size": f"{row.width}×{row.height}",
        "width": float(row.width),
        "height": float(row.height),
        "aspect": row.width / row.height,
        "bytes": float(row.bytes),
        "bytes per pixel": row.bytes / (row.width * row.height),
        "quality": float("nan") if row.jpeg_quality is None else float(row.jpeg_quality),
        "markers": frozenset(row.ai_markers or ()),
        "source": row.source,
        "host": _host(row.final_url or row.url or ""),
        **_of_header(read_header(data)),
        **_border(rgb),
        **_tone(rgb),
    }


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "no known host"
    except ValueError:  # an index may hold anything
        return "no known host"


def _of_header(header: Header) -> dict[str, Value]:
    return {
        "tables": header.tables,
        "subsampling": header.subsampling,
        "mode": header.mode,
        "coder": header.coder,
        "layout": "".join(c if c.isprintable() else "?" for c in header.layout)[:80],
        "metadata": header.metadata,
        "metadata bytes": float(header.metadata_bytes),
    }


def _border(rgb: NDArray[np.uint8]) -> dict[str, Value]:
    """rgb: uint8 [H, W, 3]. Relative to the next lines, so that no background, and no shade towards it, is a border."""
    names = [f.name for f in FEATURES if f.family == "border"]
    if min(rgb.shape[:2]) < 2 * _LINES:
        return dict.fromkeys(names, float("nan"))
    sides = [_grey(side) for side in _edges(rgb)]
    plain = sum(float(side[0].std()) < 1.0 for side in sides)
    whole = (rgb.shape[0], rgb.shape[0], rgb.shape[1], rgb.shape[1])
    bars = sum(_bar(full) / size for full, size in zip(_edges(rgb), whole, strict=True))
    # steps: float [7], how much each of the lines differs from the next, the mean over the sides
    steps = np.mean([np.abs(np.diff(side, axis=0)).mean(axis=1) for side in sides], axis=0)
    usual = steps[4:].mean()
    deviations = np.mean([side.std(axis=1) for side in sides], axis=0)
    means = np.mean([side.mean(axis=1) for side in sides], axis=0)
    return {
        "plain edges": float(plain),
        "bars": bars,
        **{f"step {n}": float(np.log((step + 0.5) / (usual + 0.5))) for n, step in enumerate(steps[:4], 1)},
        "edge contrast": float(np.log((deviations[0] + 1) / (deviations[1] + 1))),
        "edge brightness": float(means[0] - 2 * means[1] + means[2]),
    }


def _edges(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """The picture seen from each of its edges: uint8 [lines, length, 3], the outermost line first. Views, no copies."""
    turned = rgb.transpose(1, 0, 2)
    return rgb, rgb[::-1], turned, turned[::-1]


def _grey(side: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey: NDArray[np.float32] = side[:_LINES].mean(axis=2, dtype=np.float32)
    return grey


def _bar(side: NDArray[np.uint8]) -> int:
    """How many lines from this edge are of the outermost one's colour; at most half of the picture."""
    colour = float(side[0].mean())
    for thickness, line in enumerate(side[: len(side) // 2]):
        grey = line.mean(axis=1, dtype=np.float32)
        if grey.std() > _PLAIN or abs(float(grey.mean()) - colour) > _PLAIN:
            return thickness
    return len(side) // 2


def _tone(rgb: NDArray[np.uint8]) -> dict[str, Value]:
    step = max(1, max(rgb.shape[:2]) // 256)
    small = rgb[::step, ::step].astype(np.float32)
    red, green, blue = (float(small[..., channel].mean()) for channel in range(3))
    rim = np.mean([float(side[:4].mean()) for side in _edges(rgb)])
    return {
        "brightness": float(small.mean()),
        "contrast": float(small.mean(axis=2).std()),
        "red": red - green,
        "blue": blue - green,
        "rim brightness": float(rim),
    }
