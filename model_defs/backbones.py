"""torchvision networks by name, with one logit instead of a thousand classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from model_defs.families import check_family
from model_defs.frontends import build_frontend
from model_defs.spec import BackboneSpec, Colour, SpecError
from model_defs.torchvision_import import import_torchvision


class Backbone(nn.Module):
    """front end ▶ torchvision network ▶ one logit.

    forward: float [N, C, S, S], normalised ▶ logits float [N]; positive means fake. One channel is repeated to three.
    """

    def __init__(self, spec: BackboneSpec, image_size: int, colour: Colour, *, pretrained: bool = True) -> None:
        """pretrained=False skips `spec.weights`: the weights come from a checkpoint afterwards.

        Raises SpecError for an unknown family, weights that do not fit, or a picture too small for the network.
        """
        super().__init__()
        check_family(spec.family, "params")
        self.frontend = build_frontend(spec.frontend)
        self.network = _build_network(spec, pretrained)
        self._frozen = spec.frozen
        if spec.frozen:
            head = _last_layer_name(self.network)
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad = name.startswith(f"{head}.")
        del colour  # one channel is repeated at forward; the argument keeps the two network classes alike
        self._check_size(spec.family, image_size)

    def forward(self, images: Tensor) -> Tensor:
        filtered = self.frontend(images)
        if filtered.shape[1] == 1:
            filtered = filtered.expand(-1, 3, -1, -1)
        logits: Tensor = self.network(filtered)
        return logits.flatten()

    def train(self, mode: bool = True) -> Backbone:
        """A frozen network keeps its batch statistics: only its dropout and last layer learn."""
        super().train(mode)
        if self._frozen and mode:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def l2_penalty(self) -> Tensor:
        """Zero: a backbone is regularised by `train.weight_decay`."""
        return next(self.network.parameters()).new_zeros(())

    def _check_size(self, family: str, image_size: int) -> None:
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                self.network(torch.zeros(1, 3, image_size, image_size))
        except RuntimeError:
            raise SpecError(
                f"model.family: a {image_size}×{image_size} picture is too small for {family}; raise data.image_size"
            ) from None
        finally:
            self.train(was_training)


def _build_network(spec: BackboneSpec, pretrained: bool) -> nn.Module:
    models = import_torchvision().models
    if spec.weights == "none" or not pretrained:
        network: nn.Module = models.get_model(spec.family, weights=None)
    elif spec.weights == "torchvision":
        try:
            network = models.get_model(spec.family, weights="DEFAULT")
        except OSError as error:
            raise SpecError(
                f"model.weights: torchvision could not download the weights of {spec.family} "
                f"({getattr(error, 'reason', error)}); use weights: none or a .safetensors file"
            ) from None
    else:
        network = models.get_model(spec.family, weights=None)
        _load_weights(network, Path(spec.weights), spec.family)
    _replace_head(network, spec.dropout)
    return network


def _load_weights(network: nn.Module, path: Path, family: str) -> None:
    """Load a .safetensors state dict; the last layer may be missing or have another number of classes."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: Mapping[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise SpecError(f"model.weights: no file at {path}") from None
    except (SafetensorError, OSError) as error:
        raise SpecError(f"model.weights: {path} is not a readable safetensors file ({error})") from None
    head = _last_layer_name(network)
    own = network.state_dict()
    wrong = [
        k for k, v in own.items() if not k.startswith(f"{head}.") and (k not in state or state[k].shape != v.shape)
    ]
    if wrong:
        raise SpecError(f"model.weights: {path} does not fit {family}: {len(wrong)} tensors differ, first '{wrong[0]}'")
    network.load_state_dict({k: v for k, v in state.items() if k in own and v.shape == own[k].shape}, strict=False)


def _last_layer_name(network: nn.Module) -> str:
    """The classifier: the last fully connected layer of every family in `model_defs.families`."""
    names: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    return names[-1]


def _replace_head(network: nn.Module, dropout: float) -> None:
    name = _last_layer_name(network)
    old = network.get_submodule(name)
    assert isinstance(old, nn.Linear)
    new = nn.Linear(old.in_features, 1)
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, new)
    if dropout:
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
