"""One forward and one backward pass ▶ a heatmap for every conv layer.

The arithmetic is pytorch-grad-cam's (Selvaraju et al., "Grad-CAM", ICCV 2017): a layer's map is its channels, each
weighted by the spatial mean of its gradient, summed, with what speaks for the other side cut off. Only the recording
is our own, keyed by layer. pytorch-grad-cam 1.5.7 keeps activations and gradients in two lists matched by index,
which slip against each other where a layer's output needs no gradient, where a network branches, or where a layer
runs twice; and on a CPU its saved activations share memory with the network's, so an in-place activation right
after the convolution overwrites them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bot.verdict import LayerHeatmap, Side
from model_defs.network import conv_layers
from model_defs.torchvision_import import import_torchvision

import_torchvision()  # pytorch_grad_cam imports it too, and would meet the fault that is cured there
from pytorch_grad_cam import GradCAM  # noqa: E402
from pytorch_grad_cam.utils.image import scale_cam_image  # noqa: E402

# A layer is dead when what it says is lost in the answer. Evidence is in logits: a millionth of a logit moves a
# probability by at most 0.25e-6, less than is ever shown; a ten-thousandth of all the evidence is less than float32
# arithmetic leaves of a deep network's sum. Peaks are not compared between layers: a 4×4 map has to say in 16 places
# what a 128×128 map says in 16,384.
DEAD_EVIDENCE = 1e-6
DEAD_SHARE = 1e-4


def explain(network: nn.Module, picture: Tensor, side: Side) -> tuple[LayerHeatmap, ...]:
    """A heatmap for every conv layer of `network`, in the order in which the layers ran, unreached ones last.

    network: in evaluation mode, one logit a picture, positive means fake; left exactly as it was, whatever happens.
    picture: float [1, C, S, S], normalised. side: whose evidence is shown; fake explains +logit and real −logit, as
    grad-cam's BinaryClassifierOutputTarget does.

    A layer's evidence is Σ_xy max(0, Σ_k w_k·A_k(x, y)) with w_k = mean_xy ∂logit/∂A_k: a first-order estimate, in
    logits, of what the layer's activations A add for that side. Layers work in series and see the same evidence again,
    so shares compare layers; they do not add up to the logit. Raises ValueError for a network in training mode.
    """
    if network.training:
        raise ValueError("explain needs a network in evaluation mode: batch statistics of one picture say nothing")
    runs, gradients = _record(network, picture, side)
    # No target layers: no hooks are placed; get_cam_image is the weighting itself.
    arithmetic = GradCAM(network, target_layers=[])
    input_side = int(picture.shape[-1])
    raw = {name: np.maximum(_cam(arithmetic, activations, gradients[name]), 0.0) for name, activations in runs.items()}
    evidence = {name: float(cam.sum(dtype=np.float64)) for name, cam in raw.items()}
    total = sum(evidence.values())
    layers = [
        LayerHeatmap(
            name=name,
            size=(cam.shape[0], cam.shape[1]),
            channels=int(runs[name].shape[1]),
            peak=float(cam.max()),
            share=evidence[name] / total if total > 0 else 0.0,
            dead=evidence[name] <= max(DEAD_EVIDENCE, DEAD_SHARE * total),
            map=_stretched(cam, input_side),
        )
        for name, cam in raw.items()
    ]
    blank = np.zeros((input_side, input_side), dtype=np.float32)
    layers += [
        LayerHeatmap(name, (0, 0), conv.out_channels, peak=0.0, share=0.0, dead=True, map=blank)
        for name, conv in conv_layers(network).items()
        if name not in runs
    ]
    return tuple(layers)


def _record(network: nn.Module, picture: Tensor, side: Side) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """Activations and gradients of every run of every conv layer: name ▶ float [1, K, h, w] each."""
    runs: dict[str, Tensor] = {}
    with _recording(network, runs), torch.enable_grad():
        # The input needs a gradient, or nothing would flow through layers that are frozen.
        logit = network(picture.detach().clone().requires_grad_(True)).sum()
    reached = [name for name, output in runs.items() if output.requires_grad]
    # Gradients only of what was recorded: no weight is touched, so no `.grad` is left behind.
    found = (
        torch.autograd.grad(logit, [runs[name] for name in reached], allow_unused=True)
        if reached and logit.requires_grad
        else ()
    )
    gradients = {name: gradient for name, gradient in zip(reached, found, strict=False) if gradient is not None}
    sign = 1.0 if side == "fake" else -1.0
    return runs, {name: sign * gradients.get(name, torch.zeros_like(output)) for name, output in runs.items()}


@contextmanager
def _recording(network: nn.Module, runs: dict[str, Tensor]) -> Iterator[None]:
    """Fill `runs` with the output of every conv layer as the network runs."""

    def hook_for(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            run = name
            count = 1
            while run in runs:
                count += 1
                run = f"{name}#{count}"
            runs[run] = output
            # The network goes on with a copy: an in-place activation may overwrite that one.
            return output.clone()

        return hook

    handles = [layer.register_forward_hook(hook_for(name)) for name, layer in conv_layers(network).items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _cam(arithmetic: Any, activations: Tensor, gradient: Tensor) -> NDArray[np.float32]:
    """Grad-CAM's weighted sum, both signs: [1, K, h, w] twice ▶ float32 [h, w]."""
    cam = arithmetic.get_cam_image(
        None, None, None, activations.detach().float().cpu().numpy(), gradient.detach().float().cpu().numpy()
    )
    picture: NDArray[np.float32] = np.asarray(cam[0], dtype=np.float32)
    return picture


def _stretched(cam: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """[h, w], ≥ 0 ▶ [side, side] in [0, 1], its minimum 0 and its maximum 1.

    Twice, as grad-cam does it: resampling to the input's size flattens the hottest spot, the second pass lifts it.
    """
    stretched: NDArray[np.float32] = scale_cam_image(scale_cam_image(cam[None], (side, side)))[0]
    return stretched
