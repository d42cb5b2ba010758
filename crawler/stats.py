"""What is in a dataset, in figures, and what in it would spoil training or judging."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crawler.labels import LABELS, SPLITS
from crawler.manifest import Manifest
from infra.storage import open_storage


def dataset_stats(manifest: Manifest) -> dict[str, Any]:
    """The figures of a dataset, ready for JSON; `warnings` are sentences for a person."""
    table = manifest.table  # column by column: as Python objects 100,000 rows would take 200 MB
    counts = manifest.counts()
    sizes = Counter(table["cluster"].to_pylist())
    pairs = set(zip(table["cluster"].to_pylist(), table["label"].to_pylist(), strict=True))
    mixed = sum(labels > 1 for labels in Counter(cluster for cluster, _ in pairs).values())
    largest = max(sizes.values(), default=0)
    of_label = {label: table.filter(pc.equal(table["label"], label)) for label in LABELS}
    return {
        "url": manifest.url,
        "version": manifest.version,
        "hash": manifest.hash,
        "images": len(manifest),
        "bytes": pc.sum(table["bytes"]).as_py() or 0,
        "splits": {
            split: {label: _by_generator(counts, split, label) for label in LABELS}
            for split in SPLITS
            if manifest.count(split)
        },
        "labels": {label: _figures(rows) for label, rows in of_label.items() if rows.num_rows},
        "sources": _counted(table["source"].to_pylist()),
        "licences": _counted(licence or "unknown" for licence in table["licence"].to_pylist()),
        "identities": len(set(table["identity"].to_pylist()) - {None, ""}),
        "clusters": {
            "count": len(sizes),
            "near_duplicates": len(manifest) - len(sizes),
            "largest": largest,
            "with_both_labels": mixed,
        },
        "warnings": _warnings(manifest, of_label, largest, mixed),
    }


def describe(stats: dict[str, Any]) -> str:
    """:func:`dataset_stats` for a person, several lines."""
    lines = [
        f"{stats['url']}  v{stats['version']:04d}  {stats['hash'][:16]}",
        f"{stats['images']} images, {stats['bytes'] / 1e6:.1f} MB, {stats['identities']} named identities",
        "",
        f"{'split':8}{'label':8}{'generator':24}{'images':>8}",
    ]
    for split, labels in stats["splits"].items():
        for label, generators in labels.items():
            for generator, count in generators.items():
                lines.append(f"{split:8}{label:8}{generator:24}{count:>8}")
    for label, figures in stats["labels"].items():
        lines += [
            "",
            f"{label}: {_listed(figures['formats'])}; sizes {_listed(figures['sizes'], 4)}; "
            f"median {figures['median_bytes'] / 1e3:.1f} kB",
            f"  JPEG quality: {_listed(figures['jpeg_qualities'], 6) or 'no JPEGs'}; "
            f"generator traces in the files: {_listed(figures['ai_markers']) or 'none'}",
        ]
    clusters = stats["clusters"]
    lines += [
        "",
        f"clusters: {clusters['count']}; near-duplicates of another image: {clusters['near_duplicates']}; "
        f"largest cluster {clusters['largest']}; clusters with both labels {clusters['with_both_labels']}",
        f"sources: {_listed(stats['sources'], 6)}",
        f"licences: {_listed(stats['licences'], 6)}",
        *(f"warning: {warning}" for warning in stats["warnings"]),
    ]
    return "\n".join(lines)


def one_line(manifest: Manifest) -> str:
    """`train 600 real + 600 fake · val …`: the sizes of the splits."""
    counts: Counter[tuple[str, str]] = Counter()
    for (split, label, _), count in manifest.counts().items():
        counts[split, label] += count
    return " · ".join(
        f"{split} {counts[split, 'real']} real + {counts[split, 'fake']} fake"
        for split in SPLITS
        if counts[split, "real"] + counts[split, "fake"]
    )


def write_pictures(manifest: Manifest, folder: Path, seed: int = 0) -> list[Path]:
    """Draw `contact-sheet.png` and `distributions.png` into `folder`, which is made. Raises UserError."""
    from crawler.contact_sheet import contact_sheet
    from crawler.distributions import distributions

    pictures = {"contact-sheet.png": contact_sheet(manifest, seed), "distributions.png": distributions(manifest)}
    storage = open_storage(str(folder))
    for name, png in pictures.items():
        storage.put(name, png)
    return [folder / name for name in pictures]


def _by_generator(counts: Mapping[tuple[str, str, str | None], int], split: str, label: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (of_split, of_label, generator), count in counts.items():
        if (of_split, of_label) == (split, label):
            found[generator or "-"] += count
    return dict(found.most_common())


def _figures(rows: pa.Table) -> dict[str, Any]:
    sides = zip(rows["width"].to_pylist(), rows["height"].to_pylist(), strict=True)
    return {
        "images": rows.num_rows,
        "formats": _counted(rows["format"].to_pylist()),
        "sizes": _counted(f"{width}x{height}" for width, height in sides),
        "median_bytes": median(rows["bytes"].to_pylist()),
        "jpeg_qualities": _counted(str(quality) for quality in rows["jpeg_quality"].to_pylist() if quality is not None),
        "ai_markers": _counted(marker for found in rows["ai_markers"].to_pylist() for marker in found or ()),
    }


def _warnings(manifest: Manifest, of_label: Mapping[str, pa.Table], largest: int, mixed: int) -> list[str]:
    found = []
    for split in ("train", "val", "test"):
        labels = [label for label in LABELS if manifest.count(split, label)]
        if not labels:
            found.append(f"the {split} split is empty")
        elif len(labels) == 1:
            found.append(f"the {split} split holds {labels[0]} images only: nothing can be learned or measured on it")
    if mixed:
        found.append(f"{mixed} clusters of near-duplicates hold both labels: is something mislabelled?")
    if largest > max(50, len(manifest) // 20):
        found.append(f"one cluster holds {largest} images: are they frames of one film, or all alike?")
    formats = [set(rows["format"].to_pylist()) for rows in of_label.values()]
    if all(formats) and not formats[0] & formats[1]:
        found.append("real and fake images have different file formats: a network may learn the encoder, not the face")
    return found


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _listed(counts: dict[str, int], at_most: int = 8) -> str:
    shown = [f"{name} ×{count}" for name, count in list(counts.items())[:at_most]]
    return ", ".join(shown) + (f", {len(counts) - at_most} more" if len(counts) > at_most else "")
