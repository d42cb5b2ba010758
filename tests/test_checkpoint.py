"""Checkpoint bundles: what is written is read bit for bit, and nothing that is broken or hostile gets through."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load, save
from torch import Tensor

from infra.errors import UserError
from infra.storage import open_storage
from model_defs.checkpoint import (
    CARD,
    MAX_CARD_BYTES,
    MAX_WEIGHTS_BYTES,
    WEIGHTS,
    BundleError,
    Card,
    DatasetRef,
    Origin,
    Thresholds,
    bundle_files,
    bundle_id,
    load_bundle,
    read_card,
    weights_bytes,
    write_bundle,
)
from model_defs.network import build_network
from model_defs.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model_defs.spec import parse_model_spec

CNN: dict[str, Any] = {
    "frontend": "srm",
    "blocks": [{"filters": 4, "norm": "batch"}, {"filters": 6, "norm": "group", "pool": "avg", "l2": 1e-4}],
    "dense": [{"nodes": 5, "norm": "batch", "dropout": 0.5}],
}
BACKBONE: dict[str, Any] = {"family": "mobilenet_v3_small", "dropout": 0.3}
FROZEN: dict[str, Any] = {"family": "resnet18", "weights": "gone.safetensors", "frozen": True, "frontend": "npr"}


def make_card(weights: bytes, model: dict[str, Any] = CNN, **fields: Any) -> Card:
    content: dict[str, Any] = {
        "id": bundle_id("faces", weights),
        "created_at": "2026-01-02T03:04:05+00:00",
        "model": parse_model_spec(model, "test"),
        "preprocess": Preprocess(image_size=32, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        "dataset": DatasetRef(url="file://./data/demo", version=3, hash="ab" * 32),
        "origin": Origin(sweep="faces", trial="t1", epoch=7, params={"train": {"lr": 1e-4}}, git_commit="abc"),
    }
    return Card(**{**content, **fields})


def trained(model: dict[str, Any] = CNN, seed: int = 0) -> Any:
    """A network whose weights and batch statistics are those of no fresh one."""
    torch.manual_seed(seed)
    spec = parse_model_spec(model, "test")
    network = build_network(spec, 32, "rgb", pretrained=False).train()
    network(torch.randn(4, 3, 32, 32))
    return network.eval()


@pytest.fixture(scope="module")
def weights() -> bytes:
    return weights_bytes(trained())


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a bundle that is not there yet, in each kind of storage."""
    return f"file://{tmp_path}/bundle" if request.param == "file" else str(request.getfixturevalue("s3_url"))


@pytest.fixture
def bundle(tmp_path: Path, weights: bytes) -> Path:
    """The folder of a good bundle."""
    write_bundle(f"file://{tmp_path}/bundle", make_card(weights), weights)
    return tmp_path / "bundle"


def refusal(place: Path | str, read: Callable[[str], object] = load_bundle) -> str:
    """The line in which reading a bundle ends, without the bundle's own address."""
    url = f"file://{place}" if isinstance(place, Path) else place
    with pytest.raises(BundleError) as caught:
        read(url)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 500
    return line.replace(url, "URL")


def rewrite_card(bundle: Path, **changes: Any) -> None:
    """Change top-level keys of the card; None removes one."""
    content = json.loads((bundle / CARD).read_text()) | changes
    (bundle / CARD).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def put_weights(bundle: Path, data: bytes) -> None:
    """Other weights, the card's hash set to match, as somebody would who means harm."""
    (bundle / WEIGHTS).write_bytes(data)
    rewrite_card(bundle, weights_sha256=hashlib.sha256(data).hexdigest())


class TestRoundTrip:
    @pytest.mark.parametrize("model", [CNN, BACKBONE, FROZEN], ids=["cnn", "backbone", "frozen"])
    def test_the_logits_are_the_same_to_the_bit(self, tmp_path: Path, model: dict[str, Any]) -> None:
        network = trained(model)
        data = weights_bytes(network)
        write_bundle(str(tmp_path), make_card(data, model), data)
        torch.manual_seed(99)  # the answer must not depend on what was random meanwhile
        again, card = load_bundle(str(tmp_path))
        pictures = torch.randn(3, 3, 32, 32)
        with torch.no_grad():
            assert torch.equal(network(pictures), again(pictures))
        assert not again.training
        assert card == make_card(data, model).model_copy(update={"weights_sha256": hashlib.sha256(data).hexdigest()})

    def test_in_every_storage(self, url: str, weights: bytes) -> None:
        with pytest.raises(BundleError, match=f"no checkpoint bundle at .*: there is no {CARD} in it"):
            load_bundle(url)
        write_bundle(url, make_card(weights), weights)
        assert sorted(open_storage(url).list()) == [CARD, WEIGHTS]
        network, card = load_bundle(url)
        assert weights_bytes(network) == weights
        assert read_card(url) == card
        write_bundle(url, make_card(weights), weights)
        open_storage(url).delete(WEIGHTS)
        with pytest.raises(BundleError, match=f"has a card but no {WEIGHTS}; copy the whole folder"):
            load_bundle(url)

    def test_every_field_of_the_card(self, tmp_path: Path, weights: bytes) -> None:
        card = make_card(
            weights,
            temperature=1.7320508075688772,
            bias=-0.1,
            thresholds=Thresholds(decision=0.37, unsure_low=0.2, unsure_high=0.9),
            metrics={"val": {"auc": 0.1 + 0.2, "auc_ci95": [0.25, 0.5], "images": 40, "eer": None}},
            limits=("It has seen grün 💚 only.", "No proof."),
        )
        write_bundle(str(tmp_path), card, weights)
        again = read_card(str(tmp_path))
        assert again.model_copy(update={"weights_sha256": ""}) == card
        assert isinstance(again.limits, tuple)

    def test_the_card_comes_last(self, weights: bytes) -> None:
        assert list(bundle_files(make_card(weights), weights)) == [WEIGHTS, CARD]

    def test_calibration(self, weights: bytes) -> None:
        card = make_card(weights, temperature=2.0, bias=0.5)
        out = card.calibrated(np.array([-2.0, 0.0, 4.0], np.float32))
        assert out.dtype == np.float64
        assert out.tolist() == [-0.5, 0.5, 2.5]

    def test_a_network_on_its_way_elsewhere_is_saved_whole(self) -> None:
        network = trained()
        transposed = {k: v.t().contiguous().t() if v.dim() == 2 else v for k, v in network.state_dict().items()}
        network.load_state_dict(transposed, assign=True)
        state = load(weights_bytes(network))
        assert set(state) == set(network.state_dict())
        assert all(torch.equal(state[k], v) for k, v in network.state_dict().items())


class TestIds:
    def test_the_same_weights_have_the_same_name(self) -> None:
        assert bundle_id("faces", b"x") == bundle_id("faces", b"x") == "faces-2d711642"
        assert bundle_id("faces", b"x") != bundle_id("faces", b"y")

    @given(sweep=st.text(max_size=120), data=st.binary(max_size=8))
    def test_every_name_is_safe_and_taken_by_the_card(self, sweep: str, data: bytes) -> None:
        name = bundle_id(sweep, data)
        assert make_card(data, id=name).id == name
        assert Path("root", name).resolve().parent == Path("root").resolve()

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-rf", "a b", "a\n", "é", "a" * 201]
    )
    def test_path_tricks(self, bundle: Path, name: str) -> None:
        with pytest.raises(ValidationError):
            make_card(b"", id=name)
        rewrite_card(bundle, id=name)
        assert refusal(bundle).startswith(f"URL/{CARD}: id: should ")


class TestBrokenCard:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (b"", "is not JSON"),
            (b"{", "is not JSON"),
            (b"\xff\xfe\x00", "is not JSON"),
            (b"[" * 100_000, "is not JSON"),
            (b"[]", "should be a mapping of keys to values"),
            (b"null", "should be a mapping of keys to values, not nothing"),
            (b"{}", "id: is required"),
        ],
    )
    def test_what_is_no_card(self, bundle: Path, text: bytes, line: str) -> None:
        (bundle / CARD).write_bytes(text)
        assert line in refusal(bundle)
        assert line in refusal(bundle, read_card)

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"extra": 1}, "extra: unknown key (allowed: format, id, created_at, model,"),
            ({"tempreature": 1.0}, "tempreature: unknown key; did you mean 'temperature'?"),
            ({"dataset": None}, "dataset: is required"),
            ({"temperature": 0}, "temperature: should be greater than 0, not 0"),
            ({"temperature": float("nan")}, "temperature: should be a finite number, not nan"),
            ({"bias": "high"}, "bias: should be a number, not 'high'"),
            ({"format": 2}, "has the format 2, and this version reads 1"),
            ({"format": "x" * 500}, "has the format 'xxx"),
            ({"model": {"family": "vit_b_16"}}, "model.family: unknown family 'vit_b_16'"),
            ({"model": {"family": "cnn", "blocks": []}}, "model.blocks: should have at least 1 item"),
            ({"model": {"family": "cnn", "blocks": [{"filters": 3, "x": 1}]}}, "model.blocks.0.x: unknown key"),
            ({"model": 3}, "model: should be a mapping of keys to values, not 3"),
            ({"preprocess": {"image_size": 64, "std": [0]}}, "preprocess.std: each should be from 1e-06 to 1"),
            ({"preprocess": {"image_size": "64"}}, "preprocess.image_size: should be a whole number, not '64'"),
            ({"thresholds": {"decision": 0.9}}, "thresholds: must be ordered: unsure_low ≤ decision ≤ unsure_high"),
            ({"thresholds": {"decision": 2}}, "thresholds.decision: should be less than or equal to 1, not 2"),
            ({"limits": "none"}, "limits: should be a list, not 'none'"),
        ],
    )
    def test_a_key_that_is_wrong(self, bundle: Path, changes: dict[str, Any], line: str) -> None:
        rewrite_card(bundle, **changes)
        assert line in refusal(bundle)

    def test_a_huge_one_is_not_read(self, bundle: Path) -> None:
        with (bundle / CARD).open("r+b") as file:
            file.truncate(MAX_CARD_BYTES + 1)
        assert refusal(bundle) == f"URL/{CARD} has 4,194,305 bytes, over the limit of 4,194,304"

    def test_a_folder_that_is_no_bundle(self, tmp_path: Path) -> None:
        assert refusal(tmp_path) == "no checkpoint bundle at URL: there is no card.json in it"
        assert refusal(tmp_path / "nowhere") == "no checkpoint bundle at URL: there is no card.json in it"
        assert not (tmp_path / "nowhere").exists()

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        content=st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from([*Card.model_fields, "family", "blocks"]), inner, max_size=5)
            ),
            max_leaves=15,
        )
    )
    def test_anything_else(self, tmp_path: Path, content: object) -> None:
        (tmp_path / CARD).write_text(json.dumps(content))
        with pytest.raises(BundleError):
            read_card(str(tmp_path))


class TestBrokenWeights:
    def change(self, bundle: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
        state = load((bundle / WEIGHTS).read_bytes())
        edit(state)
        put_weights(bundle, save(state))

    def test_damaged_on_the_way(self, bundle: Path) -> None:
        data = bytearray((bundle / WEIGHTS).read_bytes())
        data[-1] ^= 1
        (bundle / WEIGHTS).write_bytes(data)
        assert (
            refusal(bundle) == f"URL/{WEIGHTS} is not the file its card was written for (sha256 differs); copy it again"
        )
        (bundle / WEIGHTS).write_bytes(data[:100])
        assert "sha256 differs" in refusal(bundle)

    def test_a_card_without_a_hash(self, bundle: Path) -> None:
        rewrite_card(bundle, weights_sha256=None)
        assert "sha256 differs" in refusal(bundle)

    @pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 64, b"\xff" * 64, b"\x08" + b"\x00" * 7 + b"not json"])
    def test_no_safetensors(self, bundle: Path, data: bytes) -> None:
        put_weights(bundle, data)
        assert refusal(bundle).startswith(f"URL/{WEIGHTS} is not a safetensors file: ")

    def test_a_pickle_is_never_opened(self, bundle: Path, tmp_path: Path) -> None:
        mark = tmp_path / "it ran"

        class Evil:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(mark),)

        torch.save({"blocks.block1.conv.weight": Evil()}, tmp_path / "evil.pt")
        for data in ((tmp_path / "evil.pt").read_bytes(), pickle.dumps(Evil())):
            put_weights(bundle, data)
            assert "is not a safetensors file" in refusal(bundle)
            assert not mark.exists()
        pickle.loads(data)
        assert mark.exists(), "it would have run"

    def test_weights_of_another_network(self, bundle: Path, weights: bytes) -> None:
        line = "URL: the weights do not fit the network on the card"
        put_weights(bundle, weights_bytes(trained(CNN | {"blocks": CNN["blocks"][:1]})))
        assert refusal(bundle) == line
        for edit in (
            lambda state: state.pop("output.bias"),
            lambda state: state.update(more=torch.zeros(1)),
            lambda state: state.update({"output.bias": torch.zeros(2)}),
            lambda state: state.update({"output.bias": torch.zeros(1, dtype=torch.float64)}),
            lambda state: state.update({"output.bias": torch.zeros(1, dtype=torch.int32)}),
            lambda state: state.update({"output.bias": torch.zeros(1, dtype=torch.float8_e4m3fn)}),
        ):
            put_weights(bundle, weights)
            self.change(bundle, edit)
            assert refusal(bundle) == line

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    @pytest.mark.parametrize("name", ["output.weight", "blocks.block1.norm.running_var"])
    def test_numbers_that_are_not_finite(self, bundle: Path, value: float, name: str) -> None:
        self.change(bundle, lambda state: state[name].view(-1)[:1].fill_(value))
        assert refusal(bundle) == f"URL/{WEIGHTS} holds numbers that are not finite; the training went wrong"

    def test_a_network_that_cannot_be(self, bundle: Path) -> None:
        model = {"family": "cnn", "blocks": [{"filters": 2}] * 9}
        rewrite_card(bundle, model=model)
        assert refusal(bundle).startswith(f"URL/{CARD}: model.blocks.5.pool_size: a 2×2 pool is larger than the 1×1")
        rewrite_card(bundle, model={"family": "alexnet"})
        assert refusal(bundle).startswith(f"URL/{CARD}: model.family: a 32×32 picture is too small for alexnet")

    def test_a_card_that_promises_a_giant_is_refused_before_it_is_built(self, bundle: Path) -> None:
        giant = [{"filters": 4096}, {"filters": 4096}, {"filters": 4096}]  # 1.2 GB of weights
        rewrite_card(bundle, model={"family": "cnn", "blocks": giant})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert refusal(bundle) == "URL: the weights do not fit the network on the card"
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB

    def test_a_huge_file_is_not_read(self, bundle: Path) -> None:
        with (bundle / WEIGHTS).open("r+b") as file:
            file.truncate(MAX_WEIGHTS_BYTES + 1)  # sparse: it takes no room
        assert refusal(bundle) == f"URL/{WEIGHTS} has 2,147,483,649 bytes, over the limit of 2,147,483,648"

    def test_a_file_in_the_place_of_the_folder(self, bundle: Path) -> None:
        with pytest.raises(UserError, match="is a file, not a folder"):
            load_bundle(str(bundle / CARD))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_damage_is_a_bundle_error_or_harmless(self, bundle: Path, weights: bytes, data: st.DataObject) -> None:
        """Mostly in the header, which is what a parser can stumble over."""
        header = 8 + int.from_bytes(weights[:8], "little")
        damaged = bytearray(weights)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.none() | st.integers(0, len(damaged)))
        put_weights(bundle, bytes(damaged[:cut]))
        try:
            network, _ = load_bundle(str(bundle))
        except BundleError as error:
            assert "\n" not in str(error)
        else:
            assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
