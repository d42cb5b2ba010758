"""Small checkpoint bundles for the tests of the bot: real networks with known weights, written as a sweep does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from model_defs.checkpoint import Card, DatasetRef, Origin, Thresholds, bundle_id, weights_bytes, write_bundle
from model_defs.network import build_network
from model_defs.preprocess import Preprocess
from model_defs.spec import Colour, parse_model_spec

# Networks this small gain nothing from a second thread, and on a busy machine threads that wait for each other at every
# layer take ten times as long.
torch.set_num_threads(1)

SMALL_CNN: dict[str, Any] = {
    "family": "cnn",
    "blocks": [{"filters": 6, "norm": "batch"}, {"filters": 8, "pool": "avg"}],
    "global_pool": "avg",
}


def network_of(model: dict[str, Any], image_size: int = 32, colour: Colour = "rgb", seed: int = 0) -> nn.Module:
    """A network in evaluation mode whose batch statistics are those of noise, so that signals reach its end."""
    torch.manual_seed(seed)
    network = build_network(parse_model_spec(model, "test"), image_size, colour)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(torch.randn(8, 3 if colour == "rgb" else 1, image_size, image_size))
    return network.eval()


def write_small_bundle(
    folder: Path,
    model: dict[str, Any] | None = None,
    *,
    image_size: int = 32,
    colour: Colour = "rgb",
    bias: float = 0.0,
    temperature: float = 1.0,
    thresholds: Thresholds | None = None,
    network: nn.Module | None = None,
) -> str:
    """Write a bundle into `folder`; its URL."""
    spec = model or SMALL_CNN
    weights = weights_bytes(network or network_of(spec, image_size, colour))
    card = Card(
        id=bundle_id("test", weights),
        created_at="2026-01-02T03:04:05+00:00",
        model=parse_model_spec(spec, "test"),
        preprocess=Preprocess(image_size=image_size, colour=colour),
        temperature=temperature,
        bias=bias,
        thresholds=thresholds or Thresholds(),
        dataset=DatasetRef(url="file://./data/test", version=1, hash="0" * 64),
        origin=Origin(sweep="test", trial="trial-1", epoch=1, params={}),
    )
    write_bundle(f"file://{folder}", card, weights)
    return f"file://{folder}"


def photo(width: int = 96, height: int = 80, seed: int = 0) -> Image.Image:
    """Smooth colours with some grain: it compresses like a photo."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((width, height))
    grain = random.normal(0, 8, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))
