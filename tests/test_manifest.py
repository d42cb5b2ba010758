"""The manifest: what is written is read back, versions never change, a wrong table is one clear line."""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.manifest import (
    SCHEMA,
    Manifest,
    ManifestError,
    ManifestRow,
    VersionTakenError,
    dataset_hash,
    read_manifest,
    table_of,
    update_manifest,
    write_manifest,
)


def _row(number: int, **changes: Any) -> ManifestRow:
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    row = ManifestRow(
        sha256=sha256,
        key=f"images/{sha256[:2]}/{sha256}.jpg",
        label="fake" if number % 2 else "real",
        generator="gan" if number % 2 else None,
        source="test",
        split="train",
        cluster=sha256[:16],
        width=64,
        height=48,
        format="jpeg",
        bytes=1000 + number,
        phash=f"{number:016x}",
    )
    return replace(row, **changes)


_text = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_rows = st.builds(
    _row,
    st.integers(0, 10**6),
    label=st.sampled_from(["real", "fake"]),
    generator=_text,
    split=st.sampled_from(["train", "val", "test", "ood"]),
    width=st.integers(1, 2**31 - 1),
    bytes=st.integers(1, 2**62),
    url=_text,
    licence=_text,
    fetched_at=st.none() | st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),
    jpeg_quality=st.none() | st.integers(1, 100),
    ai_markers=st.none() | st.lists(st.text("abc", max_size=5), max_size=3).map(tuple),
)
_row_lists = st.lists(_rows, min_size=1, max_size=12, unique_by=lambda row: row.sha256)


@settings(max_examples=50)
@given(_row_lists)
def test_what_is_written_is_read_back(rows: list[ManifestRow]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"file://{folder}/data"
        written = write_manifest(url, table_of(rows))
        back = read_manifest(url)
    assert back.rows() == sorted(rows, key=lambda row: row.sha256)
    assert (back.version, back.hash, back.url) == (1, written.hash, url)
    assert back.counts() == Counter((row.split, row.label, row.generator) for row in rows)
    for split in ("train", "val", "test", "ood"):
        assert back.rows(split) == [row for row in back.rows() if row.split == split]


@given(_row_lists, st.randoms(use_true_random=False))
def test_the_hash_names_the_content_and_nothing_else(rows: list[ManifestRow], shuffler: random.Random) -> None:
    lines = "".join(
        json.dumps([r.sha256, r.label, r.generator or "", r.split], ensure_ascii=False, separators=(",", ":")) + "\n"
        for r in sorted(rows, key=lambda row: row.sha256)
    )
    expected = hashlib.sha256(lines.encode()).hexdigest()
    elsewhere = [replace(row, source="other", url="https://example.org/a.jpg", licence="CC0") for row in rows]
    shuffler.shuffle(elsewhere)
    changed = [replace(rows[0], label="real" if rows[0].label == "fake" else "fake"), *rows[1:]]
    assert dataset_hash(table_of(rows)) == expected
    assert dataset_hash(table_of(elsewhere)) == expected
    assert dataset_hash(table_of(changed)) != expected


def _written(url: str, *rows: ManifestRow) -> Manifest:
    return write_manifest(url, table_of(rows))


def test_versions_are_counted_and_the_same_content_adds_none(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/data"
    first = _written(url, _row(1), _row(2))
    again = _written(url, _row(2), _row(1))
    second = _written(url, _row(1), _row(2), _row(3))
    assert (first.version, again.version, second.version) == (1, 1, 2)
    assert sorted(path.name for path in (tmp_path / "data/manifest").iterdir()) == [
        "LATEST", "v0001.parquet", "v0002.parquet",
    ]  # fmt: skip
    assert (tmp_path / "data/manifest/LATEST").read_text() == "v0002\n"
    assert read_manifest(url).hash == second.hash
    assert read_manifest(url, version=1).hash == first.hash
    for version in (0, 3, -1):
        with pytest.raises(ManifestError, match="there are 1 to 2"):
            read_manifest(url, version=version)


def test_a_missing_dataset_says_how_to_make_one_and_makes_nothing(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/none"
    with pytest.raises(ManifestError) as error:
        read_manifest(url)
    assert str(error.value) == f"no dataset at {url}; make one with: python -m crawler import FOLDER --into {url}"
    assert not (tmp_path / "none").exists()


def test_latest_is_a_hint_that_a_dead_writer_may_leave_behind(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/data"
    _written(url, _row(1))
    second = _written(url, _row(1), _row(2))
    latest = tmp_path / "data/manifest/LATEST"
    latest.write_text("v0001\n")
    assert read_manifest(url).hash == second.hash
    latest.unlink()
    assert read_manifest(url).version == 2
    assert _written(url, _row(3)).version == 3
    latest.write_text("v0009\n")
    with pytest.raises(ManifestError, match="LATEST names 'v0009', which is not there"):
        read_manifest(url)


def test_writers_at_once_overwrite_nothing_and_lose_nothing(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/data"

    def add(number: int) -> Manifest:
        return update_manifest(url, lambda m: table_of([*(m.rows() if m else []), _row(number)]))

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(add, range(12)))
    assert sorted(manifest.version for manifest in made) == list(range(1, 13))
    assert {row.sha256 for row in read_manifest(url).rows()} == {_row(n).sha256 for n in range(12)}
    for manifest in made:
        assert read_manifest(url, manifest.version).hash == manifest.hash


def test_a_table_made_from_an_older_version_is_refused(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/data"
    _written(url, _row(1))
    _written(url, _row(2))
    with pytest.raises(VersionTakenError):
        write_manifest(url, table_of([_row(3)]), replaces=1)
    assert read_manifest(url).version == 2


_WRONG = {
    "label is 'maybe'": {"label": "maybe"},
    "split is 'dev'": {"split": "dev"},
    "sha256 is 'ABC'": {"sha256": "ABC"},
    "phash is 'xyz'": {"phash": "xyz"},
    "width is '0'": {"width": 0},
    "key is 'images/../../x.jpg'": {"key": "images/../../x.jpg"},
    "the column label has empty cells": {"label": None},
}


@pytest.mark.parametrize("message", _WRONG)
def test_wrong_cells_are_named(tmp_path: Path, message: str) -> None:
    url = f"file://{tmp_path}/data"
    columns = {field.name: [getattr(_row(1), field.name)] for field in SCHEMA} | {
        name: [value] for name, value in _WRONG[message].items()
    }
    table = pa.table({f.name: pa.array(columns[f.name], f.type) for f in SCHEMA})
    with pytest.raises(ManifestError) as error:
        write_manifest(url, table)
    assert message in str(error.value)
    assert not (tmp_path / "data").exists()


def test_an_image_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="an image is listed twice"):
        _written(f"file://{tmp_path}/data", _row(1), _row(1))


@pytest.mark.parametrize("column", ["cluster", "identity"])
def test_a_leak_between_splits_is_refused(tmp_path: Path, column: str) -> None:
    leak = {column: "x"}
    with pytest.raises(ManifestError, match=f"the {column} 'x' is in more than one split"):
        _written(f"file://{tmp_path}/data", _row(1, **leak), _row(2, split="test", **leak))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/data"
    _written(url, _row(1))
    path = tmp_path / "data/manifest/v0001.parquet"
    pq.write_table(pa.table({"path": ["a.jpg"], "sha256": ["x"]}), path)
    with pytest.raises(ManifestError, match=r"v0001\.parquet: not a manifest: no column key, label"):
        read_manifest(url)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, data: st.DataObject) -> None:
    url = f"file://{tmp_path}/data"
    path = tmp_path / "data/manifest/v0001.parquet"
    if not path.exists():
        _written(url, *(_row(n) for n in range(5)))
        path.with_suffix(".good").write_bytes(path.read_bytes())
    damaged = bytearray(path.with_suffix(".good").read_bytes())
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    for _ in range(data.draw(st.integers(1, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    try:
        manifest = read_manifest(url)
    except ManifestError as error:
        assert "v0001.parquet" in str(error)
        assert "\n" not in str(error)
    else:  # the damage hit what does not matter, or gave another valid table
        assert len(manifest) == 5
