"""Networks as training and serving meet them: the project's own and torchvision's, with and without weights."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model_defs.backbones import DOWNLOAD_TIMEOUT_S, Backbone
from model_defs.cnn import Cnn
from model_defs.families import FAMILIES, MIN_SIDES
from model_defs.network import build_network, conv_layers, count_parameters
from model_defs.spec import BackboneSpec, CnnSpec, ConvBlock, DenseLayer, Frontend, SpecError
from model_defs.torchvision_import import import_torchvision

ROOT = Path(__file__).resolve().parent.parent
QUICK = ("resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0", "regnet_x_400mf")


def backbone(family: str = "resnet18", image_size: int = 32, **fields: object) -> Backbone:
    network = build_network(BackboneSpec.model_validate({"family": family, **fields}), image_size, "rgb")
    assert isinstance(network, Backbone)
    return network


class TestCnn:
    def test_one_logit_a_picture(self) -> None:
        network = build_network(CnnSpec(blocks=(ConvBlock(filters=4),)), 16, "rgb")
        assert network(torch.rand(5, 3, 16, 16)).shape == (5,)
        assert network(torch.rand(1, 3, 16, 16)).shape == (1,)

    def test_it_can_learn(self) -> None:
        """Bright against dark: a training loop that cannot do this is broken."""
        torch.manual_seed(0)
        spec = CnnSpec(blocks=(ConvBlock(filters=4, norm="batch"),), dense=(DenseLayer(nodes=8),))
        network = build_network(spec, 8, "grey")
        labels = torch.tensor([0.0, 1.0] * 16)
        images = torch.rand(32, 1, 8, 8) * 0.2 + labels.view(-1, 1, 1, 1) * 0.5
        optimizer = torch.optim.Adam(network.parameters(), 0.02)
        for _ in range(60):
            optimizer.zero_grad()
            loss: Any = nn.functional.binary_cross_entropy_with_logits(network(images), labels) + network.l2_penalty()
            loss.backward()
            optimizer.step()
        assert ((network.eval()(images) > 0).float() == labels).all()

    def test_conv_layers_are_named_in_order(self) -> None:
        network = build_network(CnnSpec(blocks=(ConvBlock(filters=4), ConvBlock(filters=6))), 16, "rgb")
        layers = conv_layers(network)
        assert list(layers) == ["blocks.block1.conv", "blocks.block2.conv"]
        assert [layer.out_channels for layer in layers.values()] == [4, 6]

    def test_a_seed_decides_the_weights(self) -> None:
        def weights(seed: int) -> Tensor:
            torch.manual_seed(seed)
            return torch.cat(
                [p.flatten() for p in Cnn(CnnSpec(blocks=(ConvBlock(filters=4),)), 16, "rgb").parameters()]
            )

        assert torch.equal(weights(1), weights(1))
        assert not torch.equal(weights(1), weights(2))

    def test_no_l2_is_no_penalty(self) -> None:
        assert build_network(CnnSpec(blocks=(ConvBlock(filters=4),)), 16, "rgb").l2_penalty().item() == 0


def least_side(family: str) -> int:
    return next((side for stem, side in MIN_SIDES.items() if family.startswith(stem)), 8)


class TestFamilies:
    def test_torchvision_has_them_all_with_weights(self) -> None:
        models = import_torchvision().models
        assert set(FAMILIES) <= set(models.list_models(module=models))
        assert all(models.get_model_weights(family).DEFAULT.url for family in FAMILIES)
        assert len(set(FAMILIES)) == len(FAMILIES)

    @pytest.mark.parametrize("family", QUICK)
    def test_one_logit_forward_and_backward(self, family: str) -> None:
        network = backbone(family)
        logits = network(torch.rand(2, 3, 32, 32))
        assert logits.shape == (2,)
        (logits.sum() + network.l2_penalty()).backward()
        assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
        assert network.eval()(torch.rand(1, 3, 32, 32)).shape == (1,)
        assert len(conv_layers(network)) > 5

    @pytest.mark.slow
    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_family_takes_its_smallest_picture_and_none_smaller(self, family: str) -> None:
        """On the meta device: shapes are worked out and nothing is computed."""
        least = least_side(family)
        with torch.device("cpu" if family.startswith("regnet") else "meta"):  # RegNet reads values while it is built
            network = build_network(BackboneSpec(family=family), least, "rgb").to("meta")
        for training in (False, True):
            network.train(training)
            assert network(torch.zeros(2, 3, least, least, device="meta")).shape == (2,)
        assert network(torch.zeros(2, 3, least + 1, least + 1, device="meta")).shape == (2,)
        assert any(isinstance(module, nn.Linear) and module.out_features == 1 for module in network.modules())
        if least > 8:
            with pytest.raises(RuntimeError):
                network(torch.zeros(2, 3, least - 1, least - 1, device="meta"))
            with pytest.raises(SpecError, match=f"too small for {family}; set data.image_size to {least} or more"):
                build_network(BackboneSpec(family=family), least - 1, "rgb")

    def test_grey_pictures(self) -> None:
        network = build_network(BackboneSpec(family="resnet18"), 32, "grey").eval()
        grey = torch.rand(3, 1, 32, 32)
        with torch.no_grad():
            assert torch.equal(network(grey), network(grey.expand(-1, 3, -1, -1)))

    @pytest.mark.parametrize("frontend", ["npr", "srm", "spectrum"])
    @pytest.mark.parametrize("colour", ["rgb", "grey"])
    def test_with_a_front_end(self, frontend: Frontend, colour: str) -> None:
        spec = BackboneSpec(family="mobilenet_v3_small", frontend=frontend)
        network = build_network(spec, 32, "rgb" if colour == "rgb" else "grey")
        assert network(torch.rand(2, 3 if colour == "rgb" else 1, 32, 32)).shape == (2,)

    @pytest.mark.parametrize("family", ["resnet18", "mobilenet_v3_small", "densenet121"])
    def test_dropout_is_where_it_was_asked_for(self, family: str) -> None:
        def rates(dropout: float | None) -> set[float]:
            modules = backbone(family, dropout=dropout).modules()
            return {module.p for module in modules if isinstance(module, nn.Dropout)}

        assert rates(0.35) == {0.35}
        assert rates(None) == ({0.2} if family == "mobilenet_v3_small" else set())
        assert rates(0.0) == ({0.0} if family == "mobilenet_v3_small" else set())

    def test_dropout_drops(self) -> None:
        network = backbone(dropout=0.5).train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        picture = torch.rand(1, 3, 32, 32)
        assert len({network(picture).item() for _ in range(8)}) > 1
        assert len({network.eval()(picture).item() for _ in range(3)}) == 1


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's resnet18 with known random weights and its thousand classes."""
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(import_torchvision().models.get_model("resnet18", weights=None).state_dict(), path)
    return path


class TestWeights:
    def changed(self, weights: Path, folder: Path, **tensors: Tensor | None) -> str:
        """A copy of the file in which tensors (`.` written `__`) are replaced, or left out."""
        state = load_file(weights)
        for name, tensor in tensors.items():
            key = name.replace("__", ".")
            if tensor is None:
                del state[key]
            else:
                state[key] = tensor
        path = folder / "changed.safetensors"
        save_file(state, path)
        return str(path)

    def test_the_body_is_loaded_and_the_head_is_new(self, weights: Path) -> None:
        network = backbone(weights=str(weights))
        state = load_file(weights)
        own = network.network.state_dict()
        assert all(torch.equal(own[k], v) for k, v in state.items() if not k.startswith("fc."))
        assert own["fc.weight"].shape == (1, 512)

    def test_a_file_without_a_head_or_batch_counts(self, weights: Path, tmp_path: Path) -> None:
        path = self.changed(weights, tmp_path, fc__weight=None, fc__bias=None, bn1__num_batches_tracked=None)
        assert torch.equal(
            backbone(weights=path).network.get_parameter("conv1.weight"), load_file(path)["conv1.weight"]
        )

    def test_a_file_with_another_head(self, weights: Path, tmp_path: Path) -> None:
        path = self.changed(weights, tmp_path, fc__weight=torch.rand(7, 99), fc__bias=torch.rand(7))
        assert backbone(weights=path)(torch.rand(2, 3, 32, 32)).shape == (2,)

    @pytest.mark.parametrize("dropout", [None, 0.5])
    def test_the_weights_of_a_bundle_of_ours(self, tmp_path: Path, dropout: float | None) -> None:
        first = backbone(dropout=dropout)
        save_file(first.state_dict(), tmp_path / "weights.safetensors")
        second = backbone(weights=str(tmp_path / "weights.safetensors"))
        assert torch.equal(second.network.get_parameter("conv1.weight"), first.network.get_parameter("conv1.weight"))

    def test_what_does_not_fit_is_one_line(self, weights: Path, tmp_path: Path) -> None:
        def refusal(path: str, family: str = "resnet18") -> str:
            with pytest.raises(SpecError) as caught:
                backbone(family, weights=path)
            assert "\n" not in str(caught.value)
            return str(caught.value)

        missing = self.changed(weights, tmp_path, layer1__0__conv1__weight=None)
        assert refusal(missing).endswith("does not fit resnet18: of 1 tensors, 'layer1.0.conv1.weight' is missing")
        shape = self.changed(weights, tmp_path, conv1__weight=torch.rand(2, 2))
        assert refusal(shape).endswith("does not fit resnet18: of 1 tensors, 'conv1.weight' has another shape")
        broken = self.changed(weights, tmp_path, conv1__weight=torch.full((64, 3, 7, 7), float("nan")))
        assert refusal(broken).endswith("holds numbers that are not finite")
        assert "does not fit mobilenet_v2: of " in refusal(str(weights), "mobilenet_v2")
        assert refusal(str(tmp_path / "no.safetensors")).startswith("model.weights: no file at ")
        (tmp_path / "bad.safetensors").write_bytes(b"not tensors")
        assert "is not a readable safetensors file" in refusal(str(tmp_path / "bad.safetensors"))
        (tmp_path / "folder.safetensors").mkdir()
        assert "is not a readable safetensors file" in refusal(str(tmp_path / "folder.safetensors"))

    def test_a_checkpoint_needs_no_weights_file(self) -> None:
        spec = BackboneSpec(family="resnet18", weights="gone.safetensors", frozen=True)
        network = build_network(spec, 32, "rgb", pretrained=False)
        assert network.eval()(torch.rand(1, 3, 32, 32)).shape == (1,)

    @pytest.mark.parametrize("family", ["resnet18", "mobilenet_v3_small"])
    @pytest.mark.parametrize("dropout", [None, 0.3])
    def test_frozen_trains_only_the_head(self, tmp_path: Path, family: str, dropout: float | None) -> None:
        path = tmp_path / "weights.safetensors"
        save_file(import_torchvision().models.get_model(family, weights=None).state_dict(), path)
        network = backbone(family, weights=str(path), frozen=True, dropout=dropout)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
        for _ in range(2):
            network.train()
            optimizer.zero_grad()
            (network(torch.randn(4, 3, 64, 64)) - 1).square().sum().backward()
            optimizer.step()
        moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
        assert {name.rpartition(".")[2] for name in moved} == {"weight", "bias"}
        assert len(moved) == 2
        features = 512 if family == "resnet18" else 1024
        assert count_parameters(network) == features + 1

    def test_what_is_not_frozen_moves_its_statistics(self) -> None:
        network = backbone().train()
        before = network.network.get_buffer("bn1.running_mean").clone()
        network(torch.rand(4, 3, 32, 32))
        assert not torch.equal(network.network.get_buffer("bn1.running_mean"), before)


DOWNLOAD = """
import json, socket, sys, time
from model_defs import backbones
from model_defs.network import build_network
from model_defs.spec import BackboneSpec, SpecError
backbones.DOWNLOAD_TIMEOUT_S = 2.0
started = time.monotonic()
try:
    network = build_network(BackboneSpec(family=sys.argv[1], weights="torchvision"), 32, "rgb")
    error = None
except SpecError as caught:
    error = str(caught)
print(json.dumps([error, time.monotonic() - started, socket.getdefaulttimeout()]))
"""


class TestDownload:
    """torchvision's own weights, in a process of its own with an empty cache and a network that is not there."""

    def download(self, cache: Path, family: str = "mobilenet_v3_small", **environment: str) -> tuple[str | None, float]:
        done = subprocess.run(
            [sys.executable, "-c", DOWNLOAD, family],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
            env={"PATH": "/usr/bin:/bin", "TORCH_HOME": str(cache), **environment},
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        error, seconds, default_timeout = json.loads(done.stdout.splitlines()[-1])
        assert default_timeout is None, "what was set for the download is put back"
        return error, seconds

    def test_offline_is_one_line(self, tmp_path: Path) -> None:
        error, seconds = self.download(tmp_path, https_proxy="http://127.0.0.1:9")  # the discard port: nobody listens
        assert error is not None
        assert error.startswith("model.weights: torchvision could not download the weights of mobilenet_v3_small (")
        assert "refused" in error
        assert error.endswith("; use weights: none or a .safetensors file")
        assert seconds < 10
        assert not list(tmp_path.rglob("*.pth"))

    def test_a_network_that_never_answers_does_not_hang(self, tmp_path: Path) -> None:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as silent:
            held = []
            listener = threading.Thread(target=lambda: held.append(silent.accept()), daemon=True)
            listener.start()
            started = time.monotonic()
            error, _ = self.download(tmp_path, https_proxy=f"http://127.0.0.1:{silent.getsockname()[1]}")
            assert error is not None and "timed out" in error
            assert time.monotonic() - started < 60
        assert 5 <= DOWNLOAD_TIMEOUT_S <= 60

    def test_what_is_in_the_cache_is_used(self, tmp_path: Path) -> None:
        path = self.cached(tmp_path)
        torch.save(import_torchvision().models.get_model("mobilenet_v3_small", weights=None).state_dict(), path)
        assert self.download(tmp_path)[0] is None

    def test_a_pickle_in_the_cache_is_not_run(self, tmp_path: Path) -> None:
        mark = tmp_path / "it ran"
        torch.save({"classifier.0.weight": Evil(str(mark))}, self.cached(tmp_path))
        error, _ = self.download(tmp_path)
        assert error is not None and "could not" in error
        assert not mark.exists()

    def cached(self, cache: Path) -> Path:
        weights = import_torchvision().models.get_model_weights("mobilenet_v3_small").DEFAULT
        path = cache / "hub" / "checkpoints" / str(weights.url).rpartition("/")[2]
        path.parent.mkdir(parents=True)
        return path


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        import os

        return os.mkdir, (self.path, 0o700)


class TestTorchvisionImport:
    def run(self, code: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_models_are_usable_and_twice_is_fine(self) -> None:
        out = self.run(
            "import torch\n"
            "from model_defs.torchvision_import import import_torchvision\n"
            "one, two = import_torchvision(), import_torchvision()\n"
            "import torchvision, torchvision.models\n"
            "assert one is two is torchvision\n"
            "network = one.models.get_model('resnet18', weights=None).eval()\n"
            "print(tuple(network(torch.rand(1, 3, 32, 32)).shape))\n"
        )
        assert out == "(1, 1000)\n"

    def test_transforms_are_usable(self) -> None:
        out = self.run(
            "import torch\n"
            "from model_defs.torchvision_import import import_torchvision\n"
            "import_torchvision()\n"
            "from torchvision.transforms import v2\n"
            "print(tuple(v2.CenterCrop(4)(torch.rand(3, 8, 8)).shape))\n"
        )
        assert out == "(3, 4, 4)\n"

    def test_after_a_plain_import_that_failed(self) -> None:
        out = self.run(
            "try:\n"
            "    import torchvision\n"
            "except RuntimeError:\n"
            "    pass\n"
            "from model_defs.torchvision_import import import_torchvision\n"
            "print(import_torchvision().models.resnet18.__name__)\n"
        )
        assert out == "resnet18\n"

    def test_grad_cam_comes_after_it(self) -> None:
        self.run(
            "from model_defs.torchvision_import import import_torchvision\n"
            "import_torchvision()\n"
            "import pytorch_grad_cam\n"
        )
