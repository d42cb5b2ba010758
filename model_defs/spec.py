"""ModelSpec: the YAML grammar of a network, validated, and the arithmetic that says whether it can work.

A network is either a CNN of the project's own grammar (``family: cnn``) or a torchvision family by its name
(``family: resnet18``). Nothing here needs torch, so a sweep of thousands of specs is checked in a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from infra.errors import UserError
from infra.params import StrictModel, validate

Frontend: TypeAlias = Literal["none", "npr", "srm", "spectrum"]
Norm: TypeAlias = Literal["none", "batch", "group", "instance"]
Activation: TypeAlias = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "none"]
Colour: TypeAlias = Literal["rgb", "grey"]

CHANNELS: Mapping[str, int] = {"rgb": 3, "grey": 1}

# A dense layer behind a large flattened picture quickly asks for more memory than any card has; 400 million
# float32 weights are 1.6 GB, and four times that under Adam.
MAX_PARAMETERS = 400_000_000


class SpecError(UserError):
    """A network that cannot be built, with the layer that is the reason."""


class ConvBlock(StrictModel):
    """convolution ▶ norm ▶ activation ▶ pooling ▶ dropout."""

    filters: int = Field(ge=1, le=4096)
    kernel: int = Field(default=3, ge=1, le=31)
    stride: int = Field(default=1, ge=1, le=16)
    padding: Literal["same", "valid"] | int = "same"
    norm: Norm = "none"
    activation: Activation = "relu"
    pool: Literal["max", "avg", "none"] = "max"
    pool_size: int = Field(default=2, ge=2, le=16)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    l2: float = Field(default=0.0, ge=0.0)

    @model_validator(mode="after")
    def _padding_fits(self) -> ConvBlock:
        if isinstance(self.padding, int) and not 0 <= self.padding <= 15:
            raise ValueError(f"padding must be same, valid or a number from 0 to 15, not {self.padding}")
        return self

    @property
    def pad(self) -> int:
        """Pixels added at every edge. 'same' keeps ceil(side / stride) for odd kernels; even kernels lose one pixel."""
        if self.padding == "same":
            return (self.kernel - 1) // 2
        return 0 if self.padding == "valid" else self.padding


class DenseLayer(StrictModel):
    """fully connected ▶ norm ▶ activation ▶ dropout."""

    nodes: int = Field(ge=1, le=65536)
    norm: Literal["none", "batch"] = "none"
    activation: Activation = "relu"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    l2: float = Field(default=0.0, ge=0.0)


class CnnSpec(StrictModel):
    """A CNN from scratch. `depth` and `dense_depth` use only the first so many layers of their lists."""

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
    frozen: train only the new last layer.
    """

    family: str
    frontend: Frontend = "none"
    weights: str = "none"
    frozen: bool = False
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    def canonical(self) -> BackboneSpec:
        """Itself: a backbone has no unused layers."""
        return self

    @model_validator(mode="after")
    def _frozen_has_weights(self) -> BackboneSpec:
        if self.frozen and self.weights == "none":
            raise ValueError("frozen: true needs weights; a frozen random network learns nothing")
        if self.weights not in ("none", "torchvision") and not self.weights.endswith(".safetensors"):
            raise ValueError(
                f"weights must be none, torchvision or a .safetensors file, not {self.weights!r} "
                "(other formats can run code when they are opened)"
            )
        return self


ModelSpec: TypeAlias = CnnSpec | BackboneSpec


def spread_defaults(content: Any) -> Any:
    """`block_defaults` and `dense_defaults` copied into every block and dense layer that does not say otherwise.

    Works on raw mappings, so that one search-space leaf in the defaults stays one decision for all layers.
    """
    if not isinstance(content, Mapping):
        return content
    spread = dict(content)
    for section, key in (("block_defaults", "blocks"), ("dense_defaults", "dense")):
        defaults = spread.pop(section, None) or {}
        layers = spread.get(key)
        if isinstance(defaults, Mapping) and isinstance(layers, (list, tuple)):
            spread[key] = [{**defaults, **layer} if isinstance(layer, Mapping) else layer for layer in layers]
    return spread


def parse_model_spec(content: Any, where: str) -> ModelSpec:
    """The validated spec of a concrete (no search-space leaves) mapping. Raises ParamsError or SpecError."""
    if isinstance(content, Mapping) and content.get("family", "cnn") != "cnn":
        from model_defs.families import check_family

        spec = validate(BackboneSpec, content, where, "model")
        check_family(spec.family, where)
        return spec
    return validate(CnnSpec, content, where, "model").canonical()


def check_geometry(spec: ModelSpec, image_size: int, colour: Colour) -> int:
    """The number of trainable parameters, after checking that every layer fits what is left of the picture.

    Raises SpecError naming the layer. Backbones are checked by torch itself when they are built.
    """
    if isinstance(spec, BackboneSpec):
        return 0
    side, channels, parameters = image_size, frontend_channels(spec.frontend, colour), 0
    for number, block in enumerate(spec.blocks):
        layer, padded = f"model.blocks.{number}", side + 2 * block.pad
        if block.kernel > padded:
            raise SpecError(
                f"{layer}.kernel: {block.kernel}×{block.kernel} is larger than the {padded}×{padded} that is left "
                f"there of a {image_size}×{image_size} picture; use fewer blocks, less pooling or a larger image_size"
            )
        side = (padded - block.kernel) // block.stride + 1
        parameters += block.filters * (channels * block.kernel**2 + 1) + 2 * block.filters * (block.norm != "none")
        channels = block.filters
        if block.pool != "none":
            if block.pool_size > side:
                raise SpecError(
                    f"{layer}.pool_size: a {block.pool_size}×{block.pool_size} pool is larger than the {side}×{side} "
                    f"that is left there of a {image_size}×{image_size} picture; set pool: none or use fewer blocks"
                )
            side = (side - block.pool_size) // block.pool_size + 1
        if block.norm == "instance" and side == 1:
            raise SpecError(f"{layer}.norm: instance norm of a 1×1 map is always zero; use batch or group")
    features = channels * (side * side if spec.global_pool == "none" else 1)
    for number, dense in enumerate(spec.dense):
        parameters += features * dense.nodes + dense.nodes * (1 if dense.norm == "none" else 3)
        features = dense.nodes
        if parameters > MAX_PARAMETERS:
            raise SpecError(
                f"model.dense.{number}.nodes: the network would have {parameters:,} parameters, over the limit of "
                f"{MAX_PARAMETERS:,}; use global_pool: avg, more pooling or fewer nodes"
            )
    return parameters + features + 1


def frontend_channels(frontend: Frontend, colour: Colour) -> int:
    """Channels that the front end hands to the first convolution."""
    return {"none": CHANNELS[colour], "npr": CHANNELS[colour], "srm": 3, "spectrum": 1}[frontend]
