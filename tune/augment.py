"""Random changes to a batch of training pictures, drawn for each picture and blind to its label."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tune.params import Augment


def augment_batch(images: Tensor, params: Augment, black: Tensor) -> Tensor:
    """float [N, C, S, S], normalised ▶ the same shape. Randomness from torch's global generator.

    black: float [1, C, 1, 1], the normalised value of a black pixel. Values are not clipped at white and black, which
    would erase the traces that lie there.
    """
    count, _, side, _ = images.shape
    device = images.device
    if params.flip:
        mirrored = torch.rand(count, device=device) < 0.5
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
    if params.contrast:
        factor = 1 + params.contrast * (2 * torch.rand(count, 1, 1, 1, device=device) - 1)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = (images - mean) * factor + mean
    if params.brightness:
        factor = 1 + params.brightness * (2 * torch.rand(count, 1, 1, 1, device=device) - 1)
        images = (images - black) * factor + black
    if params.shift:
        images = _shift(images, round(params.shift * side))
    return images


def _shift(images: Tensor, reach: int) -> Tensor:
    """Move each picture by up to `reach` pixels both ways, its edge repeated; pixels are moved, never resampled."""
    if reach == 0:
        return images
    count, channels, side, _ = images.shape
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    offsets = torch.randint(0, 2 * reach + 1, (2, count, 1, 1, 1), device=images.device)
    span = torch.arange(side, device=images.device)
    rows = (offsets[0] + span.view(1, 1, -1, 1)).expand(count, channels, side, padded.shape[-1])
    columns = (offsets[1] + span.view(1, 1, 1, -1)).expand(count, channels, side, side)
    return padded.gather(2, rows).gather(3, columns)
