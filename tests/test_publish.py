"""python -m crawler publish: shards that anybody can read, the same bytes whatever interrupted it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crawler.manifest import (
    Manifest,
    ManifestError,
    ManifestRow,
    read_manifest,
    rows_of,
    table_of,
    write_manifest,
)
from crawler.publish import PublishError, PublishOptions, publish, row_json, row_of_json
from crawler.publish.layout import lay_out
from infra.storage import open_storage

ROOT = Path(__file__).parents[1]


def _picture(number: int, kind: str) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def make_faces(url: str, count: int = 24, pad: int = 0, **cells: object) -> Manifest:
    """A dataset of `count` pictures in three formats and splits; pad: bytes of noise behind each, for large ones."""
    storage = open_storage(url)
    rows = []
    for number in range(count):
        kind, extension = (("jpeg", "jpg"), ("png", "png"), ("webp", "webp"))[number % 3]
        data = _picture(number, kind) + np.random.default_rng(number).bytes(pad)
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"images/{sha256[:2]}/{sha256}.{extension}"
        storage.put(key, data)
        is_fake = number % 2 == 1
        row = ManifestRow(
            sha256=sha256, key=key, label="fake" if is_fake else "real", generator="gän|1" if is_fake else None,
            source=("gallery", "folder")[number % 4 // 2], split=("train", "val", "test")[min(2, number % 5 // 2)],
            cluster=sha256[:16], width=24, height=24, format=kind, bytes=len(data), phash=f"{number + 2**40:016x}",
            url=f"https://faces.example/{number}?q=ü", fetched_at=datetime(2026, 1, 1 + number % 28, 9, 30, tzinfo=UTC),
            licence="CC BY 4.0", author="A.|B.", jpeg_quality=75 if kind == "jpeg" else None, ai_markers=("c2pa",),
        )  # fmt: skip
        rows.append(replace(row, **cells))  # type: ignore[arg-type]
    return write_manifest(url, table_of(rows))


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _crawler(*args: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crawler", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/data"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_shards_hold_the_original_bytes_and_the_rows(url: str, out: Path) -> None:
    rows = {row.sha256: row for row in make_faces(url, 40, pad=80_000).rows()}
    storage = open_storage(url)
    report = publish(url, str(out), PublishOptions(shard_mb=1))
    assert sum(name.startswith("train") for name in report.written) > 1
    seen = []
    for path in sorted(out.glob("*.tar")):
        assert path.stat().st_size <= 1_000_000
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            assert {(m.uid, m.gid, m.mtime, m.mode, m.uname, m.gname) for m in members} == {(0, 0, 0, 0o644, "", "")}
            contents = [(m.name, archive.extractfile(m).read()) for m in members]  # type: ignore[union-attr]
        for (name, image), (json_name, text) in zip(contents[::2], contents[1::2], strict=True):
            row = rows[name.partition(".")[0]]
            assert json_name == f"{row.sha256}.json"
            assert row_of_json(text) == row
            assert image == storage.get(row.key)
            assert path.name.startswith(f"{row.split}-")
            seen.append(row.sha256)
    assert sorted(seen) == sorted(rows)
    table = pq.read_table(out / "metadata.parquet")
    assert table["sha256"].to_pylist() == [
        s for split in ("train", "val", "test") for s in seen if rows[s].split == split
    ]
    assert {row.sha256: row for row in rows_of(table.drop_columns("shard"))} == rows


def test_webdataset_reads_them(url: str, out: Path) -> None:
    import webdataset as wds

    rows = {row.sha256: row for row in make_faces(url).rows("train")}
    publish(url, str(out))
    shards = [str(path) for path in sorted(out.glob("train-*.tar"))]
    read = {}
    for sample in wds.WebDataset(shards, shardshuffle=False).decode("pilrgb"):
        (picture,) = (sample[kind] for kind in ("jpg", "png", "webp") if kind in sample)
        assert picture.size == (24, 24)
        assert sample["__key__"] == sample["json"]["sha256"]
        read[sample["__key__"]] = sample["json"]["label"]
    assert read == {sha256: row.label for sha256, row in rows.items()}


def test_the_datasheets_own_examples_run(url: str, out: Path) -> None:
    make_faces(url)
    publish(url, str(out))
    examples = re.findall(r"```python\n(.*?)```", (out / "datasheet.md").read_text(), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=out, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"\b(real|fake)\b", done.stdout)


def test_checksums_are_sha256sums_own(url: str, out: Path) -> None:
    make_faces(url)
    publish(url, str(out))
    done = subprocess.run(["sha256sum", "-c", "checksums.sha256"], cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": OK") == len(list(out.iterdir())) - 1  # all but itself
    with (out / "train-000000.tar").open("r+b") as file:
        file.seek(600)
        file.write(b"x")
    assert subprocess.run(["sha256sum", "--status", "-c", "checksums.sha256"], cwd=out, check=False).returncode == 1


def test_the_datasheet_says_what_is_there(url: str, out: Path) -> None:
    manifest = make_faces(url)
    audit = {"verdict": "the label leaks", "limit": 0.6, "families": [{"name": "format", "auc": 0.98}, 7], "more": 1}
    open_storage(url).put("manifest/audit-v0001.json", json.dumps(audit).encode())
    publish(url, str(out), PublishOptions(title="My [faces]", contact="faces@example.org"))
    figures = json.loads((out / "datasheet.json").read_text())
    assert (figures["hash"], figures["version"], figures["images"]) == (manifest.hash, 1, 24)
    counted = {
        (split, label, generator): count
        for split, labels in figures["splits"].items()
        for label, generators in labels.items()
        for generator, count in generators.items()
    }
    assert counted == {(s, la, g or "-"): n for (s, la, g), n in manifest.counts().items()}
    assert figures["fetched"] == {"first": "2026-01-01", "last": "2026-01-24", "undated": 0}
    assert figures["licences"][0]["url"] == "https://creativecommons.org/licenses/by/4.0/"
    assert figures["audit"]["families"] == [{"name": "format", "auc": 0.98}]
    text = (out / "datasheet.md").read_text()
    for said in (
        manifest.hash,
        r"My \[faces\]",
        "faces@example.org",
        "the label leaks",
        r"gän\|1",
        "faces.example ×12",
    ):
        assert said in text, said
    assert str(out.parent) not in text + json.dumps(figures)
    tables = [line for line in text.splitlines() if line.startswith("| train")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in tables)


@pytest.mark.parametrize("audit", [b"{", b"[]", b"{}", b'{"families": 3}', b'{"families": {"format": 0.9}}', b"\xff"])
def test_an_odd_audit_does_not_matter(url: str, out: Path, audit: bytes) -> None:
    make_faces(url, 6)
    open_storage(url).put("manifest/audit-v0001.json", audit)
    publish(url, str(out))
    assert "## Audit" in (out / "datasheet.md").read_text()


def test_licences_are_warned_of(url: str, out: Path) -> None:
    make_faces(url, 6, licence="CC BY-NC-SA 4.0")
    report = publish(url, str(out))
    assert any("no commercial use" in warning for warning in report.warnings)
    text = (out / "LICENSES.md").read_text()
    assert "no commercial use; changed copies under the same licence only" in text
    assert "https://creativecommons.org/licenses/by-nc-sa/4.0/" in text


@pytest.mark.parametrize("licence", [None, " "])
def test_no_licence_no_publication(url: str, out: Path, licence: str | None) -> None:
    make_faces(url, 6, licence=licence)
    with pytest.raises(PublishError, match=r"6 of 6 images .* no licence, from: gallery \(4\), folder \(2\)"):
        publish(url, str(out))
    assert not out.exists()
    publish(url, str(out), PublishOptions(allow_unlicensed=True))
    assert "no licence is known" in (out / "LICENSES.md").read_text()


def test_the_same_version_gives_the_same_bytes(url: str, out: Path, tmp_path: Path) -> None:
    make_faces(url)
    publish(url, str(out))
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere")
    publish(str(tmp_path / "elsewhere"), str(tmp_path / "again"), PublishOptions(title="data"))
    assert _tree(tmp_path / "again") == _tree(out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert publish(url, str(out)).nothing_to_do
    assert _crawler("publish", url, out).stdout.startswith("nothing to do: ")
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_a_dry_run_writes_nothing(url: str, out: Path) -> None:
    make_faces(url)
    said = json.loads(_crawler("publish", url, out, "--dry-run", "--json").stdout)
    assert not out.exists()
    done = publish(url, str(out))
    assert (tuple(said["written"]), said["bytes"], said["dry_run"]) == (done.written, done.bytes, True)
    assert said["bytes"] == sum(path.stat().st_size for path in out.glob("*.tar"))


def test_a_missing_object_is_named_before_anything_is_written(url: str, out: Path) -> None:
    row = make_faces(url).rows()[7]
    open_storage(url).delete(row.key)
    line = _crawler("publish", url, out, code=1).stderr
    assert row.key in line
    assert line.count("\n") == 1
    assert not out.exists()


def test_damaged_bytes_are_not_published(url: str, out: Path) -> None:
    row = make_faces(url).rows()[7]
    open_storage(url).put(row.key, b"something else")
    with pytest.raises(PublishError, match=f"{row.key}.*damaged"):
        publish(url, str(out))
    assert not (out / "checksums.sha256").exists()
    assert not (out / "datasheet.md").exists()


def test_places_that_are_not_ours_are_left_alone(url: str, out: Path) -> None:
    make_faces(url, 6)
    with pytest.raises(PublishError, match="a dataset itself"):
        publish(url, url)
    out.mkdir()
    (out / "train-000000.tar").write_bytes(b"mine")
    with pytest.raises(PublishError, match=r"not empty.*train-000000\.tar"):
        publish(url, str(out))
    assert _tree(out) == {"train-000000.tar": b"mine"}
    with pytest.raises(ManifestError, match="no version 9"):
        publish(url, str(out.parent / "new"), PublishOptions(version=9))


def test_a_new_version_rewrites_what_changed(url: str, out: Path) -> None:
    first = make_faces(url, 40, pad=60_000)
    publish(url, str(out), PublishOptions(shard_mb=1))
    (out / "train-000099.tar").write_bytes(b"of a larger version")
    changed = [replace(row, author="somebody else") if n == 0 else row for n, row in enumerate(first.rows())]
    write_manifest(url, table_of(changed))
    report = publish(url, str(out), PublishOptions(shard_mb=1))
    table = pq.read_table(out / "metadata.parquet").to_pylist()
    assert report.written == (next(row["shard"] for row in table if row["sha256"] == changed[0].sha256),)
    assert report.removed == ("train-000099.tar",)
    fresh = out.parent / "fresh"
    publish(url, str(fresh), PublishOptions(shard_mb=1, title="data"))
    assert _tree(fresh) == _tree(out)


def test_a_shard_that_was_lost_is_written_again(url: str, out: Path) -> None:
    make_faces(url)
    publish(url, str(out))
    whole = _tree(out)
    (out / "val-000000.tar").write_bytes(whole["val-000000.tar"][:-512])
    (out / "train-000000.tar").unlink()
    assert set(publish(url, str(out)).written) == {"val-000000.tar", "train-000000.tar"}
    assert _tree(out) == whole


def _killed(command: list[str], moment: Callable[[], bool]) -> bool:
    """Whether the command was still at work when the moment came, and was killed."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and not moment():
            time.sleep(0.001)  # looks at the folder again
        process.send_signal(signal.SIGKILL)
    finally:
        process.wait(timeout=60)
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_anywhere_it_goes_on(url: str, out: Path, tmp_path: Path) -> None:
    make_faces(url, 240, pad=40_000)  # 10 MB, a dozen shards
    publish(url, str(tmp_path / "undisturbed"), PublishOptions(shard_mb=1))
    command = [sys.executable, "-m", "crawler", "publish", url, str(out), "--shard-mb", "1"]

    def shards(count: int) -> Callable[[], bool]:
        return lambda: len(list(out.glob("*.tar"))) >= count if out.exists() else False

    def half_written() -> bool:
        return any(out.glob(".tmp-publish-*"))

    moments = ((out / "shards.json").exists, half_written, shards(3), shards(8))
    killed = [_killed(command, moment) for moment in moments]
    assert sum(killed) >= 3, "the machine is too fast for this test"
    assert not (out / "checksums.sha256").exists()
    report = publish(url, str(out), PublishOptions(shard_mb=1))
    assert report.kept, "nothing that was finished was kept"
    assert _tree(out) == _tree(tmp_path / "undisturbed")


def test_two_at_once_do_not_mix(url: str, out: Path) -> None:
    import fcntl

    make_faces(url, 6)
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(PublishError, match="another command is publishing"):
            publish(url, str(out))
    finally:
        os.close(descriptor)
    publish(url, str(out))


def test_memory_does_not_grow_with_the_dataset(url: str, out: Path) -> None:
    make_faces(url, 60, pad=2_500_000)  # 150 MB
    code = (
        "import resource, sys; from crawler.__main__ import main; "
        "import crawler.publish, crawler.publish.documents, pyarrow.parquet; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        f"assert main(['publish', {url!r}, {str(out)!r}]) == 0; "
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stderr.split()[-1]) < 100e6


@pytest.mark.slow
def test_to_and_from_s3(s3_url: str, out: Path) -> None:
    url, bucket = f"{s3_url}/data", f"{s3_url}/published"
    make_faces(url)
    publish(url, str(out))
    report = publish(url, bucket)
    assert len(report.written) == 3
    published = open_storage(bucket)
    assert {key: published.get(key) for key in published.list()} == _tree(out)
    published.delete("val-000000.tar")
    assert publish(url, bucket).written == ("val-000000.tar",)
    assert publish(url, bucket).nothing_to_do


_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_ROW = st.builds(
    ManifestRow,
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64), key=_TEXT, label=st.sampled_from(["real", "fake"]),
    generator=st.none() | _TEXT, source=_TEXT, split=st.sampled_from(["train", "val", "test", "ood"]), cluster=_TEXT,
    width=st.integers(1, 2**31 - 1), height=st.integers(1, 2**31 - 1), format=_TEXT, bytes=st.integers(1, 2**63 - 1),
    phash=_TEXT, url=st.none() | _TEXT, final_url=st.none() | _TEXT,
    fetched_at=st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    licence=st.none() | _TEXT, author=st.none() | _TEXT, identity=st.none() | _TEXT,
    jpeg_quality=st.none() | st.integers(1, 100), ai_markers=st.none() | st.lists(_TEXT, max_size=3).map(tuple),
    faces=st.none() | st.integers(0, 9), face_box=st.none() | st.tuples(*[st.integers(0, 9999)] * 4),
    derived_from=st.none() | _TEXT, transform=st.none() | _TEXT,
)  # fmt: skip


@given(_ROW)
def test_a_row_survives_its_json(row: ManifestRow) -> None:
    text = row_json(row)
    assert row_of_json(text) == row
    assert text.count(b"\n") == 1
    assert text.endswith(b"}\n")
    assert rows_of(table_of([row])) == [row]


@given(st.binary(max_size=40) | st.just(b"{}") | st.just(b'{"fetched_at": 3}') | st.just(b"[1]"))
def test_other_json_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        row_of_json(data)


@given(
    st.lists(st.tuples(st.sampled_from(["train", "val", "ood"]), st.integers(1, 50)), min_size=1, max_size=60),
    st.integers(40, 200),
    st.randoms(use_true_random=False),
)
def test_layouts(images: list[tuple[str, int]], limit: int, chance: object) -> None:
    splits = [split for split, _ in images]
    sizes = np.array([size for _, size in images])
    sha256s = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(len(images))]
    order, shards = lay_out(splits, sha256s, sizes, limit)
    assert sorted(order) == list(range(len(images)))
    assert [n for shard in shards for n in shard.rows] == list(range(len(images)))
    for shard in shards:
        held = [order[n] for n in shard.rows]
        assert {splits[n] for n in held} == {shard.split}
        assert len(held) == 1 or sum(sizes[held]) <= limit
        assert [sha256s[n] for n in held] == sorted(sha256s[n] for n in held)
    # One image leaves: every other shard holds what it held, under its old name.
    gone = chance.randrange(len(images))  # type: ignore[attr-defined]
    left = [n for n in range(len(images)) if n != gone]
    cuts = [(shard.split, shard.start) for shard in shards]
    new_order, new = lay_out([splits[n] for n in left], [sha256s[n] for n in left], sizes[left], limit, cuts)
    before = {shard.name: [sha256s[order[n]] for n in shard.rows if order[n] != gone] for shard in shards}
    assert {shard.name: [sha256s[left[new_order[n]]] for n in shard.rows] for shard in new} == before


def test_an_empty_table_is_not_published(url: str, out: Path) -> None:
    write_manifest(url, table_of([]))
    with pytest.raises(PublishError, match="holds no images"):
        publish(url, str(out))
    assert isinstance(read_manifest(url).table, pa.Table)
