"""An audit as a picture: every family's AUC with its interval, one panel a group; PNG bytes."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from crawler.audit.report import LIMIT, Audit, Group, Probe

# Okabe and Ito's colours, told apart with any kind of colour vision; the marker's shape says the same once more.
_CLEAN, _SUSPICIOUS, _LEAKS, _NOT_COUNTED = (
    ("clean", "#0072B2", "o"),
    ("suspicious", "#E69F00", "D"),
    ("leaks", "#D55E00", "s"),
    ("not counted", "#777777", "o"),
)
_STYLES = {style[0]: style for style in (_CLEAN, _SUSPICIOUS, _LEAKS, _NOT_COUNTED)}
_MOST_PANELS = 6
_WIDTH_INCHES, _ROW_INCHES, _HEAD_INCHES = 4.6, 0.26, 0.55  # 736 pixels wide: a phone shows it without zooming


def plot_audit(audit: Audit, limit: float = LIMIT) -> bytes:
    """A PNG on opaque white, legible on a dark page and a light one. Of many generators the worst six are shown."""
    probed = [group for group in audit.groups if group.probes]
    ranked = sorted(probed, key=_worst_low, reverse=True)[:_MOST_PANELS]
    shown = [group for group in probed if group in ranked]
    heights = [_HEAD_INCHES + _ROW_INCHES * len(group.probes) for group in shown] or [1.0]
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights) + 1.35), dpi=160, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"What predicts the label besides the picture?\nv{audit.version:04d}: {audit.verdict(limit)}", fontsize=10
    )
    panels = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, group in zip(panels, shown, strict=False):
        _panel(axes, group, limit)
    if not shown:
        panels[0].set_axis_off()
        panels[0].text(0.5, 0.5, "too few images", ha="center", va="center")
    panels[-1].set_xlabel("AUC, with its 95% interval (0.5: nothing, 1: always)", fontsize=8)
    figure.legend(handles=_legend(limit), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes: Axes, group: Group, limit: float) -> None:
    held_out = ", held out" if group.held_out else ""
    name = group.name if len(group.name) <= 28 else group.name[:27] + "…"
    axes.set_title(f"{name}{held_out}: {group.fakes:,} fakes, {group.reals:,} reals", fontsize=9, loc="left")
    axes.axvline(0.5, color="#BBBBBB", linewidth=1)
    axes.axvline(limit, color="#333333", linewidth=1, linestyle="--")
    for row, probe in enumerate(group.probes):
        _, colour, marker = _STYLES[_style(probe, limit)]
        axes.plot([probe.low, probe.high], [row, row], color=colour, linewidth=2.5, solid_capstyle="butt")
        face = "white" if not probe.counted else colour
        axes.plot([probe.auc], [row], marker, color=colour, markerfacecolor=face, markersize=6, clip_on=False, zorder=3)
    axes.set_yticks(range(len(group.probes)), [probe.family for probe in group.probes], fontsize=8)
    axes.set_ylim(len(group.probes) - 0.5, -0.5)
    axes.set_xlim(min(0.4, *(probe.low for probe in group.probes)), 1.0)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _style(probe: Probe, limit: float) -> str:
    return probe.verdict(limit) if probe.counted else "not counted"


def _worst_low(group: Group) -> float:
    return max(probe.low for probe in group.counted())


def _legend(limit: float) -> list[Line2D]:
    handles = [
        Line2D(
            [], [], color=colour, marker=marker, linestyle="", label=name,
            markerfacecolor="white" if name == "not counted" else colour,
        )
        for name, colour, marker in _STYLES.values()
    ]  # fmt: skip
    return [*handles, Line2D([], [], color="#333333", linestyle="--", linewidth=1, label=f"limit {limit:g}")]
