"""Old rows + arrivals ▶ the rows of the next version: duplicates, label conflicts, clusters and splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from crawler.facts import ImageFacts
from crawler.fingerprint import near_duplicate_clusters
from crawler.manifest import Manifest, ManifestError, ManifestRow, rows_of, table_of
from crawler.sources import Origin
from crawler.split import Fractions, SplitCandidate, assign_splits


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that was examined and can be used."""

    image: Origin
    facts: ImageFacts


@dataclass(frozen=True, slots=True)
class Conflict:
    """One picture under two labels; `names` are the files that were left out."""

    sha256: str
    names: tuple[str, ...]
    in_dataset: str | None  # the label it has there already, and keeps


@dataclass(frozen=True, slots=True)
class Move:
    """An image that is not in the split it had or was given, because its near-duplicates or identity are elsewhere."""

    sha256: str
    name: str | None  # the file, where it came with this import
    given: str
    split: str


@dataclass(frozen=True)
class Merge:
    """The next version's table and what happened on the way."""

    table: pa.Table
    added: int
    already_there: int
    same_file_twice: int
    conflicts: tuple[Conflict, ...]
    moves: tuple[Move, ...]


def merge(
    current: Manifest | None, arrivals: Sequence[Arrival], seed: int = 0, fractions: Fractions | None = None
) -> Merge:
    """Add `arrivals` to `current`; the outcome does not depend on their order.

    An image that is in the dataset stays as it is, also where an arrival says otherwise; arrivals that say it has the
    other label are reported. Of arrivals among themselves a picture under two labels is left out altogether, and of
    the same picture twice the file whose name sorts first is taken. Raises ManifestError where `current` is a derived
    dataset, whose pictures all went through one transform.
    """
    old = [] if current is None else rows_of(current.table)
    if current is not None and any(row.derived_from for row in old):
        raise ManifestError(
            f"{current.url} was derived from another dataset; add the images to that one, and derive this one anew"
        )
    label_of = {row.sha256: row.label for row in old}
    by_content: defaultdict[str, list[Arrival]] = defaultdict(list)
    for arrival in sorted(arrivals, key=lambda arrival: arrival.image.name):
        by_content[arrival.facts.sha256].append(arrival)
    conflicts, newcomers = [], []
    already_there = same_file_twice = 0
    for sha256, group in sorted(by_content.items()):
        known = label_of.get(sha256)
        if known is None and len({arrival.image.label for arrival in group}) > 1:
            conflicts.append(Conflict(sha256, tuple(arrival.image.name for arrival in group), None))
            continue
        if known is None:
            newcomers.append(group[0])
            same_file_twice += len(group) - 1
            continue
        contrary = tuple(arrival.image.name for arrival in group if arrival.image.label != known)
        already_there += len(group) - len(contrary)
        if contrary:
            conflicts.append(Conflict(sha256, contrary, known))
    rows = old + [_row(arrival) for arrival in newcomers]
    wishes = [None] * len(old) + [arrival.image.split for arrival in newcomers]
    names = [None] * len(old) + [arrival.image.name for arrival in newcomers]
    clusters = near_duplicate_clusters([row.sha256 for row in rows], [row.phash for row in rows])
    decided = [row.split for row in old] + [None] * len(newcomers)
    candidates = [
        SplitCandidate(row.sha256, row.label, row.generator, cluster, row.identity, before, wish)
        for row, cluster, before, wish in zip(rows, clusters, decided, wishes, strict=True)
    ]
    splits = assign_splits(candidates, seed, fractions)
    moves = [
        Move(candidate.sha256, name, given, split)
        for candidate, name, split in zip(candidates, names, splits, strict=True)
        if (given := candidate.decided or candidate.wished) is not None and given != split
    ]
    table = table_of(
        replace(row, cluster=cluster, split=split) for row, cluster, split in zip(rows, clusters, splits, strict=True)
    )
    return Merge(table, len(newcomers), already_there, same_file_twice, tuple(conflicts), tuple(moves))


def _row(arrival: Arrival) -> ManifestRow:
    image, facts = arrival.image, arrival.facts
    return ManifestRow(
        sha256=facts.sha256,
        key=facts.key,
        label=image.label,
        generator=image.generator,
        source=image.source,
        split="",
        cluster="",
        width=facts.width,
        height=facts.height,
        format=facts.format,
        bytes=facts.bytes,
        phash=facts.phash,
        url=image.url,
        final_url=image.final_url,
        fetched_at=image.fetched_at,
        licence=image.licence,
        author=image.author,
        identity=image.identity,
        jpeg_quality=facts.jpeg_quality,
        ai_markers=facts.ai_markers,
        faces=facts.faces,
        face_box=facts.face_box,
    )
