"""Heatmaps: equal to pytorch-grad-cam run once per layer, and right where its lists slip."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bot.explain import explain
from bot.verdict import LayerHeatmap
from model_defs.network import conv_layers
from model_defs.torchvision_import import import_torchvision
from tests.bot_bundles import network_of

import_torchvision()
from pytorch_grad_cam import GradCAM  # noqa: E402
from pytorch_grad_cam.utils.model_targets import BinaryClassifierOutputTarget  # noqa: E402


def plain_copy(network: nn.Module) -> nn.Module:
    """The same function without in-place activations, every layer reached by a gradient, as grad-cam needs it."""
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    plain.requires_grad_(False)
    next(iter(conv_layers(plain).values())).requires_grad_(True)  # the first: gradients flow through all that follow
    return plain


def assert_equal_to_grad_cam(network: nn.Module, picture: Tensor, every: int = 1, sides: str = "fake real") -> None:
    reference = plain_copy(network)
    lively = 0
    for side in sides.split():
        heatmaps = explain(network, picture, "fake" if side == "fake" else "real")
        assert sorted(h.name for h in heatmaps) == sorted(conv_layers(network))
        target = BinaryClassifierOutputTarget(1 if side == "fake" else 0)
        for heatmap in heatmaps[::every]:
            with GradCAM(reference, [reference.get_submodule(heatmap.name)]) as grad_cam:
                expected = grad_cam(picture, [target])[0]
            np.testing.assert_allclose(heatmap.map, expected, atol=1e-4, err_msg=heatmap.name)
            lively += bool(heatmap.map.max() > 0.99)
    assert lively > 0


CNN_BLOCKS = [{"filters": 6}, {"filters": 8}, {"filters": 10}]
CNNS: dict[str, dict[str, Any]] = {
    "max pool": {"blocks": CNN_BLOCKS},
    "batch norm": {"blocks": CNN_BLOCKS, "block_defaults": {"norm": "batch"}, "global_pool": "avg"},
    "avg pool": {"blocks": CNN_BLOCKS, "block_defaults": {"pool": "avg"}, "dense": [{"nodes": 8}]},
    "no pool": {"blocks": CNN_BLOCKS, "block_defaults": {"pool": "none", "stride": 2}, "global_pool": "max"},
    "group norm, gelu": {"blocks": CNN_BLOCKS, "block_defaults": {"norm": "group", "activation": "gelu"}},
    "npr": {"blocks": CNN_BLOCKS, "frontend": "npr"},
    "srm": {"blocks": CNN_BLOCKS, "frontend": "srm"},
    "spectrum": {"blocks": CNN_BLOCKS, "frontend": "spectrum"},
}


@pytest.mark.parametrize("kind", CNNS)
def test_our_networks_match_grad_cam_layer_by_layer(kind: str) -> None:
    network = network_of({"family": "cnn", **CNNS[kind]})
    assert_equal_to_grad_cam(network, torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)))


# Every so many layers where grad-cam, with its pass for each, would take minutes.
@pytest.mark.parametrize(
    ("family", "every"), [("resnet18", 1), ("mobilenet_v3_small", 1), ("efficientnet_b0", 3), ("densenet121", 5)]
)
def test_torchvision_families_match_grad_cam_layer_by_layer(family: str, every: int) -> None:
    network = network_of({"family": family}, image_size=48)
    assert_equal_to_grad_cam(
        network, torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(1)), every, "real"
    )


@pytest.mark.parametrize("frozen", [["layer1"], ["conv1", "layer2.0"], [""]])
def test_frozen_layers_have_the_maps_they_would_have_unfrozen(frozen: list[str]) -> None:
    network = network_of({"family": "resnet18"}, image_size=32)
    for name, parameter in network.named_parameters():
        if any(name.startswith(f"network.{part}") for part in frozen):
            parameter.requires_grad = False
    kept = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    assert_equal_to_grad_cam(network, torch.randn(1, 3, 32, 32), every=6, sides="fake")
    assert {name: parameter.requires_grad for name, parameter in network.named_parameters()} == kept


class Head(nn.Module):
    """Mean over the picture ▶ one logit."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.linear(maps.mean(dim=(-2, -1))).squeeze(1)
        return logits


def test_an_in_place_activation_after_a_convolution_changes_no_map() -> None:
    torch.manual_seed(0)
    in_place = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3), nn.ReLU(inplace=True), Head(5)
    ).eval()
    picture = torch.randn(1, 3, 16, 16)
    for mine, expected in zip(
        explain(in_place, picture, "fake"), explain(plain_copy(in_place), picture, "fake"), strict=True
    ):
        np.testing.assert_array_equal(mine.map, expected.map)
        assert mine.share == expected.share
    assert_equal_to_grad_cam(in_place, picture)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.spare = nn.Conv2d(3, 7, 3)
        self.head = Head(3)

    def forward(self, images: Tensor) -> Tensor:
        once = self.conv(images).relu()
        logits: Tensor = self.head(self.conv(once[..., ::2, ::2]).relu())
        return logits


def test_a_layer_that_runs_twice_has_a_map_for_each_run_and_an_unused_one_says_so() -> None:
    torch.manual_seed(3)
    network = Shared().eval()
    picture = torch.randn(1, 3, 16, 16)
    first, second, spare = explain(network, picture, "fake")
    assert (first.name, first.size) == ("conv", (16, 16))
    assert (second.name, second.size) == ("conv#2", (8, 8))
    assert (spare.name, spare.size, spare.dead, spare.share, spare.peak) == ("spare", (0, 0), True, 0.0, 0.0)
    assert not spare.map.any()

    class Unrolled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = copy.deepcopy(network.conv), copy.deepcopy(network.conv)
            self.head = network.head

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.head(self.two(self.one(images).relu()[..., ::2, ::2]).relu())
            return logits

    for mine, expected in zip((first, second), explain(Unrolled().eval(), picture, "fake"), strict=True):
        np.testing.assert_allclose(mine.map, expected.map, atol=1e-5)
        assert mine.peak == pytest.approx(expected.peak, rel=1e-4)


def test_the_evidence_of_a_linear_network_is_its_logit() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 1, 3, bias=False), Head(1)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    picture = torch.rand(1, 1, 10, 10)
    (layer,) = explain(network, picture, "fake")
    maps = network[0](picture).detach().numpy()[0, 0] * network[1].linear.weight.item() / 64
    assert layer.peak == pytest.approx(maps.max(), rel=1e-5)
    assert maps.sum() == pytest.approx(network(picture).item(), rel=1e-5)
    assert layer.share == 1.0
    # Everything speaks for fake, so nothing speaks for real, and the map must not be stretched into heat.
    (other,) = explain(network, picture, "real")
    assert (other.peak, other.share, other.dead) == (0.0, 0.0, True)
    assert not other.map.any()


def test_shares_add_up_and_dead_layers_are_named() -> None:
    network = network_of({"family": "cnn", "blocks": [{"filters": 4}, {"filters": 4}, {"filters": 4}]})
    picture = torch.randn(1, 3, 32, 32)
    layers = explain(network, picture, "fake")
    assert sum(layer.share for layer in layers) == pytest.approx(1.0)
    assert all(layer.map.min() >= 0 and layer.map.max() <= 1 and layer.map.shape == (32, 32) for layer in layers)
    assert [layer.channels for layer in layers] == [4, 4, 4]
    # The second layer says nothing any more: its gradient goes through weights that are zero, as does the first's.
    with torch.no_grad():
        network.get_submodule("blocks.block3.conv").weight.zero_()
        network.get_submodule("blocks.block3.conv").bias.fill_(1.0)
        network.get_submodule("output").weight.fill_(1.0)
    first, second, third = explain(network, picture, "fake")
    assert (first.dead, second.dead, third.dead) == (True, True, False)
    assert (second.share, second.peak, third.share) == (0.0, 0.0, 1.0)


def test_a_faint_layer_is_dead_however_lively_its_stretched_map() -> None:
    network = network_of({"family": "cnn", "blocks": [{"filters": 4}, {"filters": 4}]})
    with torch.no_grad():
        network.get_submodule("blocks.block2.conv").weight.mul_(1e-7)
        network.get_submodule("blocks.block2.conv").bias.fill_(1.0)
        network.get_submodule("output").weight.abs_()
    first, _ = explain(network, torch.randn(1, 3, 32, 32), "fake")
    assert first.peak > 0
    assert first.dead


class Breaks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, images: Tensor) -> Tensor:
        self.conv(images)
        raise RuntimeError("a broken network")


def assert_untouched(network: nn.Module) -> None:
    assert all(parameter.grad is None for parameter in network.parameters())
    for module in network.modules():
        assert not module._forward_hooks and not module._backward_hooks and not module._forward_pre_hooks


def test_the_network_is_left_as_it_was() -> None:
    network = network_of({"family": "resnet18"}, image_size=32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    picture = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        explain(network, picture, "real")
    assert_untouched(network)
    assert not picture.requires_grad
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_an_error_in_the_network_leaves_no_hook_behind() -> None:
    network = Breaks().eval()
    with pytest.raises(RuntimeError, match="a broken network"):
        explain(network, torch.randn(1, 3, 8, 8), "fake")
    assert_untouched(network)


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        explain(network_of({"family": "resnet18"}, image_size=32).train(), torch.randn(1, 3, 32, 32), "fake")


def test_squeeze_and_excitation_layers_have_no_place() -> None:
    layers = explain(network_of({"family": "mobilenet_v3_small"}, image_size=64), torch.randn(1, 3, 64, 64), "fake")
    placeless: list[LayerHeatmap] = [layer for layer in layers if layer.placeless]
    assert len(placeless) == 18
    assert all(layer.size == (1, 1) and not layer.map.any() for layer in placeless)
