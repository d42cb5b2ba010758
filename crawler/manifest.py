"""The dataset: one Parquet table, versioned; the contract with tune/ and bot/.

A dataset is a storage URL that holds

    images/ab/abcdef….jpg      one object per image, named by the sha256 of its original bytes
    manifest/v0001.parquet     one row per image; a version, once written, never changes
    manifest/LATEST            the name of the newest version, e.g. `v0001`

The *hash* of a dataset is the sha256 over one line per image, in the order of `sha256`, each line being the JSON
array `[sha256, label, generator, split]` (compact, UTF-8, `""` where there is no generator) and a line feed. It
names what a network can learn from and be judged on, and nothing else: the same images with the same labels and
splits have the same hash wherever they are stored and whenever they were fetched.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crawler.labels import LABELS, SPLITS
from infra.errors import UserError
from infra.storage import Storage, open_storage

LATEST_KEY = "manifest/LATEST"

SCHEMA = pa.schema(
    [
        pa.field("sha256", pa.string(), nullable=False),  # of the original bytes, 64 hex digits
        pa.field("key", pa.string(), nullable=False),  # the object's key: images/ab/<sha256>.<ext>
        pa.field("label", pa.string(), nullable=False),  # real | fake
        pa.field("generator", pa.string()),  # what drew a fake; null for a real one or where unknown
        pa.field("source", pa.string(), nullable=False),  # which import or crawl brought it
        pa.field("split", pa.string(), nullable=False),  # train | val | test | ood
        pa.field("cluster", pa.string(), nullable=False),  # near-duplicates share it; never crosses a split
        pa.field("width", pa.int32(), nullable=False),  # pixels, as shown (EXIF orientation applied)
        pa.field("height", pa.int32(), nullable=False),
        pa.field("format", pa.string(), nullable=False),  # jpeg, png, webp, …
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("phash", pa.string(), nullable=False),  # 64-bit perceptual hash, 16 hex digits
        pa.field("url", pa.string()),  # where it was asked for
        pa.field("final_url", pa.string()),  # where it was, after redirects
        pa.field("fetched_at", pa.timestamp("us", tz="UTC")),
        pa.field("licence", pa.string()),
        pa.field("author", pa.string()),
        pa.field("identity", pa.string()),  # who is shown; never crosses a split
        pa.field("jpeg_quality", pa.int32()),  # estimated, 1..100; null where not a JPEG
        pa.field("ai_markers", pa.list_(pa.string())),  # traces of a generator in the file; null = not looked for
        pa.field("faces", pa.int32()),  # how many faces were found; null = not looked for
        pa.field("face_box", pa.list_(pa.int32())),  # left, top, width, height of the largest, in pixels
        pa.field("derived_from", pa.string()),  # sha256 of the original whose picture this is; null for an original
        pa.field("transform", pa.string()),  # what was done to it; null for an original
    ]
)

ADDED_LATER = ("faces", "face_box", "derived_from", "transform")

_VERSION_NAME = re.compile(r"v(\d{4,})")
_EXTENSION = re.compile(r"[a-z0-9]+")
_SHA256 = r"^[0-9a-f]{64}$"
_PHASH = r"^[0-9a-f]{16}$"


class ManifestError(UserError):
    """A dataset that is not there, or a table that is not a manifest."""


class VersionTakenError(ManifestError):
    """Another writer has made the version this one wanted to make; read the newest and merge again."""


@dataclass(frozen=True, slots=True)  # a dataset may have a million
class ManifestRow:
    """One image of a dataset; the fields are the columns of :data:`SCHEMA`."""

    sha256: str
    key: str
    label: str
    generator: str | None
    source: str
    split: str
    cluster: str
    width: int
    height: int
    format: str
    bytes: int
    phash: str
    url: str | None = None
    final_url: str | None = None
    fetched_at: datetime | None = None
    licence: str | None = None
    author: str | None = None
    identity: str | None = None
    jpeg_quality: int | None = None
    ai_markers: tuple[str, ...] | None = None
    faces: int | None = None
    face_box: tuple[int, ...] | None = None
    derived_from: str | None = None
    transform: str | None = None


@dataclass(frozen=True)
class Manifest:
    """One version of a dataset. `table` has the columns of :data:`SCHEMA`, sorted by sha256."""

    table: pa.Table
    version: int
    hash: str
    url: str

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def rows(self, split: str | None = None) -> list[ManifestRow]:
        """The images in the order of their sha256, all of them or those of one split."""
        if split is not None and split not in SPLITS:
            raise ManifestError(f"no split is named '{split}'; there are {', '.join(SPLITS)}")
        table = self.table if split is None else self.table.filter(pc.equal(self.table["split"], split))
        return rows_of(table)

    def count(self, split: str, label: str | None = None) -> int:
        """How many images a split has, all of them or those of one label."""
        return sum(n for (s, of, _), n in self.counts().items() if s == split and label in (None, of))

    def counts(self) -> Counter[tuple[str, str, str | None]]:
        """How many images there are of each (split, label, generator)."""
        columns = (self.table[name].to_pylist() for name in ("split", "label", "generator"))
        return Counter(zip(*columns, strict=True))


def rows_of(table: pa.Table) -> list[ManifestRow]:
    """The rows of a manifest table, in its order."""
    return [ManifestRow(**{name: _frozen(cell) for name, cell in row.items()}) for row in table.to_pylist()]


def _frozen(cell: Any) -> Any:
    return tuple(cell) if isinstance(cell, list) else cell


def table_of(rows: Iterable[ManifestRow]) -> pa.Table:
    """A manifest table of `rows`, not yet validated."""
    names = [field.name for field in fields(ManifestRow)]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows:
        for name in names:
            columns[name].append(getattr(row, name))
    try:
        return pa.table(columns, schema=SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ManifestError(f"rows that do not fit the manifest: {error}") from None


def dataset_hash(table: pa.Table) -> str:
    """The name of the dataset in `table`, 64 hex digits; see the top of this file for what goes into it."""
    digest = hashlib.sha256()
    columns = (table[name].to_pylist() for name in ("sha256", "label", "generator", "split"))
    for sha256, label, generator, split in sorted(zip(*columns, strict=True), key=lambda line: str(line[0])):
        line = json.dumps([sha256, label, generator or "", split], ensure_ascii=False, separators=(",", ":"))
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def newest_manifest(url: str) -> Manifest | None:
    """The newest version of the dataset at `url`, None where there is no dataset yet. Raises ManifestError."""
    storage = open_storage(url)
    newest = _newest_version(storage)
    return None if newest is None else _load(storage, url, newest)


def read_manifest(url: str, version: int | None = None) -> Manifest:
    """The newest version of the dataset at `url`, or the one asked for. Raises ManifestError."""
    storage = open_storage(url)
    newest = _newest_version(storage)
    if newest is None:
        raise ManifestError(f"no dataset at {url}; make one with: python -m crawler import FOLDER --into {url}")
    chosen = newest if version is None else version
    if not 1 <= chosen <= newest:
        raise ManifestError(f"{url} has no version {chosen}; there are 1 to {newest}")
    return _load(storage, url, chosen)


def write_manifest(url: str, table: pa.Table, replaces: int | None = None) -> Manifest:
    """Write `table` as the next version of the dataset at `url`, sorted by sha256 and validated.

    The content of the newest version, written again, adds nothing and gives that version back. No version is ever
    overwritten: of two writers at once one gets VersionTakenError, and so does a writer whose table was made from
    version `replaces` (0: from nothing) where a newer one is there. Raises ManifestError where the table cannot be
    a manifest.
    """
    storage = open_storage(url)
    table = validated(table, url)
    newest = _newest_version(storage) or 0
    if replaces is not None and replaces != newest:
        raise VersionTakenError(f"{url} has moved on from version {replaces} to {newest}; try again")
    if newest:
        current = _load(storage, url, newest)
        if current.table.equals(table):
            return current
    version = newest + 1
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    if not storage.put_if_absent(_version_key(version), sink.getvalue().to_pybytes()):
        raise VersionTakenError(f"{url}: another command has just written version {version}; try again")
    storage.put(LATEST_KEY, f"v{version:04d}\n".encode())
    return Manifest(table=table, version=version, hash=dataset_hash(table), url=url)


def update_manifest(url: str, change: Callable[[Manifest | None], pa.Table]) -> Manifest:
    """Write `change(newest version, or None)`; where another writer was quicker, change that one's work anew."""
    for _ in range(_MAX_ATTEMPTS):
        current = newest_manifest(url)
        try:
            return write_manifest(url, change(current), replaces=0 if current is None else current.version)
        except VersionTakenError:
            continue
    raise ManifestError(f"{url}: other commands keep writing to this dataset; try again when they are done")


_MAX_ATTEMPTS = 20


def validated(table: pa.Table, where: str) -> pa.Table:
    """`table` with exactly the columns of :data:`SCHEMA`, sorted by sha256. Raises ManifestError naming `where`.

    The columns of :data:`ADDED_LATER` may be missing: a table written before they existed gets them, empty.
    """
    for name in ADDED_LATER:
        if name not in table.column_names:
            table = table.append_column(SCHEMA.field(name), pa.nulls(table.num_rows, SCHEMA.field(name).type))
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise ManifestError(f"{where}: not a manifest: no column {', '.join(missing)}")
    for field in SCHEMA:
        if not field.nullable and table[field.name].null_count:
            raise ManifestError(f"{where}: not a manifest: the column {field.name} has empty cells")
    try:
        table = table.select(SCHEMA.names).cast(SCHEMA).combine_chunks().replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, ValueError) as error:
        raise ManifestError(f"{where}: not a manifest: {error}") from None
    _refuse_unless(_matches(table["sha256"], _SHA256), table, "sha256", "64 hex digits", where)
    _refuse_unless(_matches(table["phash"], _PHASH), table, "phash", "16 hex digits", where)
    _refuse_unless(_is_in(table["label"], LABELS), table, "label", " or ".join(LABELS), where)
    _refuse_unless(_is_in(table["split"], SPLITS), table, "split", ", ".join(SPLITS), where)
    for name in ("width", "height", "bytes"):
        _refuse_unless(pc.greater(table[name], 0), table, name, "above 0", where)
    expected = pc.binary_join_element_wise(
        "images/", pc.utf8_slice_codeunits(table["sha256"], 0, 2), "/", table["sha256"], ".", ""
    )
    keys = zip(table["key"].to_pylist(), expected.to_pylist(), strict=True)
    named_by_content = pa.array(
        [k.startswith(e) and _EXTENSION.fullmatch(k, len(e)) is not None for k, e in keys], pa.bool_()
    )
    _refuse_unless(named_by_content, table, "key", "images/ab/<sha256>.<extension>", where)
    table = table.sort_by("sha256")
    if len(pc.unique(table["sha256"])) != table.num_rows:
        raise ManifestError(f"{where}: not a manifest: an image is listed twice")
    for column in ("cluster", "identity"):
        _refuse_crossing(table, column, where)
    return table


def _refuse_crossing(table: pa.Table, column: str, where: str) -> None:
    # Sorted, so that equal names are neighbours: Arrow's group_by alone takes 10 MB.
    known = table.select([column, "split"]).filter(pc.is_valid(table[column])).sort_by(column).combine_chunks()
    names, splits = known[column], known["split"]
    same_name = pc.equal(names[1:], names[:-1])
    crossing = names[1:].filter(pc.and_(same_name, pc.not_equal(splits[1:], splits[:-1])))
    if len(crossing):
        example = crossing[0].as_py()
        raise ManifestError(f"{where}: the {column} '{example}' is in more than one split, so test would leak")


def _refuse_unless(good: Any, table: pa.Table, column: str, allowed: str, where: str) -> None:
    bad = table[column].filter(pc.invert(good))
    if len(bad):
        shown = str(bad[0].as_py())[:80]
        raise ManifestError(f"{where}: not a manifest: {column} is '{shown}' where it must be {allowed}")


def _matches(column: Any, pattern: str) -> Any:
    return pc.match_substring_regex(column, pattern)


def _is_in(column: Any, allowed: tuple[str, ...]) -> Any:
    return pc.is_in(column, value_set=pa.array(allowed))


def _version_key(version: int) -> str:
    return f"manifest/v{version:04d}.parquet"


def _newest_version(storage: Storage) -> int | None:
    # LATEST is a hint: a writer may have died, or been overtaken, between its version and LATEST.
    hint = 0
    if storage.exists(LATEST_KEY):
        text = storage.get(LATEST_KEY).decode("utf-8", "replace").strip()
        match = _VERSION_NAME.fullmatch(text)
        if match is None or not storage.exists(_version_key(int(match[1]))):
            raise ManifestError(f"{LATEST_KEY} names '{text[:40]}', which is not there; was a file removed?")
        hint = int(match[1])
    while storage.exists(_version_key(hint + 1)):
        hint += 1
    return hint or None


def _load(storage: Storage, url: str, version: int) -> Manifest:
    key = _version_key(version)
    try:
        table = pq.read_table(pa.BufferReader(storage.get(key)))
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ManifestError(f"{url}: {key} is not a readable Parquet file: {reason}") from None
    table = validated(table, f"{url}: {key}")
    return Manifest(table=table, version=version, hash=dataset_hash(table), url=url)
