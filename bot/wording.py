"""A verdict in words: for the terminal, the panel and people who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from bot.verdict import Label, LayerHeatmap, Verdict
from bot.words import ENGLISH, Words, later

NO_PROOF = later("A heatmap shows where the network looked. It is not proof.")
_LABELS: dict[Label, str] = {"real": later("real"), "fake": later("fake"), "unsure": later("unsure")}
_REGIONS = (
    (
        later("strongest in the upper left"),
        later("strongest in the upper centre"),
        later("strongest in the upper right"),
    ),
    (later("strongest at the left"), later("strongest in the centre"), later("strongest at the right")),
    (
        later("strongest in the lower left"),
        later("strongest in the lower centre"),
        later("strongest in the lower right"),
    ),
)
_VARIANTS = (later("JPEG q90"), later("JPEG q75"), later("JPEG q50"), later("half size"))  # of bot.variants


def label_word(label: Label, t: Words = ENGLISH) -> str:
    """ "fake", "real" or "unsure" in the reader's language."""
    return t(_LABELS[label])


def percent(p: float, t: Words = ENGLISH) -> str:
    """A probability in whole percent, without claiming a certainty that no network has."""
    if p >= 0.995:
        return t("over {percent}%", percent=99)
    if p <= 0.005:
        return t("under {percent}%", percent=1)
    return t("{percent}%", percent=f"{100 * p:.0f}")


def share_percent(share: float, t: Words = ENGLISH) -> str:
    """A share of the evidence, with one decimal where whole numbers would hide it."""
    if 0 < share < 0.001:
        return t("<{percent}%", percent=t.number(0.1, 1))
    return t("{percent}%", percent=t.number(100 * share, 0 if share >= 0.0995 or share == 0 else 1))


def likelihood(verdict: Verdict, t: Words = ENGLISH) -> str:
    """ "93% likely to be generated"; always the same side, so that numbers of two photos can be compared."""
    return t("{percent} likely to be generated", percent=percent(verdict.p_fake, t))


def stability_words(verdict: Verdict, t: Words = ENGLISH) -> str:
    """Whether the verdict survives recompression and resize, and how far the probability moves."""
    stability = verdict.stability
    low, high = t.number(stability.p_min, 2), t.number(stability.p_max, 2)
    spread = t("p {low}–{high}", low=low, high=high) if low != high else t("p {low} throughout", low=low)
    if not stability.flips:
        return t("holds under recompression and resize: yes ({spread})", spread=spread)
    return t("holds under recompression and resize: no, {others} ({spread})", others=flips(verdict, t), spread=spread)


def flips(verdict: Verdict, t: Words = ENGLISH) -> str:
    """ "unsure after JPEG q90 and JPEG q50 and real after half size": what gives another verdict."""
    changes: dict[Label, list[str]] = {}
    for variant in verdict.stability.variants:
        if variant.verdict != verdict.verdict:
            changes.setdefault(variant.verdict, []).append(t(variant.name))
    said = [
        t("{verdict} after {changes}", verdict=label_word(label, t), changes=listed(names, t))
        for label, names in changes.items()
    ]
    return listed(said, t)


def silence(layer: LayerHeatmap, side: Label, t: Words = ENGLISH) -> str | None:
    """Why a layer has no heat to show, or None when it has."""
    if layer.size == (0, 0):
        return t("not used for this picture")
    if layer.peak <= 0:
        return t("dead: no evidence for {side}", side=label_word(side, t).upper())
    if layer.dead:
        return t("near-dead: {share} of the evidence", share=share_percent(layer.share, t))
    if layer.placeless:
        return t("sees the picture as one spot: no “where” to show")
    return None


def short_names(layers: Sequence[LayerHeatmap]) -> list[str]:
    """The layers' names without the leading parts that all of them share."""
    parts = [layer.name.split(".") for layer in layers]
    levels = zip(*(part[:-1] for part in parts), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels)) if len(parts) > 1 else 0
    if any(part[shared].isdigit() for part in parts):
        shared = max(0, shared - 1)  # "features.12.0" says more than "12.0"
    return [".".join(part[shared:]) for part in parts]


def short_name(layers: Sequence[LayerHeatmap], layer: LayerHeatmap) -> str:
    """What `short_names` calls one of `layers`; the whole name of another."""
    return dict(zip((each.name for each in layers), short_names(layers), strict=True)).get(layer.name, layer.name)


def left_out_words(layers: Sequence[LayerHeatmap], shown: Sequence[LayerHeatmap], t: Words = ENGLISH) -> str:
    """A sentence on the layers that are not shown; empty when all are."""
    names = {layer.name for layer in shown}
    hidden = [layer for layer in layers if layer.name not in names]
    if not hidden:
        return ""
    dead = sum(layer.dead for layer in hidden)
    placeless = sum(layer.placeless and not layer.dead for layer in hidden)
    less = len(hidden) - dead - placeless
    kinds = (
        (less, t("{count} with less evidence", count=less)),
        (dead, t("{count} dead or near-dead", count=dead)),
        (placeless, t("{count} without a place to show", count=placeless)),
    )
    reasons = ", ".join(words for count, words in kinds if count)
    return t("{hidden} of {all} layers left out: {reasons}.", hidden=len(hidden), all=len(layers), reasons=reasons)


def alt_text(verdict: Verdict, t: Words = ENGLISH) -> str:
    """The panel in two sentences for people who do not see it."""
    said, likely = label_word(verdict.verdict, t), likelihood(verdict, t)
    if verdict.stability.flips:
        first = t(
            "Verdict: {verdict}, {likely}; the verdict does not hold when the photo is recompressed or resized.",
            verdict=said, likely=likely,
        )  # fmt: skip
    else:
        first = t(
            "Verdict: {verdict}, {likely}; the verdict holds when the photo is recompressed or resized.",
            verdict=said, likely=likely,
        )  # fmt: skip
    if not verdict.layers:
        return first
    return f"{first} {evidence_words(verdict, t)}"


def region(layers: Sequence[LayerHeatmap], t: Words = ENGLISH) -> str:
    """Roughly where the layers' heat lies, "strongest in the upper left"; empty when there are none.

    The hottest of 3×3 fields of the maps, weighted by share; "spread all over the picture" when no field is a third
    hotter than the average.
    """
    if not layers:
        return ""
    fields = np.sum([ninths(layer.map) * layer.share for layer in layers], axis=0)
    if fields.max() < fields.mean() * 4 / 3:
        return t("spread all over the picture")
    row, column = divmod(int(fields.argmax()), 3)
    return t(_REGIONS[row][column])


def ninths(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [S, S] ▶ float32 [3, 3], the means of its fields: all that words need of a map, and its own ninths."""
    if len(heat) < 3:  # spots so large that each reaches into several fields
        heat = heat.repeat(3, axis=0).repeat(3, axis=1)
    rows = np.array_split(heat, 3)
    return np.array([[field.mean() for field in np.array_split(row, 3, axis=1)] for row in rows], dtype=np.float32)


def listed(names: Sequence[str], t: Words = ENGLISH) -> str:
    """ "one", "one and two", "one, two and three". At least one name."""
    if len(names) == 1:
        return names[0]
    return t("{names} and {last}", names=", ".join(names[:-1]), last=names[-1])


def evidence_words(verdict: Verdict, t: Words) -> str:
    """Which layers the evidence comes from, and roughly where it lies; empty when no layer was looked at."""
    if not verdict.layers:
        return ""
    side = label_word(verdict.explains, t)
    loudest = sorted((x for x in verdict.layers if not x.dead), key=lambda x: -x.share)[:3]
    if not loudest:
        return t("No layer shows evidence for {side}.", side=side)
    names = listed([f"{short_name(verdict.layers, layer)} ({share_percent(layer.share, t)})" for layer in loudest], t)
    where = region([layer for layer in loudest if not layer.placeless], t)
    if not where:
        return t("Most evidence for {side} comes from {layers}.", side=side, layers=names)
    return t("Most evidence for {side} comes from {layers}, {where}.", side=side, layers=names, where=where)
