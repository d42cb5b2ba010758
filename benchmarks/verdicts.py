"""Verdicts with all heatmaps through the real worker process, beside pytorch-grad-cam called once per layer.

python benchmarks/verdicts.py [--bundle URL] [--pictures N] [--soak N]
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from infra.cli import run_cli

if TYPE_CHECKING:
    from bot.worker import DetectorDesk

SIDE = 1024
AT_ONCE = 16
TARGET = 0.8  # of the number of layers: how many times as fast as once per layer


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Latency, throughput and memory of verdicts, and heatmaps beside pytorch-grad-cam once per layer.",
        epilog="example: python benchmarks/verdicts.py --bundle file://./runs/champions/demo-1a2b3c4d --soak 10000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", metavar="URL", help="default: one of 8 conv layers, 128 × 128, random weights")
    parser.add_argument("--pictures", metavar="N", type=int, default=40, help="verdicts that are timed; default 40")
    parser.add_argument(
        "--soak", metavar="N", type=int, default=0, help="then N verdicts, with the memory at each tenth"
    )
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        bundle = args.bundle or random_bundle(folder)
        asyncio.run(through_the_worker(bundle, args.pictures, args.soak))
        print(beside_grad_cam(bundle))


async def through_the_worker(bundle: str, pictures: int, soak: int) -> None:
    """Print latency of one at a time, throughput of AT_ONCE, and memory."""
    from bot.params import BotParams
    from bot.worker import Asker, DetectorDesk

    photo = photo_bytes()
    params = BotParams.model_validate({"bundle": bundle, "worker": {"queue": 1000, "per_user": 1000}})
    started = time.perf_counter()
    async with DetectorDesk(params) as desk:
        print(
            f"{desk.card.id}: ready after {time.perf_counter() - started:.1f} s; photo {SIDE}×{SIDE}, {len(photo):,} B"
        )
        asker, seconds = Asker("benchmark", "benchmark"), []
        for _ in range(pictures):
            started = time.perf_counter()
            await desk.check(photo, asker)
            seconds.append(1000 * (time.perf_counter() - started))
        p95 = statistics.quantiles(seconds, n=20)[-1]
        print(
            f"verdict, all heatmaps and panel, one at a time: p50 {statistics.median(seconds):.0f} ms, p95 {p95:.0f} ms"
        )
        started = time.perf_counter()
        await checks(desk, photo, 2 * pictures)
        print(f"{AT_ONCE} at once: {2 * pictures / (time.perf_counter() - started):.1f} verdicts/s")
        for tenth in range(11 if soak else 0):
            if tenth:
                await checks(desk, photo, soak // 10)
            worker, bot = rss_mb(desk.pids[0]), rss_mb("self")
            print(f"after {tenth * (soak // 10):>6} verdicts: worker {worker:.0f} MB, bot {bot:.0f} MB", flush=True)


async def checks(desk: DetectorDesk, photo: bytes, count: int) -> None:
    """`count` verdicts, AT_ONCE under way."""
    from bot.worker import Asker

    left = iter(range(count))

    async def one_by_one(user: int) -> None:
        for _ in left:
            await desk.check(photo, Asker(f"user {user}", "benchmark"))

    await asyncio.gather(*map(one_by_one, range(AT_ONCE)))


def beside_grad_cam(bundle: str) -> str:
    """Heatmaps of the bundle's network in this process: one pass, and grad-cam once per layer, with equal maps."""
    import numpy as np

    from benchmarks.heatmaps import median_ms, once_per_layer
    from bot.explain import explain
    from infra.images import decode_image
    from model_defs.checkpoint import load_bundle

    network, card = load_bundle(bundle)
    seen = card.preprocess.fit_image(decode_image(photo_bytes()).rgb)
    picture = card.preprocess.to_tensor(seen[None])
    layers, by_layer = explain(network, picture, "fake"), once_per_layer(network, picture)
    difference = max(float(np.abs(layer.map - by_layer[layer.name]).max()) for layer in layers)
    one_pass = median_ms(lambda: explain(network, picture, "fake"), 15)
    per_layer = median_ms(lambda: once_per_layer(network, picture), 15)
    times, target = per_layer / one_pass, TARGET * len(layers)
    return (
        f"heatmaps of {len(layers)} layers: one pass {one_pass:.1f} ms, pytorch-grad-cam per layer {per_layer:.1f} ms: "
        f"{times:.1f}× as fast, {'as' if times >= target else 'NOT as'} asked (≥ {target:.1f}×); "
        f"largest difference of the maps {difference:.1e}"
    )


def random_bundle(folder: str) -> str:
    """A bundle with the weights that a network starts with."""
    import torch

    from benchmarks.heatmaps import IMAGE_SIZE, NETWORKS
    from model_defs.checkpoint import Card, DatasetRef, Origin, bundle_id, weights_bytes, write_bundle
    from model_defs.network import build_network
    from model_defs.preprocess import Preprocess
    from model_defs.spec import parse_model_spec

    torch.manual_seed(0)
    spec = parse_model_spec(NETWORKS["cnn, 8 layers"], "benchmark")
    weights = weights_bytes(build_network(spec, IMAGE_SIZE, "rgb"))
    card = Card(
        id=bundle_id("benchmark", weights), created_at="2026-01-01T00:00:00+00:00", model=spec,
        preprocess=Preprocess(image_size=IMAGE_SIZE, colour="rgb"),
        dataset=DatasetRef(url="file://./none", version=1, hash="0" * 64),
        origin=Origin(sweep="benchmark", trial="none", epoch=0, params={}),
    )  # fmt: skip
    write_bundle(f"file://{folder}", card, weights)
    return f"file://{folder}"


def photo_bytes() -> bytes:
    """A JPEG of SIDE × SIDE as large as a photo: smooth colours with grain."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((SIDE, SIDE))
    grain: Any = np.asarray(coarse) + random.normal(0, 8, (SIDE, SIDE, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def rss_mb(pid: int | str) -> float:
    """Resident memory of a process, in MB; what a fork shares with its parent included."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


if __name__ == "__main__":
    run_cli(main)
