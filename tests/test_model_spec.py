"""The YAML grammar of networks: what can be said, what is refused and by which words, and arithmetic that is true."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from infra.errors import UserError
from infra.params import ParamsError, parse_yaml
from model_defs.cnn import Cnn
from model_defs.families import FAMILIES, MIN_SIDES, check_family
from model_defs.frontends import build_frontend
from model_defs.network import build_network, count_parameters
from model_defs.spec import (
    MAX_PARAMETERS,
    Activation,
    BackboneSpec,
    CnnSpec,
    Colour,
    ConvBlock,
    DenseLayer,
    Frontend,
    Norm,
    SpecError,
    check_geometry,
    parse_model_spec,
    trace_geometry,
)

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh,
    "none": nn.Identity,
}  # fmt: skip


def parse(text: str) -> Any:
    return parse_model_spec(parse_yaml(text, "net.yaml"), "net.yaml")


def refusal(text: str, image_size: int = 64, colour: Colour = "rgb", batch_size: int | None = None) -> str:
    with pytest.raises(UserError) as caught:
        check_geometry(parse(text), image_size, colour, batch_size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestGrammar:
    def test_every_field(self) -> None:
        spec = parse("""
            family: cnn
            frontend: srm
            blocks:
              - {filters: 8, kernel: 5, stride: 2, padding: 1, norm: group, activation: silu, pool: avg, pool_size: 3,
                 dropout: 0.1, l2: 1e-4}
              - {filters: 16, padding: valid, pool: none}
            global_pool: max
            dense: [{nodes: 32, norm: batch, activation: tanh, dropout: 0.5, l2: 1e-3}]
        """)
        network: Any = Cnn(spec, 64, "rgb")
        one, two = network.blocks.block1, network.blocks.block2
        assert [type(m) for m in one] == [nn.Conv2d, nn.GroupNorm, nn.SiLU, nn.AvgPool2d, nn.Dropout2d]
        assert [type(m) for m in two] == [nn.Conv2d, nn.ReLU]
        assert (one.conv.in_channels, one.conv.out_channels, one.conv.kernel_size) == (3, 8, (5, 5))
        assert (one.conv.stride, one.conv.padding, one.pool.kernel_size, one.dropout.p) == ((2, 2), (1, 1), 3, 0.1)
        dense = network.dense.dense1
        assert [type(m) for m in dense] == [nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Dropout]
        assert (dense.linear.in_features, dense.linear.out_features, dense.dropout.p) == (16, 32, 0.5)
        assert isinstance(network.pool, nn.AdaptiveMaxPool2d)
        by_hand = 1e-4 * one.conv.weight.square().sum() + 1e-3 * dense.linear.weight.square().sum()
        assert network.l2_penalty().item() == pytest.approx(by_hand.item(), rel=1e-6)

    def test_defaults_are_spread(self) -> None:
        spec = parse("""
            block_defaults: {kernel: 5, norm: batch}
            blocks: [{filters: 4}, {filters: 8, kernel: 3}]
            dense_defaults: {l2: 0.1}
            dense: [{nodes: 2}, {nodes: 3, l2: 0}]
        """)
        assert [(b.kernel, b.norm) for b in spec.blocks] == [(5, "batch"), (3, "batch")]
        assert [d.l2 for d in spec.dense] == [0.1, 0.0]

    def test_depth_uses_the_first_layers(self) -> None:
        spec = parse("blocks: [{filters: 4}, {filters: 8}]\ndepth: 1\ndense: [{nodes: 9}]\ndense_depth: 0")
        assert spec == parse("blocks: [{filters: 4}]")
        full = CnnSpec(blocks=(ConvBlock(filters=4), ConvBlock(filters=8)), depth=1)
        assert check_geometry(full, 32, "rgb") == count_parameters(build_network(full, 32, "rgb"))

    def test_the_original_authors_parameters(self) -> None:
        """Number of conv and dense layers, filters and kernels by layer, pooling, nodes, batch norm, L2, dropout."""
        for convs, denses, pool, norm, dropout, l2 in product(
            (1, 2, 3, 4), (0, 1, 2), ("max", "avg", "none"), ("batch", "none"), (0.0, 0.3), (0.0, 1e-3)
        ):
            spec = parse_model_spec(
                {
                    "blocks": [{"filters": 4 * (n + 1), "kernel": (5, 3, 3, 1)[n]} for n in range(4)],
                    "depth": convs,
                    "block_defaults": {"pool": pool, "norm": norm, "dropout": dropout, "l2": l2, "padding": "valid"},
                    "dense": [{"nodes": 6}, {"nodes": 5}],
                    "dense_depth": denses,
                    "dense_defaults": {"l2": l2, "dropout": dropout},
                },
                "original",
            )
            network = build_network(spec, 64, "rgb")
            assert check_geometry(spec, 64, "rgb") == count_parameters(network)
            kinds = [type(m) for m in network.modules()]
            assert kinds.count(nn.Conv2d) == convs
            assert kinds.count(nn.Linear) == denses + 1
            assert kinds.count(nn.MaxPool2d) == convs * (pool == "max")
            assert kinds.count(nn.AvgPool2d) == convs * (pool == "avg")
            assert kinds.count(nn.BatchNorm2d) == convs * (norm == "batch")
            assert kinds.count(nn.Dropout2d) == convs * (dropout > 0)
            assert kinds.count(nn.Dropout) == denses * (dropout > 0)
            assert (network.l2_penalty().item() > 0) == (l2 > 0)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("{}", "net.yaml: model.blocks: is required"),
            ("", "net.yaml: model: should be a mapping of keys to values, not nothing"),
            ("[]", "net.yaml: model: should be a mapping of keys to values"),
            ("blocks: []", "model.blocks: should have at least 1 item, not 0"),
            ("blocks: [{filtres: 3}]", "model.blocks.0.filtres: unknown key; did you mean 'filters'?"),
            ("blocks: [{filters: 3, kernel: 0}]", "model.blocks.0.kernel: should be greater than or equal to 1, not 0"),
            ("blocks: [{filters: 3, dropout: 1}]", "model.blocks.0.dropout: should be less than 1, not 1"),
            ("blocks: [{filters: 3, pool: mean}]", "model.blocks.0.pool: should be 'max', 'avg' or 'none', not 'mean'"),
            ("blocks: [{filters: 3}]\ndepth: 2", "model: depth is 2 but only 1 blocks are given"),
            ("blocks: [{filters: 3}]\ndense_depth: 1", "model: dense_depth is 1 but only 0 dense layers are given"),
            (
                "blocks: [{filters: 3}]\nblock_defaults: 5",
                "model: block_defaults should be a mapping of keys to values",
            ),
            ("blocks: [{filters: 3}]\nblock_defaults: {kernal: 5}", "model.blocks.0.kernal: unknown key; did you mean"),
            ("blocks: [{filters: 3}]\nfrontend: NPR", "model.frontend: should be 'none', 'npr', 'srm' or 'spectrum'"),
            ("family: resnt18", "net.yaml: model.family: unknown family 'resnt18'; did you mean resnet18"),
            ("family: ResNet50", "did you mean resnet50"),
            ("{family: cn, blocks: [{filters: 3}]}", "unknown family 'cn'; did you mean cnn"),
            ("family: 18", "model.family: should be text, not 18"),
            ("{family: resnet18, blocks: []}", "model.blocks: unknown key (allowed: family, frontend, weights,"),
            ("{family: resnet18, frozen: true}", "model: frozen: true needs weights; a frozen random network learns"),
            (
                "{family: resnet18, weights: best.pth}",
                "model.weights: must be none, torchvision or a .safetensors file",
            ),
            ("{family: resnet18, dropout: 1.0}", "model.dropout: should be less than 1, not 1.0"),
            ("famly: resnet18", "model.famly: unknown key; did you mean 'family'?"),
        ],
    )
    def test_a_mistake_is_one_line(self, text: str, line: str) -> None:
        with pytest.raises((ParamsError, SpecError)) as caught:
            parse(text)
        assert line in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_unknown_families_are_refused_whatever_they_are(self) -> None:
        for name in ("vit_b_16", "", "💥", "x" * 5000):
            with pytest.raises(SpecError) as caught:
                check_family(name, "here")
            assert len(str(caught.value)) < 250


class TestWhatCannotWork:
    def test_kernel(self) -> None:
        text = "block_defaults: {padding: valid}\nblocks: [{filters: 4}, {filters: 4}, {filters: 4, kernel: 7}]"
        assert refusal(text, 32) == (
            "model.blocks.2.kernel: 7×7 is larger than the 6×6 that is left there of a 32×32 picture; "
            "use fewer blocks, less pooling or a larger image_size"
        )
        assert check_geometry(parse(text), 64, "rgb") > 0

    def test_pool(self) -> None:
        text = f"blocks: [{', '.join(['{filters: 4}'] * 7)}]"
        assert refusal(text, 64).startswith("model.blocks.6.pool_size: a 2×2 pool is larger than the 1×1 that is left")
        assert check_geometry(parse(text), 128, "rgb") > 0

    def test_an_even_kernel_wider_than_what_is_left(self) -> None:
        text = "blocks: [{filters: 4, stride: 8, pool: none}, {filters: 4, kernel: 2, pool: none}]"
        assert refusal(text, 8).startswith("model.blocks.1.kernel: 2×2 is larger than the 1×1")

    def test_norms_of_single_numbers(self) -> None:
        text = "blocks: [{{filters: {}, stride: 8, pool: none, norm: {}}}]"
        assert refusal(text.format(8, "instance"), 8).startswith("model.blocks.0.norm: instance norm of a 1×1 map")
        assert refusal(text.format(1, "group"), 8).startswith("model.blocks.0.norm: group norm of a 1×1 map")
        assert check_geometry(parse(text.format(2, "group")), 8, "rgb") > 0
        # The norm sees the map before it is pooled.
        assert check_geometry(parse("blocks: [{filters: 4, stride: 4, norm: instance}]"), 8, "rgb") > 0

    def test_batch_norm_of_a_batch_of_one(self) -> None:
        line = (
            "train.batch_size: batch norm of single numbers needs 2 pictures in a batch, not 1; use norm: none or group"
        )
        assert refusal("blocks: [{filters: 2, stride: 8, pool: none, norm: batch}]", 8, batch_size=1) == line
        assert refusal("blocks: [{filters: 2}]\ndense: [{nodes: 2, norm: batch}]", batch_size=1) == line
        assert check_geometry(parse("blocks: [{filters: 2, norm: batch}]"), 8, "rgb", batch_size=1) > 0

    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("blocks: [{filters: 64}]\ndense: [{nodes: 10}, {nodes: 60000}, {nodes: 60000}]", "model.dense.2.nodes"),
            ("blocks: [{filters: 4096, kernel: 31}, {filters: 4096, kernel: 31}]", "model.blocks.1.filters"),
        ],
    )
    def test_too_many_parameters(self, text: str, key: str) -> None:
        line = refusal(text, 256)
        assert line.startswith(f"{key}: the network would have ")
        assert f"over the limit of {MAX_PARAMETERS:,}" in line

    @pytest.mark.parametrize(
        ("family", "least"), [("alexnet", 63), ("vgg16_bn", 32), ("densenet121", 29), ("convnext_tiny", 32)]
    )
    def test_a_picture_too_small_for_a_family(self, family: str, least: int) -> None:
        assert refusal(f"family: {family}", least - 1) == (
            f"model.family: a {least - 1}×{least - 1} picture is too small for {family}; "
            f"set data.image_size to {least} or more"
        )
        assert check_geometry(parse(f"family: {family}"), least, "grey") == 0

    def test_every_limit_is_of_a_family(self) -> None:
        assert all(any(family.startswith(stem) for family in FAMILIES) for stem in MIN_SIDES)


def test_group_norm_is_never_instance_norm() -> None:
    for filters in range(2, 300):
        groups = ConvBlock(filters=filters).groups
        assert filters % groups == 0
        assert filters // groups >= 2
        assert groups <= 32
    assert [ConvBlock(filters=n).groups for n in (1, 2, 16, 37, 64, 128, 96)] == [1, 1, 8, 1, 32, 32, 32]


blocks = st.builds(
    ConvBlock,
    filters=st.integers(1, 6),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 3),
    padding=st.sampled_from(["same", "valid"]) | st.integers(0, 3),
    norm=st.sampled_from(get_args(Norm)),
    activation=st.sampled_from(get_args(Activation)),
    pool=st.sampled_from(["max", "avg", "none"]),
    pool_size=st.integers(2, 4),
    dropout=st.sampled_from([0.0, 0.5]),
    l2=st.sampled_from([0.0, 0.01]),
)
dense_layers = st.builds(
    DenseLayer,
    nodes=st.integers(1, 9),
    norm=st.sampled_from(["none", "batch"]),
    activation=st.sampled_from(get_args(Activation)),
    dropout=st.sampled_from([0.0, 0.5]),
    l2=st.sampled_from([0.0, 0.01]),
)


@st.composite
def specs(draw: st.DrawFn) -> CnnSpec:
    layers = tuple(draw(st.lists(blocks, min_size=1, max_size=4)))
    dense = tuple(draw(st.lists(dense_layers, max_size=2)))
    return CnnSpec(
        frontend=draw(st.sampled_from(get_args(Frontend))),
        blocks=layers,
        depth=draw(st.none() | st.integers(1, len(layers))),
        global_pool=draw(st.sampled_from(["none", "avg", "max"])),
        dense=dense,
        dense_depth=draw(st.none() | st.integers(0, len(dense))),
    )


def torch_can(spec: CnnSpec, image_size: int, colour: Colour) -> bool:
    """Whether plain torch layers, put together as the grammar says, take a picture, and no norm sees single numbers."""
    picture = build_frontend(spec.frontend)(torch.rand(2, 3 if colour == "rgb" else 1, image_size, image_size))
    for block in spec.blocks[: spec.depth]:
        padding = {"same": (block.kernel - 1) // 2, "valid": 0}.get(str(block.padding), block.padding)
        conv = nn.Conv2d(picture.shape[1], block.filters, block.kernel, block.stride, int(padding))
        pool = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}.get(block.pool, nn.Identity)
        try:
            picture = conv(picture)
            alone = picture.shape[-1] == 1 and (
                block.norm == "instance" or (block.norm == "group" and block.filters == 1)
            )
            if alone:
                return False
            picture = pool(block.pool_size)(picture)
        except RuntimeError:
            return False
    return True


@settings(max_examples=80, deadline=None)
@given(spec=specs(), image_size=st.integers(8, 40), colour=st.sampled_from(["rgb", "grey"]))
def test_what_passes_the_check_can_be_trained_and_what_is_refused_cannot(
    spec: CnnSpec, image_size: int, colour: Colour
) -> None:
    try:
        parameters = check_geometry(spec, image_size, colour)
    except SpecError as error:
        assert str(error).startswith("model.blocks.")
        assert not torch_can(spec, image_size, colour)
        with pytest.raises(SpecError):
            build_network(spec, image_size, colour)
        return
    assert torch_can(spec, image_size, colour)
    network = build_network(spec, image_size, colour).train()
    assert count_parameters(network) == parameters
    logits = network(torch.rand(2, 3 if colour == "rgb" else 1, image_size, image_size))
    assert logits.shape == (2,)
    (logits.sum() + network.l2_penalty()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.eval()(torch.rand(1, 3 if colour == "rgb" else 1, image_size, image_size)).isfinite().all()


@settings(max_examples=60, deadline=None)
@given(spec=specs(), image_size=st.integers(8, 40))
def test_the_sides_and_features_are_torchs(spec: CnnSpec, image_size: int) -> None:
    try:
        geometry = trace_geometry(spec, image_size, "rgb")
    except SpecError:
        return
    network = build_network(spec, image_size, "rgb").eval()
    assert isinstance(network, Cnn)
    maps = network.frontend(torch.rand(1, 3, image_size, image_size))
    sides = []
    for block in network.blocks:
        maps = block(maps)
        sides.append(maps.shape[-1])
    assert geometry.sides == tuple(sides)
    assert geometry.features == network.pool(maps).numel()


@settings(max_examples=60, deadline=None)
@given(spec=specs(), image_size=st.integers(8, 24))
def test_the_smallest_batch_is_torchs(spec: CnnSpec, image_size: int) -> None:
    try:
        geometry = trace_geometry(spec, image_size, "grey")
    except SpecError:
        return
    network = build_network(spec, image_size, "grey").train()
    if geometry.min_batch == 1:
        assert network(torch.rand(1, 1, image_size, image_size)).shape == (1,)
    else:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            network(torch.rand(1, 1, image_size, image_size))


@given(spec=specs())
def test_a_spec_survives_its_json(spec: CnnSpec) -> None:
    again = parse_model_spec(spec.model_dump(mode="json"), "json")
    assert again == spec.canonical()


def test_every_activation_is_never_in_place() -> None:
    for name in get_args(Activation):
        spec = CnnSpec(blocks=(ConvBlock(filters=2, activation=name),))
        layer = build_network(spec, 8, "rgb").get_submodule("blocks.block1.activation")
        assert isinstance(layer, ACTIVATIONS[name])
        assert not getattr(layer, "inplace", False)


def test_a_backbone_spec_survives_its_json() -> None:
    spec = BackboneSpec(family="resnet18", weights="x.safetensors", frozen=True, dropout=0.2, frontend="npr")
    assert parse_model_spec(spec.model_dump(mode="json"), "json") == spec
