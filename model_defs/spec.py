"""ModelSpec: the YAML grammar of a network, validated, and the arithmetic that says whether it can work.

A network is either a CNN of the project's own grammar (``family: cnn``) or a torchvision family by its name
(``family: resnet18``). Nothing here needs torch, so a sweep of thousands of specs is checked in a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from infra.errors import UserError
from infra.params import StrictModel, validate

Frontend: TypeAlias = Literal["none", "npr", "srm", "spectrum"]
Norm: TypeAlias = Literal["none", "batch", "group", "instance"]
Activation: TypeAlias = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "none"]
Colour: TypeAlias = Literal["rgb", "grey"]

CHANNELS: Mapping[str, int] = {"rgb": 3, "grey": 1}

# A dense layer behind a large flattened picture quickly asks for more memory than any card has; 400 million
# float32 weights are 1.6 GB, and four times that under Adam (weights, gradients and two moments).
MAX_PARAMETERS = 400_000_000

MAX_GROUPS = 32  # Wu and He, "Group Normalization", ECCV 2018


class SpecError(UserError):
    """A network that cannot be built, with the layer that is the reason."""


class ConvBlock(StrictModel):
    """convolution ▶ norm ▶ activation ▶ pooling ▶ dropout.

    padding: zeros added at every edge; 'same' keeps ceil(side / stride) for odd kernels and one pixel less for even
    ones at stride 1, because every edge gets as much. pool_size: also its stride, as Keras has it. dropout: of whole
    channels. l2: λ of λ·‖W‖² added to the loss.
    """

    filters: int = Field(ge=1, le=4096)
    kernel: int = Field(default=3, ge=1, le=31)
    stride: int = Field(default=1, ge=1, le=16)
    padding: Literal["same", "valid"] | Annotated[int, Field(ge=0, le=15)] = "same"
    norm: Norm = "none"
    activation: Activation = "relu"
    pool: Literal["max", "avg", "none"] = "max"
    pool_size: int = Field(default=2, ge=2, le=16)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    l2: float = Field(default=0.0, ge=0.0)

    @property
    def pad(self) -> int:
        """Pixels added at every edge."""
        if self.padding == "same":
            return (self.kernel - 1) // 2
        return 0 if self.padding == "valid" else self.padding

    @property
    def groups(self) -> int:
        """Groups of `norm: group`: as many as divide the filters, up to 32, each of two channels or more.

        One channel a group would be instance norm. A prime number of filters makes one group of all.
        """
        return max(g for g in range(1, MAX_GROUPS + 1) if self.filters % g == 0 and (g == 1 or 2 * g <= self.filters))


class DenseLayer(StrictModel):
    """fully connected ▶ norm ▶ activation ▶ dropout."""

    nodes: int = Field(ge=1, le=65536)
    norm: Literal["none", "batch"] = "none"
    activation: Activation = "relu"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    l2: float = Field(default=0.0, ge=0.0)


class CnnSpec(StrictModel):
    """A CNN from scratch. `depth` and `dense_depth` use only the first so many layers of their lists.

    `block_defaults` and `dense_defaults` beside them hold what every block or dense layer has unless it says otherwise.
    """

    family: Literal["cnn"] = "cnn"
    frontend: Frontend = "none"
    blocks: tuple[ConvBlock, ...] = Field(min_length=1, max_length=64)
    depth: int | None = Field(default=None, ge=1)
    global_pool: Literal["none", "avg", "max"] = "none"
    dense: tuple[DenseLayer, ...] = Field(default=(), max_length=16)
    dense_depth: int | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _spread_defaults(cls, content: Any) -> Any:
        for section in _DEFAULTS:
            given = content.get(section) if isinstance(content, Mapping) else None
            if not isinstance(given, Mapping | None):
                raise ValueError(f"{section} should be a mapping of keys to values, not {given!r:.80}")
        return spread_defaults(content)

    @model_validator(mode="after")
    def _depth_fits(self) -> CnnSpec:
        if self.depth is not None and self.depth > len(self.blocks):
            raise ValueError(f"depth is {self.depth} but only {len(self.blocks)} blocks are given")
        if self.dense_depth is not None and self.dense_depth > len(self.dense):
            raise ValueError(f"dense_depth is {self.dense_depth} but only {len(self.dense)} dense layers are given")
        return self

    def canonical(self) -> CnnSpec:
        """The same network with the layers that are not used left out."""
        return self.model_copy(
            update={
                "blocks": self.blocks[: self.depth],
                "depth": None,
                "dense": self.dense[: self.dense_depth],
                "dense_depth": None,
            }
        )


class BackboneSpec(StrictModel):
    """A torchvision network with one output.

    weights: 'none' (random), 'torchvision' (its own, downloaded by torchvision), or the path of a .safetensors file.
    frozen: train only the new last layer. dropout: before the last layer; null keeps the family's own, mostly none.
    """

    family: str
    frontend: Frontend = "none"
    weights: str = "none"
    frozen: bool = False
    dropout: float | None = Field(default=None, ge=0.0, lt=1.0)

    def canonical(self) -> BackboneSpec:
        """Itself: a backbone has no unused layers."""
        return self

    @field_validator("weights")
    @classmethod
    def _weights_are_safe(cls, weights: str) -> str:
        if weights not in ("none", "torchvision") and not weights.endswith(".safetensors"):
            raise ValueError(
                f"must be none, torchvision or a .safetensors file, not {weights!r:.200} "
                "(other formats can run code when they are opened)"
            )
        return weights

    @model_validator(mode="after")
    def _frozen_has_weights(self) -> BackboneSpec:
        if self.frozen and self.weights == "none":
            raise ValueError("frozen: true needs weights; a frozen random network learns nothing")
        return self


def _kind(content: Any) -> str:
    if isinstance(content, Mapping):
        return "cnn" if content.get("family", "cnn") == "cnn" else "backbone"
    return "cnn" if isinstance(content, CnnSpec) else "backbone"


# The family decides which grammar is meant, so that an error is about that one and not about both.
ModelSpec: TypeAlias = Annotated[
    Annotated[CnnSpec, Tag("cnn")] | Annotated[BackboneSpec, Tag("backbone")], Discriminator(_kind)
]

_DEFAULTS: Mapping[str, str] = {"block_defaults": "blocks", "dense_defaults": "dense"}


def spread_defaults(content: Any) -> Any:
    """`block_defaults` and `dense_defaults` copied into every block and dense layer that does not say otherwise.

    Works on raw mappings, so that one search-space leaf in the defaults stays one decision for all layers.
    """
    if not isinstance(content, Mapping):
        return content
    spread = dict(content)
    for section, key in _DEFAULTS.items():
        defaults = spread.pop(section, None) or {}
        layers = spread.get(key)
        if isinstance(defaults, Mapping) and isinstance(layers, (list, tuple)):
            spread[key] = [{**defaults, **layer} if isinstance(layer, Mapping) else layer for layer in layers]
    return spread


def parse_model_spec(content: Any, where: str) -> ModelSpec:
    """The validated spec of a concrete (no search-space leaves) mapping. Raises ParamsError or SpecError."""
    if isinstance(content, Mapping) and content.get("family", "cnn") != "cnn":
        if isinstance(content["family"], str):
            from model_defs.families import check_family

            # First, or the error would be about the keys that the unknown family does not have.
            check_family(content["family"], where)
        return validate(BackboneSpec, content, where, "model")
    return validate(CnnSpec, content, where, "model").canonical()


@dataclass(frozen=True)
class Geometry:
    """What becomes of a picture in a CNN.

    sides: of the square map behind each block. features: numbers that reach the first dense layer, or the output.
    parameters: trainable weights and biases. min_batch: pictures that a training batch needs.
    """

    sides: tuple[int, ...]
    features: int
    parameters: int
    min_batch: int


def check_geometry(spec: ModelSpec, image_size: int, colour: Colour, batch_size: int | None = None) -> int:
    """The number of trainable parameters, after checking that every layer fits what is left of the picture.

    batch_size: of training, where it is known. A backbone is only checked for the smallest picture it takes, and its
    parameters are not counted (0). Raises SpecError naming the layer.
    """
    if isinstance(spec, BackboneSpec):
        from model_defs.families import check_picture

        check_picture(spec.family, image_size)
        return 0
    geometry = trace_geometry(spec, image_size, colour)
    if batch_size is not None and batch_size < geometry.min_batch:
        raise SpecError(
            f"train.batch_size: batch norm of single numbers needs {geometry.min_batch} pictures in a batch, "
            f"not {batch_size}; use norm: none or group"
        )
    return geometry.parameters


def trace_geometry(spec: CnnSpec, image_size: int, colour: Colour) -> Geometry:
    """The way of a picture of `image_size` through the layers of `spec`. Raises SpecError naming the layer."""
    spec = spec.canonical()
    side, channels, parameters, min_batch = image_size, frontend_channels(spec.frontend, colour), 0, 1
    sides: list[int] = []
    for number, block in enumerate(spec.blocks):
        parameters += block.filters * (channels * block.kernel**2 + 1) + 2 * block.filters * (block.norm != "none")
        _check_parameters(parameters, f"model.blocks.{number}.filters")
        mapped = _convolved(block, side, number, image_size)
        if block.norm == "batch" and mapped == 1:
            min_batch = 2
        side = _pooled(block, mapped, number, image_size)
        channels = block.filters
        sides.append(side)
    features = first = channels * (side * side if spec.global_pool == "none" else 1)
    for number, dense in enumerate(spec.dense):
        parameters += features * dense.nodes + dense.nodes * (1 if dense.norm == "none" else 3)
        _check_parameters(parameters, f"model.dense.{number}.nodes")
        if dense.norm == "batch":
            min_batch = 2
        features = dense.nodes
    return Geometry(tuple(sides), first, parameters + features + 1, min_batch)


def frontend_channels(frontend: Frontend, colour: Colour) -> int:
    """Channels that the front end hands to the first convolution."""
    return {"none": CHANNELS[colour], "npr": CHANNELS[colour], "srm": 3, "spectrum": 1}[frontend]


def _convolved(block: ConvBlock, side: int, number: int, image_size: int) -> int:
    """The side behind the block's convolution and norm."""
    padded = side + 2 * block.pad
    if block.kernel > padded:
        raise SpecError(
            f"model.blocks.{number}.kernel: {block.kernel}×{block.kernel} is larger than the {padded}×{padded} that is "
            f"left there of a {image_size}×{image_size} picture; use fewer blocks, less pooling or a larger image_size"
        )
    side = (padded - block.kernel) // block.stride + 1
    channels_together = {"instance": 1, "group": block.filters // block.groups}.get(block.norm, 0)
    if channels_together * side * side == 1:
        raise SpecError(
            f"model.blocks.{number}.norm: {block.norm} norm of a 1×1 map is always zero, for each number is its own "
            "mean; use norm: batch or none, fewer blocks or a larger image_size"
        )
    return side


def _pooled(block: ConvBlock, side: int, number: int, image_size: int) -> int:
    """The side behind the block's pooling."""
    if block.pool == "none":
        return side
    if block.pool_size > side:
        raise SpecError(
            f"model.blocks.{number}.pool_size: a {block.pool_size}×{block.pool_size} pool is larger than the "
            f"{side}×{side} that is left there of a {image_size}×{image_size} picture; set pool: none or use fewer "
            "blocks"
        )
    return (side - block.pool_size) // block.pool_size + 1


def _check_parameters(parameters: int, key: str) -> None:
    if parameters > MAX_PARAMETERS:
        raise SpecError(
            f"{key}: the network would have {parameters:,} parameters, over the limit of {MAX_PARAMETERS:,}; use "
            "global_pool: avg, more pooling, smaller kernels or fewer filters and nodes"
        )
