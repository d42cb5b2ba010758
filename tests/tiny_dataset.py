"""A dataset of a few small pictures, and a trial on it, made in a moment through the project's own doors."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crawler.manifest import Manifest, ManifestRow, table_of, write_manifest
from infra.storage import open_storage

SPLITS = {"train": 24, "val": 16, "test": 16}


def tiny_pictures(count: int, side: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """uint8 [N, S, S, 3] and labels float32 [N]: smooth ramps are real, the same under a fine chequer are fake."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.float32) % 2
    ramp = np.linspace(0, 1, side)
    pictures = np.empty((count, side, side, 3), np.uint8)
    chequer = 40 * ((np.add.outer(np.arange(side), np.arange(side)) % 2) - 0.5)
    for number, label in enumerate(labels):
        low, high = rng.uniform(40, 200, 2)
        plane = low + (high - low) * (ramp[:, None] if rng.random() < 0.5 else ramp[None, :])
        noisy = plane + rng.normal(0, 4, (side, side)) + label * chequer
        pictures[number] = noisy.clip(0, 255).astype(np.uint8)[..., None]
    return pictures, labels


def make_dataset(folder: Path, splits: Mapping[str, int] = SPLITS, side: int = 16) -> Manifest:
    """A dataset in `folder`, half of every split fake, each picture a PNG of `side` pixels."""
    storage = open_storage(str(folder))
    rows = []
    for seed, (split, count) in enumerate(splits.items()):
        for number, (picture, label) in enumerate(zip(*tiny_pictures(count, side, seed), strict=True)):
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "png")
            data = buffer.getvalue()
            sha256 = hashlib.sha256(data).hexdigest()
            key = f"images/{sha256[:2]}/{sha256}.png"
            storage.put(key, data)
            rows.append(
                ManifestRow(
                    sha256=sha256, key=key, label="fake" if label else "real", generator="chequer" if label else None,
                    source="test", split=split, cluster=f"{split}-{number // 2}", width=side, height=side, format="png",
                    bytes=len(data), phash="0" * 16,
                )
            )  # fmt: skip
    return write_manifest(str(folder), table_of(rows))


def make_trial(folder: Path, manifest: Manifest, epochs: int = 4, number: int = 0, **train: Any) -> Path:
    """Train a small network on `manifest` and save it in `folder` as a trial does, in checkpoint `number`."""
    from safetensors.torch import save

    from model_defs.checkpoint import Card, DatasetRef, Origin, bundle_id
    from tune.checkpointing import Best, answers_table, checkpoint_files, write_folder
    from tune.data import load_split
    from tune.params import parse_trial_params
    from tune.training import Training

    params = parse_trial_params(
        {
            "data": {"manifest": manifest.url, "image_size": 16, "colour": "grey"},
            "model": {"blocks": [{"filters": 6}], "global_pool": "avg"},
            "train": {"epochs": epochs, "lr": 0.05, "batch_size": 8, **train},
        },
        "test",
    )
    splits = [load_split(manifest, split, params.preprocess, folder.parent / "cache") for split in ("train", "val")]
    training = Training(params, *splits, seed=0, metric="auc", mode="max")
    best = None
    for epoch in training.epochs():
        if epoch.improved:
            weights = training.weights()
            card = Card(
                id=bundle_id("tiny", weights), created_at="2026-01-01T00:00:00+00:00", model=params.model,
                preprocess=params.preprocess, metrics={"val": dict(epoch.metrics)},
                dataset=DatasetRef(url=manifest.url, version=manifest.version, hash=manifest.hash),
                origin=Origin(sweep="tiny", trial="t1", epoch=epoch.number, params=params.model_dump(mode="json")),
            )  # fmt: skip
            best = Best(card, weights, answers_table(splits[1].rows, epoch.val_logits))
    files = checkpoint_files("t1", save(training.state()), training.progress, best)
    write_folder(folder / f"checkpoint_{number:06d}", files)
    return folder
