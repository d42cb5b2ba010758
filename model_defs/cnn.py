"""A CNN from its spec."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from model_defs.frontends import build_frontend
from model_defs.spec import CnnSpec, Colour, ConvBlock, DenseLayer, frontend_channels, trace_geometry


class Cnn(nn.Module):
    """front end ▶ conv blocks ▶ dense layers ▶ one logit.

    forward: float [N, C, S, S], normalised ▶ logits float [N]; positive means fake.
    """

    def __init__(self, spec: CnnSpec, image_size: int, colour: Colour) -> None:
        """Raises SpecError where a layer does not fit the picture."""
        super().__init__()
        spec = spec.canonical()
        features = trace_geometry(spec, image_size, colour).features
        self.frontend = build_frontend(spec.frontend)
        channels = frontend_channels(spec.frontend, colour)
        self.blocks = nn.Sequential()
        for number, block in enumerate(spec.blocks, start=1):
            self.blocks.add_module(f"block{number}", _conv_block(block, channels))
            channels = block.filters
        self.pool: nn.Module = {
            "none": nn.Identity(),
            "avg": nn.AdaptiveAvgPool2d(1),
            "max": nn.AdaptiveMaxPool2d(1),
        }[spec.global_pool]
        self.dense = nn.Sequential()
        for number, layer in enumerate(spec.dense, start=1):
            self.dense.add_module(f"dense{number}", _dense_layer(layer, features))
            features = layer.nodes
        self.output = nn.Linear(features, 1)
        self._l2 = {f"blocks.block{n}.conv": b.l2 for n, b in enumerate(spec.blocks, 1) if b.l2}
        self._l2 |= {f"dense.dense{n}.linear": d.l2 for n, d in enumerate(spec.dense, 1) if d.l2}

    def forward(self, images: Tensor) -> Tensor:
        features = self.pool(self.blocks(self.frontend(images))).flatten(1)
        logits: Tensor = self.output(self.dense(features)).squeeze(1)
        return logits

    def l2_penalty(self) -> Tensor:
        """Σ λ·‖W‖² over the layers that ask for L2, to be added to the loss as Keras' kernel regulariser is."""
        penalty = self.output.weight.new_zeros(())
        for name, strength in self._l2.items():
            weight = self.get_submodule(name).weight
            assert isinstance(weight, Tensor)
            penalty = penalty + strength * weight.square().sum()
        return penalty


def _conv_block(block: ConvBlock, channels: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(channels, block.filters, block.kernel, block.stride, block.pad)
    if block.norm == "batch":
        layers["norm"] = nn.BatchNorm2d(block.filters)
    elif block.norm == "group":
        layers["norm"] = nn.GroupNorm(block.groups, block.filters)
    elif block.norm == "instance":
        layers["norm"] = nn.InstanceNorm2d(block.filters, affine=True)
    layers["activation"] = activation(block.activation)
    if block.pool != "none":
        layers["pool"] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[block.pool](block.pool_size)
    if block.dropout:
        layers["dropout"] = nn.Dropout2d(block.dropout)
    return nn.Sequential(layers)


def _dense_layer(layer: DenseLayer, features: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["linear"] = nn.Linear(features, layer.nodes)
    if layer.norm == "batch":
        layers["norm"] = nn.BatchNorm1d(layer.nodes)
    layers["activation"] = activation(layer.activation)
    if layer.dropout:
        layers["dropout"] = nn.Dropout(layer.dropout)
    return nn.Sequential(layers)


def activation(name: str) -> nn.Module:
    """The activation layer of that name; never in place, so that saved activations stay what they were."""
    layer: nn.Module = {
        "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "gelu": nn.GELU,
        "silu": nn.SiLU, "tanh": nn.Tanh, "none": nn.Identity,
    }[name]()  # fmt: skip
    return layer
