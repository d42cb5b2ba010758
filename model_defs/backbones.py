"""torchvision networks by name, with one logit instead of a thousand classes."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model_defs.families import check_family, check_picture
from model_defs.frontends import build_frontend
from model_defs.spec import BackboneSpec, SpecError
from model_defs.torchvision_import import import_torchvision

# Without it a network that swallows packets would hold a trial for ever; it is the wait for an answer, not for the
# whole file.
DOWNLOAD_TIMEOUT_S = 20.0

_ONLY_TENSORS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch.load's own switch


class Backbone(nn.Module):
    """front end ▶ torchvision network ▶ one logit.

    forward: float [N, C, S, S], normalised ▶ logits float [N]; positive means fake. One channel is repeated to three.
    """

    def __init__(self, spec: BackboneSpec, image_size: int, *, pretrained: bool = True) -> None:
        """pretrained=False skips `spec.weights`: the weights come from a checkpoint afterwards.

        Raises SpecError for an unknown family, weights that do not fit, or a picture too small for the network.
        """
        super().__init__()
        check_family(spec.family, "params")
        check_picture(spec.family, image_size)
        self.frontend = build_frontend(spec.frontend)
        self.network = _build_network(spec, pretrained)
        self._frozen = spec.frozen
        if spec.frozen:
            head = _last_layer_name(self.network)
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad = name.startswith(f"{head}.")

    def forward(self, images: Tensor) -> Tensor:
        filtered = self.frontend(images)
        if filtered.shape[1] == 1:
            filtered = filtered.expand(-1, 3, -1, -1)
        logits: Tensor = self.network(filtered)
        return logits.flatten()

    def train(self, mode: bool = True) -> Backbone:
        """A frozen network keeps its batch statistics; its dropout still drops, and only its last layer learns."""
        super().train(mode)
        if self._frozen and mode:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def l2_penalty(self) -> Tensor:
        """Zero: a backbone is regularised by `train.weight_decay`."""
        return next(self.network.parameters()).new_zeros(())


def _build_network(spec: BackboneSpec, pretrained: bool) -> nn.Module:
    models = import_torchvision().models
    network: nn.Module
    if pretrained and spec.weights == "torchvision":
        network = _download(models, spec.family)
    else:
        network = models.get_model(spec.family, weights=None)
        if pretrained and spec.weights != "none":
            _load_weights(network, Path(spec.weights), spec.family)
    _replace_head(network, spec.dropout)
    return network


def _download(models: Any, family: str) -> nn.Module:
    """The family with torchvision's own weights, from its cache on disk or from the network."""
    try:
        with _careful_download():
            network: nn.Module = models.get_model(family, weights="DEFAULT")
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:  # RuntimeError: the file's hash is wrong
        raise SpecError(
            f"model.weights: torchvision could not download the weights of {family} "
            f"({getattr(error, 'reason', error)}); use weights: none or a .safetensors file"
        ) from None
    return network


@contextmanager
def _careful_download() -> Iterator[None]:
    """Inside, torch waits no longer than DOWNLOAD_TIMEOUT_S for an answer and unpickles nothing but tensors.

    torch.hub has no arguments that torchvision would hand on for either.
    """
    timeout, forced = socket.getdefaulttimeout(), os.environ.get(_ONLY_TENSORS)
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    os.environ[_ONLY_TENSORS] = "1"
    try:
        yield
    finally:
        socket.setdefaulttimeout(timeout)
        if forced is None:
            del os.environ[_ONLY_TENSORS]
        else:
            os.environ[_ONLY_TENSORS] = forced


def _load_weights(network: nn.Module, path: Path, family: str) -> None:
    """Load a .safetensors state dict: of the torchvision network, or of a bundle of this project with the same family.

    The last layer may be missing or have another number of classes: it is replaced anyway.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = {name.removeprefix("network."): tensor for name, tensor in load_file(path).items()}
    except FileNotFoundError:
        raise SpecError(f"model.weights: no file at {path}") from None
    except (SafetensorError, OSError) as error:
        raise SpecError(f"model.weights: {path} is not a readable safetensors file ({error})") from None
    head = _last_layer_name(network)
    # The count of batches seen matters to no network here, and files converted from elsewhere often lack it.
    body = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.startswith(f"{head}.") and not name.endswith("num_batches_tracked")
    }
    wrong = [name for name, tensor in body.items() if name not in state or state[name].shape != tensor.shape]
    if wrong:
        first = f"'{wrong[0]}' " + ("has another shape" if wrong[0] in state else "is missing")
        raise SpecError(f"model.weights: {path} does not fit {family}: of {len(wrong)} tensors, {first}")
    if not all(torch.isfinite(state[name]).all() for name in body):
        raise SpecError(f"model.weights: {path} holds numbers that are not finite")
    network.load_state_dict({name: state[name] for name in body}, strict=False)


def _last_layer_name(network: nn.Module) -> str:
    """The classifier: the last fully connected layer of every family in `model_defs.families`."""
    names: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    return names[-1]


def _replace_head(network: nn.Module, dropout: float | None) -> None:
    """One output instead of a thousand, behind `dropout`; None keeps what the family has."""
    name = _last_layer_name(network)
    old = network.get_submodule(name)
    assert isinstance(old, nn.Linear)
    head: nn.Module = nn.Linear(old.in_features, 1)
    own = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    if dropout is not None:
        for module in own:
            module.p = dropout
        if dropout and not own:  # resnet, densenet, convnext, regnet and shufflenet have none
            head = nn.Sequential(nn.Dropout(dropout), head)
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, head)
