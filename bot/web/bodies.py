"""What the API answers with, as pydantic models: the OpenAPI description is made from these."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bot.verdict import Label, Side
from model_defs.checkpoint import Card, Thresholds

_PNG = "data:image/png;base64,…"


class Body(BaseModel):
    """Nothing but what is described here."""

    model_config = ConfigDict(extra="forbid")


class VariantBody(Body):
    """The answer for the same picture, recompressed or resized."""

    name: str = Field(examples=["JPEG q75"])
    p_fake: float = Field(ge=0, le=1)
    verdict: Label
    title: str = Field(description="The name in the reader's language.")
    label: str = Field(description="The verdict in the reader's language.", examples=["fake"])
    percent: str = Field(description="The probability as people read it.", examples=["93%"])
    thumbnail: str | None = Field(
        default=None,
        description="A PNG without loss: what the network saw of it; absent without heatmaps.",
        examples=[_PNG],
    )


class StabilityBody(Body):
    """How the probability moves when the picture is recompressed or resized."""

    p_min: float = Field(ge=0, le=1, description="Over the picture as it came and all variants.")
    p_max: float = Field(ge=0, le=1)
    flips: bool = Field(description="A variant gets another verdict.")
    variants: list[VariantBody]


class ThresholdsBody(Body):
    """Probabilities of being generated: from `decision` on it is fake; between the other two the answer is unsure."""

    decision: float
    unsure_low: float
    unsure_high: float

    @classmethod
    def of(cls, thresholds: Thresholds) -> ThresholdsBody:
        return cls(**thresholds.model_dump())


class LayerBody(Body):
    """What one convolution contributed to the answer, and where."""

    name: str
    short: str = Field(description="The name without the parts that all layers share.")
    size: tuple[int, int] = Field(description="Height and width of the layer's own map; 0 where it was not reached.")
    channels: int
    peak: float = Field(description="The hottest spot, in logits.")
    share: float = Field(ge=0, le=1, description="This layer's evidence over that of all layers.")
    dead: bool = Field(description="It says nothing that counts.")
    live: bool = Field(description="It has heat to show: it is not dead, and sees more than one spot.")
    percent: str = Field(description="The share as people read it.", examples=["12%"])
    caption: str = Field(description="What it found, or why it shows nothing, in the reader's language.")
    heatmap: str = Field(
        description="A PNG: the layer's heat over what the network saw; that, grey, where there is no “where”.",
        examples=[_PNG],
    )


class WordsBody(Body):
    """The answer for people, in the language of Accept-Language that is spoken here (en, de)."""

    language: str
    title: str
    label: str = Field(description="The verdict in a word.", examples=["fake"])
    percent: str = Field(description="The probability as people read it.", examples=["93%"])
    bar: str = Field(description="What a drawing of the probability shows, for people who do not see it.")
    band: str = Field(description="From where to where the answer is unsure.")
    lines: list[str] = Field(description="Sentences, the probability first.")
    alt: str = Field(description="For people who do not see the pictures.")
    caution: str
    thumbnails: str | None = Field(
        default=None, description="What the variants' thumbnails are; absent without heatmaps."
    )


class CheckBody(Body):
    """The answer to "is this photo real?"."""

    p_fake: float = Field(ge=0, le=1, description="Calibrated probability that the picture is generated.")
    verdict: Label
    stability: StabilityBody
    model: str = Field(description="The id of the model that answered.")
    explains: Side = Field(description="Whose evidence the heatmaps show.")
    layers: list[LayerBody] = Field(description="Of every convolution, in the network's order; empty without heatmaps.")
    width: int
    height: int
    seconds: float = Field(description="Decoding, variants, network and heatmaps; not the wait before.")
    sha256: str = Field(description="Of the file that was sent.", pattern="^[0-9a-f]{64}$")
    thresholds: ThresholdsBody
    seen: str | None = Field(
        default=None, description="A PNG without loss: what the network saw; absent without heatmaps.", examples=[_PNG]
    )
    panel: str | None = Field(
        default=None,
        description="The picture that the chats send: verdict and heatmaps on one PNG, or JPEG where that is smaller; "
        "absent unless asked for.",
        examples=[_PNG],
    )
    words: WordsBody


class DatasetBody(Body):
    """What the model was trained on."""

    version: int
    hash: str


class ModelBody(Body):
    """The model that answers now."""

    id: str
    created_at: str
    family: str
    image_size: int = Field(description="Sides of what the network sees, in pixels.")
    colour: str
    thresholds: ThresholdsBody
    metrics: dict[str, dict[str, Any]] = Field(description="Split ▶ metric ▶ value.")
    dataset: DatasetBody
    limits: list[str] = Field(description="What it is known to be bad at, in English.")
    weights_sha256: str
    max_bytes: int = Field(description="Of a picture sent to this server.")

    @classmethod
    def of(cls, card: Card, max_bytes: int) -> ModelBody:
        """Without places of storage, and without how it was found."""
        return cls(
            id=card.id, created_at=card.created_at, family=card.model.family, image_size=card.preprocess.image_size,
            colour=card.preprocess.colour, thresholds=ThresholdsBody.of(card.thresholds), metrics=card.metrics,
            dataset=DatasetBody(version=card.dataset.version, hash=card.dataset.hash), limits=list(card.limits),
            weights_sha256=card.weights_sha256, max_bytes=max_bytes,
        )  # fmt: skip


class HealthBody(Body):
    """Whether all is well, and each part."""

    ok: bool
    checks: dict[str, bool]
