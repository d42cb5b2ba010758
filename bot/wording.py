"""A verdict in words: for the terminal, the panel and people who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bot.verdict import LayerHeatmap, Verdict

NO_PROOF = "A heatmap shows where the network looked. It is not proof."
_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")


def percent(p: float) -> str:
    """A probability in whole percent, without claiming a certainty that no network has."""
    if p >= 0.995:
        return "over 99%"
    if p <= 0.005:
        return "under 1%"
    return f"{100 * p:.0f}%"


def share_percent(share: float) -> str:
    """A share of the evidence, with one decimal where whole numbers would hide it."""
    if 0 < share < 0.001:
        return "<0.1%"
    return f"{100 * share:.0f}%" if share >= 0.0995 or share == 0 else f"{100 * share:.1f}%"


def likelihood(verdict: Verdict) -> str:
    """ "93% likely to be generated"; always the same side, so that numbers of two photos can be compared."""
    return f"{percent(verdict.p_fake)} likely to be generated"


def stability_words(verdict: Verdict) -> str:
    """Whether the verdict survives recompression and resize, and how far the probability moves."""
    stability = verdict.stability
    low, high = f"{stability.p_min:.2f}", f"{stability.p_max:.2f}"
    spread = f"p {low}–{high}" if low != high else f"p {low} throughout"
    if not stability.flips:
        return f"holds under recompression and resize: yes ({spread})"
    others = _listed([f"{v.verdict} after {v.name}" for v in stability.variants if v.verdict != verdict.verdict])
    return f"holds under recompression and resize: no, {others} ({spread})"


def silence(layer: LayerHeatmap, side: str) -> str | None:
    """Why a layer has no heat to show, or None when it has."""
    if layer.size == (0, 0):
        return "not used for this picture"
    if layer.peak <= 0:
        return f"dead: no evidence for {side.upper()}"
    if layer.dead:
        return f"near-dead: {share_percent(layer.share)} of the evidence"
    if layer.placeless:
        return "sees the picture as one spot: no “where” to show"
    return None


def alt_text(verdict: Verdict) -> str:
    """The panel in two sentences for people who do not see it."""
    holds = "does not hold" if verdict.stability.flips else "holds"
    first = (
        f"Verdict: {verdict.verdict}, {likelihood(verdict)}; the verdict {holds} when the photo is recompressed "
        "or resized."
    )
    loudest = sorted((x for x in verdict.layers if not x.dead), key=lambda x: -x.share)[:3]
    if not verdict.layers:
        return first
    if not loudest:
        return f"{first} No layer shows evidence for {verdict.explains}."
    names = _listed([f"{layer.name} ({share_percent(layer.share)})" for layer in loudest])
    where = region([layer for layer in loudest if not layer.placeless])
    return f"{first} Most evidence for {verdict.explains} comes from {names}{f', {where}' if where else ''}."


def region(layers: Sequence[LayerHeatmap]) -> str:
    """Roughly where the layers' heat lies, "strongest in the upper left"; empty when there are none.

    The hottest of 3×3 fields of the maps, weighted by share; "spread all over the picture" when no field is a third
    hotter than the average.
    """
    if not layers:
        return ""
    heat = np.sum([layer.map * layer.share for layer in layers], axis=0)
    fields = np.array([[field.mean() for field in np.array_split(row, 3, axis=1)] for row in np.array_split(heat, 3)])
    if fields.max() < fields.mean() * 4 / 3:
        return "spread all over the picture"
    row, column = divmod(int(fields.argmax()), 3)
    if (row, column) == (1, 1):
        return "strongest in the centre"
    if row == 1:
        return f"strongest at the {_COLUMNS[column]}"
    return f"strongest in the {_ROWS[row]} {_COLUMNS[column]}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
