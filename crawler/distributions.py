"""How the images of a dataset are distributed, real beside fake: what differs a network may learn instead of faces.

One column, large letters: readable on a phone. Real and fake differ in colour, in hatching and in the line.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from crawler.labels import LABELS, SPLITS
from crawler.manifest import Manifest

# Okabe and Ito's colours: told apart with any kind of colour vision, and differing in lightness.
_COLOURS = {"real": "#0072B2", "fake": "#D55E00"}
_HATCHES = {"real": "", "fake": "///"}
_LINES = {"real": "-", "fake": "--"}

_NAMES_SHOWN = 8
_WIDTH_IN, _DPI = 7.2, 125  # 900 pixels

Floats = npt.NDArray[np.float64]


def distributions(manifest: Manifest) -> bytes:
    """The plots as PNG bytes, 900 pixels wide: counts, sizes, bytes, bytes a pixel, formats, JPEG quality."""
    table = manifest.table
    of = {label: rows for label in LABELS if (rows := table.filter(pc.equal(table["label"], label))).num_rows}
    drawn: list[tuple[float, Callable[[Axes], None]]] = [
        (_height(len(set(_groups(rows))) for rows in of.values()), lambda axes: _counts(axes, of)),
        (2.8, lambda axes: _sizes(axes, of)),
        (2.8, lambda axes: _histogram(axes, {n: _column(r, "bytes") / 1e3 for n, r in of.items()}, "File size, kB")),
        (2.8, lambda axes: _histogram(axes, {n: _bits(r) for n, r in of.items()}, "Bits a pixel")),
        (2.6, lambda axes: _formats(axes, of)),
        (2.6, lambda axes: _qualities(axes, of)),
    ]
    heights = [height for height, _ in drawn]
    figure = Figure(
        figsize=(_WIDTH_IN, sum(heights) + 1.3), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    )
    FigureCanvasAgg(figure)
    sizes = ", ".join(f"{rows.num_rows:,} {label}" for label, rows in of.items()) or "no images"
    figure.suptitle(f"Version {manifest.version}: {sizes}", fontsize=15)
    grid = figure.subplots(len(drawn), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)
    for axes, (_, draw) in zip(grid[:, 0], drawn, strict=True):
        axes.tick_params(labelsize=12)
        draw(axes)
    handles = [_patch(label) for label in of]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=13, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _height(counts: Iterable[int]) -> float:
    """Inches for a panel with a bar for each group."""
    return 1.1 + 0.45 * sum(min(count, _NAMES_SHOWN) for count in counts)


def _groups(rows: pa.Table) -> list[str]:
    return [generator or "" for generator in rows["generator"].to_pylist()]


def _counts(axes: Axes, of: dict[str, pa.Table]) -> None:
    """A bar for each label and generator, divided by split in the order train, val, test, ood."""
    bars: list[tuple[str, str, Counter[str]]] = []
    for label, rows in of.items():
        by_group: dict[str, Counter[str]] = {}
        for group, split in zip(_groups(rows), rows["split"].to_pylist(), strict=True):
            by_group.setdefault(group, Counter())[split] += 1
        largest = sorted(by_group.items(), key=lambda item: (-item[1].total(), item[0]))
        bars += [(label, group, splits) for group, splits in largest[:_NAMES_SHOWN]]
        rest = sum((splits for _, splits in largest[_NAMES_SHOWN:]), Counter())
        if rest:
            bars[-1] = (label, f"{len(largest) - _NAMES_SHOWN + 1} others", bars[-1][2] + rest)
    for place, (label, group, splits) in enumerate(bars):
        left = 0
        for split in SPLITS:
            if splits[split]:
                axes.barh(place, splits[split], 0.45, left, edgecolor="white", linewidth=1.5, **_style(label))
                left += splits[split]
        parts = " + ".join(f"{splits[split]:,} {split}" for split in SPLITS if splits[split])
        text = f"{_short(f'{label} {group}'.strip(), 36)}: {parts}"
        above = (0, place - 0.25)
        axes.annotate(text, above, (2, 1), textcoords="offset points", va="bottom", fontsize=11, parse_math=False)
    axes.set_yticks([])
    axes.set_ylim(len(bars) - 0.6, -0.8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    _title(axes, "Images of each label, generator and split", None)
    axes.set_xlabel("images", fontsize=12)


def _sizes(axes: Axes, of: dict[str, pa.Table]) -> None:
    """Bars where a few sizes are nearly all of them, else a histogram of the shorter side."""
    names = {
        label: [f"{w}×{h}" for w, h in zip(rows["width"].to_pylist(), rows["height"].to_pylist(), strict=True)]
        for label, rows in of.items()
    }
    counts = {label: Counter(listed) for label, listed in names.items()}
    shares = [sum(n for _, n in count.most_common(4)) / count.total() for count in counts.values()]
    if all(share > 0.9 for share in shares):
        _bars(axes, counts, "Width × height, pixels", at_most=4)
        return
    shorter = {label: np.minimum(_column(rows, "width"), _column(rows, "height")) for label, rows in of.items()}
    _histogram(axes, shorter, "Shorter side, pixels")


def _formats(axes: Axes, of: dict[str, pa.Table]) -> None:
    _bars(axes, {label: Counter(rows["format"].to_pylist()) for label, rows in of.items()}, "File format", at_most=6)


def _qualities(axes: Axes, of: dict[str, pa.Table]) -> None:
    what = "JPEG quality (estimated)"
    values = {label: found for label, rows in of.items() if len(found := _column(rows, "jpeg_quality"))}
    distinct = sorted({int(value) for found in values.values() for value in found})
    if not distinct:
        _title(axes, what, None)
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no JPEGs", ha="center", va="center", fontsize=13, transform=axes.transAxes)
    elif len(distinct) <= 6:
        _bars(axes, {label: Counter(f"{value:.0f}" for value in found) for label, found in values.items()}, what, 6)
    else:
        _histogram(axes, values, what, np.arange(0.5, 101.5, 2))


def _bars(axes: Axes, counts: dict[str, Counter[str]], title: str, at_most: int) -> None:
    totals: Counter[str] = sum(counts.values(), Counter())
    names = [name for name, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0]))]
    shown = names[:at_most]
    has_rest = len(names) > at_most
    thick = 0.8 / max(1, len(counts))
    for place, (label, count) in enumerate(counts.items()):
        values = [count[name] for name in shown]
        values += [count.total() - sum(values)] if has_rest else []
        at = np.arange(len(values)) + (place - (len(counts) - 1) / 2) * thick
        shares = [100 * value / count.total() for value in values]
        axes.bar(at, shares, thick, edgecolor="white", **_style(label))
        for x, share, value in zip(at, shares, values, strict=True):
            axes.annotate(f"{share:.0f}%" if share >= 1 or not value else "<1%", (x, share), (0, 2),
                          textcoords="offset points", ha="center", va="bottom", fontsize=11)  # fmt: skip
    axes.set_xticks(range(len(shown) + has_rest), [_short(name, 12) for name in shown] + ["others"] * has_rest)
    axes.set_ylim(0, 118)
    axes.set_yticks([0, 50, 100])
    _title(axes, title, "% of its label")


def _histogram(axes: Axes, values: dict[str, Floats], what: str, bins: Floats | None = None) -> None:
    if bins is None:
        bins = _edges(np.concatenate([np.empty(0), *values.values()]))
    edges = list(bins)
    for label, found in values.items():
        weights = np.full(len(found), 100 / max(1, len(found)))
        colour = _COLOURS[label]
        axes.hist(found, edges, weights=weights, alpha=0.35, color=colour, hatch=_HATCHES[label], edgecolor="white")
        axes.hist(found, edges, weights=weights, histtype="step", color=colour, linewidth=2, linestyle=_LINES[label])
        axes.axvline(float(np.median(found)), color=colour, linestyle=":", linewidth=1.5)
    axes.set_xlim(edges[0], edges[-1])
    if not np.isclose(edges[2] - edges[1], edges[1] - edges[0]):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.6g}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(_two_and_five))
        axes.tick_params(axis="x", which="minor", labelsize=11)
    medians = ", ".join(f"{label} {np.median(found):,.3g}" for label, found in values.items())
    axes.set_xlabel(f"median (dotted): {medians}", fontsize=12)
    _title(axes, what, "% of its label")


def _edges(values: Floats) -> Floats:
    """Of equal width, or of equal ratio where the largest value is more than four times the smallest."""
    bins = int(np.clip(np.sqrt(len(values)), 8, 40))
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 1.0)
    if high > 4 * low:
        return np.geomspace(low / 1.02, high * 1.02, bins + 1)
    room = max(0.02 * (high - low), 0.1 * high if high == low else 0)  # one single value must not fill the axis
    return np.linspace(low - room, high + room, bins + 1)


def _two_and_five(x: float, _: int) -> str:
    leading = round(float(x / 10 ** np.floor(np.log10(x) + 1e-9)))
    return f"{x:,.6g}" if leading in (2, 5) else ""


def _column(rows: pa.Table, name: str) -> Floats:
    return np.asarray(rows[name].drop_null().to_numpy(), dtype=np.float64)


def _bits(rows: pa.Table) -> Floats:
    return 8 * _column(rows, "bytes") / (_column(rows, "width") * _column(rows, "height"))


def _style(label: str) -> dict[str, Any]:
    return {"color": _COLOURS[label], "hatch": _HATCHES[label]}


def _patch(label: str) -> Patch:
    return Patch(facecolor=_COLOURS[label], hatch=_HATCHES[label] * 2, edgecolor="white", label=label)


def _title(axes: Axes, title: str, y: str | None) -> None:
    axes.set_title(title, fontsize=13, loc="left")
    if y:
        axes.set_ylabel(y, fontsize=12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _short(text: str, at_most: int) -> str:
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(text) <= at_most:
        return text
    head = at_most // 2
    return f"{text[:head]}…{text[len(text) - (at_most - head - 1) :]}"
