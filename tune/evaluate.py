"""How good a checkpoint bundle is on a split: `python -m tune.evaluate BUNDLE --data URL --split test --out DIR`."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cli import run_cli

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from crawler.manifest import Manifest, ManifestRow
    from model_defs.checkpoint import Card

INTERVALS = ("auc", "ap", "eer", "f1", "accuracy", "balanced_accuracy", "fpr")


@dataclass(frozen=True)
class Evaluation:
    """Answers on one split, in the order of `rows`. labels: float [N], 1 is fake. logits: float [N], not calibrated."""

    labels: NDArray[np.floating]
    logits: NDArray[np.floating]
    rows: tuple[ManifestRow, ...]


def answers(network: nn.Module, card: Card, manifest: Manifest, split: str, cache: Path) -> Evaluation:
    """What the network says of every image of a split, on a GPU where there is one. Raises DataError."""
    import torch

    from tune.data import load_split_shown
    from tune.training import predict

    data = load_split_shown(manifest, split, card.preprocess, cache)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Evaluation(data.labels, predict(network.to(device), data.pictures, card.preprocess, device), data.rows)


def judge(evaluation: Evaluation, card: Card) -> dict[str, Any]:
    """Metrics of the calibrated answers: counts, every metric, 95% intervals, and the share called fake of each group.

    A metric that these answers cannot tell (one class is missing, a logit is no number) is None.
    """
    from tune.metrics import binary_metrics, bootstrap_ci95, sigmoid

    logits, threshold = card.calibrated(evaluation.logits), card.thresholds.decision
    metrics: dict[str, Any] = {
        "images": len(evaluation.rows),
        "fakes": int(evaluation.labels.sum()),
        **binary_metrics(evaluation.labels, logits, threshold),
    }
    clusters = [row.identity or row.cluster for row in evaluation.rows]
    intervals = bootstrap_ci95(evaluation.labels, logits, clusters, INTERVALS, threshold=threshold)
    metrics |= {f"{name}_ci95": list(interval) for name, interval in intervals.items()}
    called = sigmoid(logits) >= threshold
    metrics["called_fake"] = {
        group: {"images": len(picked), "share": float(called[picked].mean())}
        for group, picked in _groups(evaluation.rows).items()
    }
    return {name: _none_for_nan(value) for name, value in metrics.items()}


def _none_for_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_none_for_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _groups(rows: Sequence[ManifestRow]) -> dict[str, list[int]]:
    """Indices of the images by what made them: 'real', or the generator of a fake."""
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault("real" if row.label == "real" else row.generator or "unknown generator", []).append(number)
    return dict(sorted(groups.items()))


def write_report(out: Path, card: Card, split: str, evaluation: Evaluation, metrics: dict[str, Any]) -> None:
    """`metrics.json`, `predictions.parquet` and the plots, in a folder made where it is missing."""
    from infra.storage import open_storage
    from tune import plots
    from tune.checkpointing import answers_table

    storage = open_storage(str(out))
    calibrated = card.calibrated(evaluation.logits)
    storage.put("roc.png", plots.roc(evaluation.labels, calibrated))
    storage.put("calibration.png", plots.calibration(evaluation.labels, calibrated))
    storage.put("confusion.png", plots.confusion(evaluation.labels, calibrated, card.thresholds.decision))
    storage.put("predictions.parquet", answers_table(evaluation.rows, calibrated))
    report = {"bundle": card.id, "split": split, "metrics": metrics}
    storage.put("metrics.json", (json.dumps(report, indent=2) + "\n").encode())


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see `--help`."""
    parser = argparse.ArgumentParser(
        prog="python -m tune.evaluate",
        description="Judge a checkpoint bundle on a split of a dataset, at the threshold frozen on validation.",
        epilog="example:\n  python -m tune.evaluate runs/champions/demo-1a2b3c4d --data file://./data/demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="folder or storage URL of the checkpoint bundle")
    parser.add_argument("--data", metavar="URL", required=True, help="storage URL of the dataset")
    parser.add_argument("--split", choices=("train", "val", "test", "ood"), default="test", help="default: test")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write metrics.json, predictions and plots here")
    parser.add_argument("--cache", metavar="DIR", type=Path, default=Path("runs/cache"), help="decoded pictures")
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    arguments = parser.parse_args(argv)

    from crawler.manifest import read_manifest
    from model_defs.checkpoint import load_bundle

    manifest = read_manifest(arguments.data)
    network, card = load_bundle(arguments.bundle)
    evaluation = answers(network, card, manifest, arguments.split, arguments.cache)
    metrics = judge(evaluation, card)
    if arguments.out:
        write_report(arguments.out, card, arguments.split, evaluation, metrics)
    if arguments.json:
        print(json.dumps(metrics))
    else:
        print(
            f"{card.id} on {arguments.split} of {arguments.data}: {metrics['images']} images, {metrics['fakes']} fakes"
        )
        for line in describe(metrics):
            print(f"  {line}")
        if arguments.out:
            print(f"report in {arguments.out}")
    return 0


def describe(metrics: dict[str, Any]) -> list[str]:
    """What `judge` found as lines for people, with 95% intervals; what it could not tell is left out."""
    lines = []
    for name, value in metrics.items():
        if isinstance(value, float):
            low, high = metrics.get(f"{name}_ci95", (None, None))
            interval = "" if low is None else f"   (95%: {low:.3f} – {high:.3f})"
            lines.append(f"{name:<18} {value:.4f}{interval}")
    called = metrics["called_fake"].items()
    lines += [f"{'called fake':<18} {group}: {g['share']:.1%} of {g['images']}" for group, g in called]
    return lines


if __name__ == "__main__":
    run_cli(main)
