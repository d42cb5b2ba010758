"""What is in a dataset, in figures, and what in it would spoil training or judging."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from crawler.manifest import LABELS, SPLITS, Manifest, ManifestRow


def dataset_stats(manifest: Manifest) -> dict[str, Any]:
    """The figures of a dataset, ready for JSON; `warnings` are sentences for a person."""
    rows = manifest.rows()
    sizes = Counter(row.cluster for row in rows)
    labels_of: dict[str, set[str]] = {}
    for row in rows:
        labels_of.setdefault(row.cluster, set()).add(row.label)
    return {
        "url": manifest.url,
        "version": manifest.version,
        "hash": manifest.hash,
        "images": len(rows),
        "bytes": sum(row.bytes for row in rows),
        "splits": {
            split: {label: _by_generator(rows, split, label) for label in LABELS}
            for split in SPLITS
            if any(row.split == split for row in rows)
        },
        "labels": {
            label: _figures([row for row in rows if row.label == label])
            for label in LABELS
            if any(row.label == label for row in rows)
        },
        "sources": _counted(row.source for row in rows),
        "licences": _counted(row.licence or "unknown" for row in rows),
        "identities": len({row.identity for row in rows if row.identity}),
        "clusters": {
            "count": len(sizes),
            "near_duplicates": sum(size - 1 for size in sizes.values()),
            "largest": max(sizes.values()),
            "with_both_labels": sum(len(labels) > 1 for labels in labels_of.values()),
        },
        "warnings": _warnings(rows, max(sizes.values()), labels_of),
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


def _by_generator(rows: Sequence[ManifestRow], split: str, label: str) -> dict[str, int]:
    return _counted(row.generator or "-" for row in rows if (row.split, row.label) == (split, label))


def _figures(rows: Sequence[ManifestRow]) -> dict[str, Any]:
    return {
        "images": len(rows),
        "formats": _counted(row.format for row in rows),
        "sizes": _counted(f"{row.width}x{row.height}" for row in rows),
        "median_bytes": median(row.bytes for row in rows),
        "jpeg_qualities": _counted(str(row.jpeg_quality) for row in rows if row.jpeg_quality is not None),
        "ai_markers": _counted(marker for row in rows for marker in row.ai_markers or ()),
    }


def _warnings(rows: Sequence[ManifestRow], largest: int, labels_of: dict[str, set[str]]) -> list[str]:
    found = []
    for split in ("train", "val", "test"):
        labels = {row.label for row in rows if row.split == split}
        if not labels:
            found.append(f"the {split} split is empty")
        elif len(labels) == 1:
            found.append(
                f"the {split} split holds {labels.pop()} images only: nothing can be learned or measured on it"
            )
    mixed = sum(len(labels) > 1 for labels in labels_of.values())
    if mixed:
        found.append(f"{mixed} clusters of near-duplicates hold both labels: is something mislabelled?")
    if largest > max(50, len(rows) // 20):
        found.append(f"one cluster holds {largest} images: are they frames of one film, or all alike?")
    formats = [{row.format for row in rows if row.label == label} for label in LABELS]
    if all(formats) and not formats[0] & formats[1]:
        found.append("real and fake images have different file formats: a network may learn the encoder, not the face")
    return found


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _listed(counts: dict[str, int], at_most: int = 8) -> str:
    shown = [f"{name} ×{count}" for name, count in list(counts.items())[:at_most]]
    return ", ".join(shown) + (f", {len(counts) - at_most} more" if len(counts) > at_most else "")
