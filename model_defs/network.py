"""Any spec ▶ network, and the names of its conv layers."""

from __future__ import annotations

from torch import nn

from model_defs.backbones import Backbone
from model_defs.cnn import Cnn
from model_defs.spec import CnnSpec, Colour, ModelSpec


def build_network(spec: ModelSpec, image_size: int, colour: Colour, *, pretrained: bool = True) -> Cnn | Backbone:
    """The network of `spec`: float [N, C, S, S] ▶ logits [N]. Raises SpecError when it cannot work."""
    if isinstance(spec, CnnSpec):
        return Cnn(spec, image_size, colour)
    return Backbone(spec, image_size, pretrained=pretrained)


def conv_layers(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Every learned convolution by its module path, in the order in which they are registered."""
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}


def count_parameters(network: nn.Module) -> int:
    """Trainable weights and biases."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
