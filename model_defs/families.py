"""The torchvision families a params file may name. Known without importing torchvision, so that errors are instant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from model_defs.spec import SpecError

# Convolutional classifiers only: a heatmap for every conv layer is part of each answer, and a transformer has one
# conv layer. Inception and GoogLeNet are left out for their second output during training, SqueezeNet because it
# ends in a ReLU, which leaves a single logit no way to say "real".
FAMILIES: tuple[str, ...] = (
    "alexnet",
    "convnext_tiny", "convnext_small", "convnext_base", "convnext_large",
    "densenet121", "densenet161", "densenet169", "densenet201",
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4",
    "efficientnet_b5", "efficientnet_b6", "efficientnet_b7",
    "efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l",
    "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
    "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "regnet_x_400mf", "regnet_x_800mf", "regnet_x_1_6gf", "regnet_x_3_2gf", "regnet_x_8gf",
    "regnet_y_400mf", "regnet_y_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf", "regnet_y_8gf",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d",
    "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0",
    "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "wide_resnet50_2", "wide_resnet101_2",
)  # fmt: skip

# The smallest picture, in pixels a side, of the families that halve it too often for the 8×8 that all others take.
# Found by running every family on every size, as the tests still do.
MIN_SIDES: Mapping[str, int] = {"alexnet": 63, "convnext": 32, "densenet": 29, "vgg": 32}


def check_family(name: str, where: str) -> None:
    """Raise SpecError unless `name` is a known family; the line offers the nearest names."""
    if name not in FAMILIES:
        near = difflib.get_close_matches(name.lower(), ["cnn", *FAMILIES], n=3, cutoff=0.5)
        offer = f"did you mean {' or '.join(near)}?" if near else "cnn, or a torchvision network such as resnet18"
        raise SpecError(f"{where}: model.family: unknown family {name!r:.80}; {offer}")


def check_picture(name: str, image_size: int) -> None:
    """Raise SpecError when a picture of `image_size`×`image_size` is too small for the family."""
    least = next((side for stem, side in MIN_SIDES.items() if name.startswith(stem)), 1)
    if image_size < least:
        raise SpecError(
            f"model.family: a {image_size}×{image_size} picture is too small for {name}; "
            f"set data.image_size to {least} or more"
        )
