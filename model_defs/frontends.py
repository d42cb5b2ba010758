"""Fixed forensic filters in front of a network: they hide what a face looks like and keep how it was made.

Each takes float [N, C, H, W] in the normalised range of the preprocessing, has no trainable weights and keeps H and W;
what it returns has the channels of `model_defs.spec.frontend_channels` and a range of its own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_defs.spec import Frontend


class NPR(nn.Module):
    """Neighbouring-pixel residual: x minus its nearest-neighbour down- and upsampled self, times 2/3.

    Generators upsample; the traces sit in 2×2 neighbourhoods. Source: Tan et al., "Rethinking the Up-Sampling
    Operations in CNN-based Generative Network for Generalizable Deepfake Detection", CVPR 2024.
    """

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        coarse = images[..., ::2, ::2].repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
        return (images - coarse[..., :height, :width]) * (2.0 / 3.0)


class SRM(nn.Module):
    """Three high-pass filters of the spatial rich model on the luma: [N, C, H, W] ▶ float32 [N, 3, H, W].

    Source: Fridrich and Kodovský, "Rich Models for Steganalysis of Digital Images", 2012, in the three-kernel
    form of Zhou et al., "Learning Rich Features for Image Manipulation Detection", CVPR 2018.
    """

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        first = [[0, 0, 0, 0, 0], [0, -1, 2, -1, 0], [0, 2, -4, 2, 0], [0, -1, 2, -1, 0], [0, 0, 0, 0, 0]]
        second = [
            [-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1],
        ]  # fmt: skip
        third = [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, -2, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
        kernels = torch.tensor([first, second, third], dtype=torch.float32)
        kernels = kernels / torch.tensor([4.0, 12.0, 2.0]).view(3, 1, 1)
        self.register_buffer("kernels", kernels.unsqueeze(1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        # In float32 also under autocast: half precision rounds away the very residue that is looked for.
        with torch.autocast(images.device.type, enabled=False):
            padded = F.pad(luma(images.float()), (2, 2, 2, 2), mode="replicate")
            return F.conv2d(padded, self.kernels.float())


# Rounding of float32 leaves magnitudes of about 1e-7 where there is nothing; below the floor all is the same nothing.
_FLOOR = 1e-6
_LEAST_SPREAD = 1e-3  # keeps a picture with no spectrum to speak of from being divided by nothing


class Spectrum(nn.Module):
    """Log magnitude of the centred Fourier transform of the luma: [N, C, H, W] ▶ float32 [N, 1, H, W], each image of
    mean 0 and standard deviation 1; the constant part is at [H // 2, W // 2].

    Upsampling leaves peaks and a raised tail in the spectrum. Source: Frank et al., "Leveraging Frequency Analysis
    for Deep Fake Image Recognition", ICML 2020.
    """

    def forward(self, images: Tensor) -> Tensor:
        # In float32 also under autocast: a half-precision FFT exists on few devices and for few sizes.
        transformed = torch.fft.fft2(luma(images.float()), norm="ortho")
        magnitude = torch.fft.fftshift(transformed.abs(), dim=(-2, -1)).add(_FLOOR).log()
        mean = magnitude.mean(dim=(-2, -1), keepdim=True)
        spread = magnitude.std(dim=(-2, -1), keepdim=True, correction=0).clamp_min(_LEAST_SPREAD)
        standardised: Tensor = (magnitude - mean) / spread
        return standardised


def luma(images: Tensor) -> Tensor:
    """[N, 1 or 3, H, W] ▶ [N, 1, H, W] with the ITU-R BT.601 weights, as in JPEG."""
    if images.shape[1] == 1:
        return images
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def build_frontend(name: Frontend) -> nn.Module:
    """The front end of that name; `none` hands the picture on as it is."""
    return {"none": nn.Identity, "npr": NPR, "srm": SRM, "spectrum": Spectrum}[name]()
