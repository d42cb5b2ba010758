"""A dataset divided anew into train, val and test, as a new version."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pyarrow as pa

from crawler.fingerprint import near_duplicate_clusters
from crawler.manifest import Manifest, read_manifest, rows_of, table_of, write_manifest
from crawler.split import OOD, Fractions, SplitCandidate, assign_splits
from infra.errors import UserError


def resplit(
    url: str, seed: int = 0, fractions: Fractions | None = None, ood: Collection[str] | None = None
) -> Manifest:
    """Assign every image of the dataset at `url` afresh, from the seed and the images alone.

    ood: the generators to keep out of train, val and test (none of them: empty); None leaves those there that are.
    The same outcome as before writes nothing. Raises ManifestError, and UserError for a generator that is not there.
    """
    current = read_manifest(url)
    return write_manifest(url, _divided(current, seed, fractions, ood), replaces=current.version)


def _divided(current: Manifest, seed: int, fractions: Fractions | None, ood: Collection[str] | None) -> pa.Table:
    rows = rows_of(current.table)
    known = sorted({row.generator for row in rows if row.generator})
    unknown = [name for name in ood or () if name not in known]
    if unknown:
        there = ", ".join(known) or "none"
        raise UserError(f"{current.url} holds no images of the generator '{unknown[0]}'; there are: {there}")
    clusters = near_duplicate_clusters([row.sha256 for row in rows], [row.phash for row in rows])
    stays_out = [row.split == OOD if ood is None else row.generator in ood for row in rows]
    candidates = [
        SplitCandidate(row.sha256, row.label, row.generator, cluster, row.identity, wished=OOD if out else None)
        for row, cluster, out in zip(rows, clusters, stays_out, strict=True)
    ]
    splits = assign_splits(candidates, seed, fractions)
    return table_of(
        replace(row, cluster=cluster, split=split) for row, cluster, split in zip(rows, clusters, splits, strict=True)
    )
