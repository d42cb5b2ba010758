"""Heatmaps for every conv layer: one pass for all of them beside pytorch-grad-cam once per layer, and the panel.

python benchmarks/heatmaps.py [--repeats N] [--threads N]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from infra.cli import run_cli

IMAGE_SIZE = 128
NETWORKS: dict[str, dict[str, Any]] = {
    "cnn, 8 layers": {
        "family": "cnn",
        "blocks": [
            {"filters": filters, "norm": "batch", "pool": "max" if number % 2 else "none"}
            for number, filters in enumerate((16, 16, 32, 32, 64, 64, 64, 64))
        ],
        "global_pool": "avg",
    },
    "resnet18": {"family": "resnet18"},
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="All heatmaps in one pass, beside pytorch-grad-cam once per layer.",
        epilog="example: python benchmarks/heatmaps.py --repeats 5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", metavar="N", type=int, default=5, help="medians of N runs; default 5")
    parser.add_argument("--threads", metavar="N", type=int, help="CPU threads; default: torch's choice")
    args = parser.parse_args(argv)
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {IMAGE_SIZE}×{IMAGE_SIZE} pixels")
    print(f"{'network':<16}{'layers':>8}{'one pass':>12}{'per layer':>12}{'ratio':>8}{'largest Δ':>12}{'panel':>10}")
    for name, model in NETWORKS.items():
        print(measure(name, model, args.repeats))


def measure(name: str, model: dict[str, Any], repeats: int) -> str:
    """One row of the table: milliseconds for one picture."""
    import numpy as np
    import torch

    from bot.explain import explain
    from bot.render import render_panel
    from model_defs.network import build_network, conv_layers
    from model_defs.spec import parse_model_spec

    torch.manual_seed(0)
    network = build_network(parse_model_spec(model, name), IMAGE_SIZE, "rgb").eval()
    picture = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE)
    layers = explain(network, picture, "fake")
    by_layer = once_per_layer(network, picture)
    difference = max(float(np.abs(layer.map - by_layer[layer.name]).max()) for layer in layers)
    one_pass = median_ms(lambda: explain(network, picture, "fake"), repeats)
    per_layer = median_ms(lambda: once_per_layer(network, picture), repeats)
    verdict = verdict_of(layers)
    panel = median_ms(lambda: render_panel(verdict, "photo.jpg", date(2026, 1, 1)), repeats)
    return (
        f"{name:<16}{len(conv_layers(network)):>8}{one_pass:>9.0f} ms{per_layer:>9.0f} ms{per_layer / one_pass:>7.1f}×"
        f"{difference:>12.1e}{panel:>7.0f} ms"
    )


def once_per_layer(network: Any, picture: Any) -> dict[str, Any]:
    """pytorch-grad-cam as its own examples use it, once for each layer: name ▶ float32 [S, S]."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import BinaryClassifierOutputTarget

    from model_defs.network import conv_layers

    inplace = [module for module in network.modules() if getattr(module, "inplace", False)]
    for module in inplace:  # in place they overwrite what grad-cam has kept
        module.inplace = False
    maps = {}
    for name, layer in conv_layers(network).items():
        with GradCAM(network, [layer]) as grad_cam:
            maps[name] = grad_cam(picture, [BinaryClassifierOutputTarget(1)])[0]
    for module in inplace:
        module.inplace = True
    return maps


def verdict_of(layers: Any) -> Any:
    """A verdict that shows `layers` over grey noise, which is the hardest to compress."""
    import numpy as np

    from bot.verdict import Picture, Stability, Verdict
    from model_defs.checkpoint import Thresholds

    noise = np.random.default_rng(0).integers(0, 256, (720, 540, 3), dtype=np.uint8)
    seen = noise[:IMAGE_SIZE, :IMAGE_SIZE]
    return Verdict(
        p_fake=0.9, verdict="fake", stability=Stability((), 0.9, 0.9, flips=False), model="benchmark", layers=layers,
        explains="fake", thresholds=Thresholds(), picture=Picture(540, 720, "png", "crop", noise, seen), seconds=0.0,
    )  # fmt: skip


def median_ms(run: Callable[[], object], repeats: int) -> float:
    """The median wall time of `run` in milliseconds, after one run that is not counted."""
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


if __name__ == "__main__":
    run_cli(main)
