"""What an answer is: the frozen data that the detector hands to panels, chat clients and machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model_defs.checkpoint import Thresholds

Label: TypeAlias = Literal["real", "fake", "unsure"]
Side: TypeAlias = Literal["real", "fake"]

NO_PIXELS: NDArray[np.uint8] = np.zeros((0, 0, 3), dtype=np.uint8)  # where a picture was left out


@dataclass(frozen=True, eq=False)
class LayerHeatmap:
    """What one convolution contributed to the answer, and where.

    name: module path; a layer that runs several times has one entry a run, `name#2` for the second.
    size: (height, width) of the layer's own map; (0, 0) where this picture never reached the layer.
    peak: the hottest spot before stretching, in logits. share: in [0, 1], this layer's evidence over that of all
    layers. dead: it says nothing that counts (limits in `bot.explain`); its map may still look lively, as every map
    is stretched. map: float32 [S, S] in [0, 1], S the network's input size, from the layer's own coolest spot to its
    hottest; [3, 3], the means of its ninths, where it is only spoken of.
    """

    name: str
    size: tuple[int, int]
    channels: int
    peak: float
    share: float
    dead: bool
    map: NDArray[np.float32]

    @property
    def placeless(self) -> bool:
        """The layer sees the picture as one spot (1×1, as in squeeze-and-excitation) or not at all: no "where"."""
        return max(self.size) <= 1


@dataclass(frozen=True)
class Variant:
    """The answer for the same picture after `name`, such as "JPEG q75" or "half size"."""

    name: str
    p_fake: float
    verdict: Label


@dataclass(frozen=True)
class Stability:
    """How the probability moves when the picture is recompressed or resized.

    p_min, p_max: over the picture as it came and every variant. flips: a variant gets another verdict.
    """

    variants: tuple[Variant, ...]
    p_min: float
    p_max: float
    flips: bool


@dataclass(frozen=True, eq=False)
class Picture:
    """What was looked at. preview: uint8 [h, w, 3], the whole picture, small; seen: uint8 [S, S, 1 or 3], what the
    network was given; both of no size where they are not needed; fit: how the one was made from the other (see
    `Preprocess.fit`); width, height: as it came.
    """

    width: int
    height: int
    format: str
    fit: Literal["crop", "squash", "pad"]
    preview: NDArray[np.uint8]
    seen: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Verdict:
    """The answer to "is this photo real?".

    p_fake: calibrated probability that the picture is generated, in [0, 1]. verdict: by `thresholds`.
    model: the checkpoint bundle's id. explains: whose evidence the heatmaps in `layers` show; for "unsure" the nearer
    side. layers: empty when heatmaps were not asked for. seconds: decoding, variants, network and heatmaps.
    """

    p_fake: float
    verdict: Label
    stability: Stability
    model: str
    layers: tuple[LayerHeatmap, ...]
    explains: Side
    thresholds: Thresholds
    picture: Picture
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Everything but the pixels, as JSON can hold it."""
        return {
            "p_fake": round(self.p_fake, 6),
            "verdict": self.verdict,
            "stability": {
                "p_min": round(self.stability.p_min, 6),
                "p_max": round(self.stability.p_max, 6),
                "flips": self.stability.flips,
                "variants": [
                    {"name": v.name, "p_fake": round(v.p_fake, 6), "verdict": v.verdict}
                    for v in self.stability.variants
                ],
            },
            "model": self.model,
            "explains": self.explains,
            "layers": [
                {
                    "name": layer.name,
                    "size": list(layer.size),
                    "channels": layer.channels,
                    "peak": layer.peak,
                    "share": round(layer.share, 6),
                    "dead": layer.dead,
                }
                for layer in self.layers
            ],
            "width": self.picture.width,
            "height": self.picture.height,
            "seconds": round(self.seconds, 4),
        }


def label_of(p_fake: float, thresholds: Thresholds) -> Label:
    """unsure inside the band, its edges excluded; else the side of the decision threshold."""
    if thresholds.unsure_low < p_fake < thresholds.unsure_high:
        return "unsure"
    return side_of(p_fake, thresholds)


def side_of(p_fake: float, thresholds: Thresholds) -> Side:
    """The side of the decision threshold on which `p_fake` lies; the threshold itself is fake."""
    return "fake" if p_fake >= thresholds.decision else "real"
