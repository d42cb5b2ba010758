"""What a publication will consist of, and whether it may and can be made: decided before a byte is written."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from crawler.fingerprint import sha256_hex
from crawler.manifest import Manifest, ManifestRow, dataset_hash, rows_of
from crawler.publish.layout import Shard, lay_out
from crawler.publish.licences import UNKNOWN, name_of
from crawler.publish.shard import OVERHEAD, member_name, row_json, shard_bytes, space_in_shard
from crawler.publish.state import PublishError
from crawler.takedown import taken_down
from infra.storage import Storage

_CHUNK = 2048  # rows that are Python objects at one time


@dataclass(frozen=True)
class Plan:
    """table: in the order of the shards' rows. recipes: by shard name, the sha256 of what it is made from."""

    manifest: Manifest
    table: pa.Table
    shards: Sequence[Shard]
    recipes: dict[str, str]
    spaces: dict[str, int]
    taken_down: int


def make_plan(storage: Storage, manifest: Manifest, limit_bytes: int, keep: Iterable[tuple[str, str]] = ()) -> Plan:
    """The shards of `manifest` without what was taken down; keep: see :func:`crawler.publish.layout.lay_out`."""
    table = taken_down(storage).left_of(manifest.table)
    if not table.num_rows:
        raise PublishError(f"{manifest.url} v{manifest.version:04d} holds no images to publish")
    gone = len(manifest) - table.num_rows
    spaces = np.empty(table.num_rows, np.int64)
    digests: list[bytes] = []
    for number, row in enumerate(rows_in_chunks(table)):
        text = row_json(row)
        spaces[number] = space_in_shard(row, len(text))
        digests.append(hashlib.sha256(member_name(row).encode() + b"\n" + text).digest())
    order, shards = lay_out(
        table["split"].to_pylist(), table["sha256"].to_pylist(), spaces, limit_bytes - OVERHEAD, keep
    )
    recipes = {s.name: sha256_hex(b"".join(digests[order[i]] for i in s.rows)) for s in shards}
    held_bytes = {s.name: shard_bytes(int(spaces[order[s.rows.start : s.rows.stop]].sum())) for s in shards}
    table = table.take(pa.array(order, pa.int64()))
    published = manifest if not gone else replace(manifest, table=table.sort_by("sha256"), hash=dataset_hash(table))
    return Plan(published, table, shards, recipes, held_bytes, gone)


def refuse_unlicensed(table: pa.Table, url: str) -> None:
    """Raises PublishError where rows have no licence."""
    groups = table.group_by(["licence", "source"]).aggregate([("sha256", "count")]).to_pylist()
    sources: Counter[str] = Counter()
    for group in groups:
        if name_of(group["licence"]) == UNKNOWN:
            sources[group["source"]] += group["sha256_count"]
    if sources:
        listed = ", ".join(f"{source} ({count})" for source, count in sources.most_common(5))
        more = f" and {len(sources) - 5} more" if len(sources) > 5 else ""
        raise PublishError(
            f"{sources.total()} of {table.num_rows} images in {url} have no licence, from: {listed}{more}; "
            "import them with --licence, or publish with --allow-unlicensed"
        )


def refuse_missing(storage: Storage, plan: Plan, todo: Sequence[Shard]) -> None:
    """Every object that is needed must be there before the first byte is written; one listing tells."""
    needed = {key for shard in todo for key in plan.table["key"].slice(shard.rows.start, len(shard.rows)).to_pylist()}
    if needed:
        needed.difference_update(storage.list("images/"))
    if needed:
        raise missing_objects(storage, sorted(needed))


def missing_objects(storage: Storage, keys: Sequence[str]) -> PublishError:
    """The error that names the objects which the store lacks."""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return PublishError(
        f"{storage.url} lacks objects that its manifest names: {', '.join(keys[:3])}{more}; "
        "import or crawl them again, or take them down"
    )


def rows_in_chunks(table: pa.Table) -> Iterator[ManifestRow]:
    """The rows of a manifest table, a few of them in memory at one time."""
    for batch in table.to_batches(max_chunksize=_CHUNK):
        yield from rows_of(pa.Table.from_batches([batch]))
