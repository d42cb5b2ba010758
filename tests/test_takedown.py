"""python -m crawler takedown: what somebody wants gone is gone, everywhere, and stays so."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crawler.manifest import Manifest, read_manifest, table_of, write_manifest
from crawler.publish import PublishOptions, publish, republish
from crawler.takedown import (
    TAKEDOWNS_KEY,
    TakedownError,
    TakedownPlan,
    TakedownReport,
    Takedowns,
    Taken,
    plan_takedown,
    take_down,
    taken_down,
)
from infra.storage import Storage, StorageError, open_storage
from tests.test_publish import make_faces

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
STRANGER = hashlib.sha256(b"a stranger").hexdigest()


def _crawler(*args: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crawler", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, input="")
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def _take(url: str, *names: str, near: bool = False, reason: str | None = None) -> TakedownReport:
    return take_down(url, plan_takedown(url, names, near), reason, NOW)


def _names_of(url: str) -> set[str]:
    """Every sha256 whose object is in the store."""
    return {key.rpartition("/")[2].partition(".")[0] for key in open_storage(url).list("images/")}


def _with(manifest: Manifest, **cells: dict[int, object]) -> Manifest:
    """The dataset with some cells changed: column ▶ {row number: value}."""
    rows = manifest.rows()
    for column, values in cells.items():
        for number, value in values.items():
            rows[number] = replace(rows[number], **{column: value})
    return write_manifest(manifest.url, table_of(rows))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/data"


def test_from_the_command_line(url: str, tmp_path: Path) -> None:
    first, second, *others = make_faces(url).rows()
    listed = tmp_path / "list.txt"
    listed.write_text(f"# asked by mail\n{second.sha256.upper()}  # the second\n\n")
    arguments = ("takedown", url, first.sha256[:12], STRANGER, "--file", listed, "--reason", "asked")
    assert "2 of 24 images leave" in _crawler(*arguments, "--dry-run").stdout
    assert "--yes" in _crawler(*arguments, code=1).stderr
    assert len(read_manifest(url)) == 24
    assert not open_storage(url).exists(TAKEDOWNS_KEY)
    done = _crawler(*arguments, "--yes").stdout
    assert "2 images left, 2 objects deleted, 3 hashes newly kept out" in done
    assert read_manifest(url).rows() == others
    assert _names_of(url) == {row.sha256 for row in others}
    entries = {entry.sha256: entry for entry in taken_down(open_storage(url)).entries}
    assert entries[first.sha256].phash == first.phash
    assert entries[second.sha256].reason == "asked"
    assert entries[STRANGER] == Taken(STRANGER, None, "asked", entries[STRANGER].date, "was not in the dataset")
    again = _crawler(*arguments, "--yes").stdout
    assert "0 images left, 0 objects deleted, 0 hashes newly kept out" in again
    assert read_manifest(url).version == 2


@pytest.mark.parametrize("place", ["folder", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_publication_follows(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    base = str(tmp_path) if place == "folder" else request.getfixturevalue("s3_url")
    url, out = f"{base}/data", f"{base}/out"
    manifest = make_faces(url, 12, pad=200_000)
    publish(url, out, PublishOptions(shard_mb=1, title="Faces"))
    published = open_storage(out)
    before = {key: published.get(key) for key in published.list()}
    gone = manifest.rows()[3].sha256
    where = json.loads(before["shards.json"])["shards"]
    (held_by,) = {name for name in where if gone.encode() in before[name]}
    _take(url, gone)
    report = republish(url, out)
    assert (report.written, report.taken_down, report.manifest.version) == ((held_by,), 1, 1)
    after = {key: published.get(key) for key in published.list()}
    assert {key for key in before if key.endswith(".tar") and before[key] != after[key]} == {held_by}
    assert all(gone.encode() not in data for data in after.values())
    assert set(after) == set(before)
    sums = dict(reversed(line.split("  ")) for line in after["checksums.sha256"].decode().splitlines())
    assert sums == {k: hashlib.sha256(d).hexdigest() for k, d in after.items() if k != "checksums.sha256"}
    assert "1 images of this version were taken down" in after["datasheet.md"].decode()
    assert republish(url, out).nothing_to_do
    # The version without it has the same shards; only the small files tell another number.
    assert publish(url, out, PublishOptions(shard_mb=1, version=2)).written == ()


def test_a_shard_that_loses_its_last_image_stays_readable(url: str, tmp_path: Path) -> None:
    import webdataset as wds

    manifest = make_faces(url, 8, pad=700_000)  # one image a shard
    out = tmp_path / "out"
    publish(url, str(out), PublishOptions(shard_mb=1))
    table = pq.read_table(out / "metadata.parquet").to_pylist()
    first = next(row for row in table if row["shard"] == "train-000000.tar")
    _crawler("takedown", url, first["sha256"], "--published", out, "--yes")
    with tarfile.open(out / "train-000000.tar") as archive:
        assert archive.getnames() == []
    shards = [str(path) for path in sorted(out.glob("train-*.tar"))]
    read = {sample["__key__"] for sample in wds.WebDataset(shards, shardshuffle=False)}
    assert read == {row.sha256 for row in manifest.rows("train")} - {first["sha256"]}


def test_near_duplicates_go_with_it_if_asked(url: str) -> None:
    rows = make_faces(url).rows()
    train = [n for n, row in enumerate(rows) if row.split == "train"][:3]
    _with(read_manifest(url), cluster=dict.fromkeys(train, rows[train[0]].cluster))
    names = {rows[n].sha256 for n in train}
    alone = plan_takedown(url, [rows[train[0]].sha256])
    assert set(alone.near_left) == names - {rows[train[0]].sha256}
    report = _take(url, rows[train[1]].sha256, near=True)
    assert report.removed == 3
    assert not names & _names_of(url)
    assert names == taken_down(open_storage(url)).sha256s


def test_original_and_derived_copies_go_together(url: str) -> None:
    rows = make_faces(url).rows()
    derived = {2: rows[1].sha256, 3: rows[1].sha256, 4: STRANGER}
    _with(read_manifest(url), derived_from=derived, transform=dict.fromkeys(derived, "crop"))
    family = {rows[n].sha256 for n in (1, 2, 3)}
    for asked in (1, 2):
        assert set(plan_takedown(url, [rows[asked].sha256]).rows) == family
    plan = plan_takedown(url, [STRANGER[:12]])  # the original is elsewhere, its copy is here
    assert (plan.rows, plan.unknown, set(plan.phashes)) == ((rows[4].sha256,), (), {STRANGER, rows[4].sha256})


@pytest.mark.parametrize("name", ["", "abc", "z" * 12, "a" * 65, "a" * 11, "../etc/passwd"])
def test_what_is_no_sha256_is_refused(url: str, name: str) -> None:
    make_faces(url, 6)
    with pytest.raises(TakedownError, match="not a sha256"):
        plan_takedown(url, [name])


def test_prefixes_must_say_which(url: str) -> None:
    rows = make_faces(url, 6).rows()
    original = rows[0].sha256[:12] + "0" * 52
    _with(read_manifest(url), derived_from={1: original})
    with pytest.raises(TakedownError, match="the beginning of 2 images"):
        plan_takedown(url, [rows[0].sha256[:12]])
    with pytest.raises(TakedownError, match="give all 64 digits"):
        plan_takedown(url, ["0" * 12])


class _Dying:
    """A storage that dies at the n-th thing written to it or deleted from it."""

    def __init__(self, storage: Storage, steps: int) -> None:
        self._storage, self._left = storage, steps

    def __getattr__(self, name: str) -> object:
        if name in ("put", "put_if_absent", "delete"):
            if self._left == 0:
                raise StorageError("the power went out")
            self._left -= 1
        return getattr(self._storage, name)


def test_interrupted_anywhere_it_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, finished = 0, False
    while not finished:
        url = f"file://{tmp_path}/{steps}"
        rows = make_faces(url, 8).rows()
        gone = {rows[0].sha256, rows[5].sha256}
        plan: TakedownPlan = plan_takedown(url, gone)
        dying = _Dying(open_storage(url), steps)
        with monkeypatch.context() as patch:
            for module in ("crawler.takedown", "crawler.manifest"):
                patch.setattr(f"{module}.open_storage", lambda _, dying=dying: dying)
            try:
                take_down(url, plan, None, NOW)
                finished = True
            except StorageError:
                pass
        # Whatever happened: the newest manifest names only what is there.
        assert {row.sha256 for row in read_manifest(url).rows()} <= _names_of(url)
        _take(url, *sorted(gone))
        assert not gone & _names_of(url)
        assert {row.sha256 for row in read_manifest(url).rows()} == _names_of(url)
        assert taken_down(open_storage(url)).sha256s == gone
        steps += 1
    assert steps == 6  # list, version, LATEST, two objects; then nothing is left to die at


def test_the_last_image_may_go(url: str) -> None:
    (row,) = make_faces(url, 1).rows()
    assert len(_take(url, row.sha256).manifest) == 0
    assert "0 images" in _crawler("stats", url).stdout


def test_what_is_refused() -> None:
    phash = "00000000ffffffff"
    takedowns = Takedowns((Taken(STRANGER, phash, None, "2026"), Taken("0" * 64, "0" * 16, None, "2026")))
    assert takedowns.refuses(STRANGER)
    assert takedowns.refuses("f" * 64, "00000000fffffff0")  # 4 bits: a near-duplicate
    assert not takedowns.refuses("f" * 64, "00000000ffffff07")
    assert not takedowns.refuses("f" * 64, "0" * 16)  # plain pictures have nothing in common
    assert not takedowns.refuses("f" * 64)
    assert not Takedowns().refuses(STRANGER, phash)


def test_the_list_only_grows(url: str) -> None:
    rows = make_faces(url, 8).rows()
    _take(url, rows[0].sha256, reason="first")
    _take(url, rows[1].sha256, rows[0].sha256, reason="second")
    entries = taken_down(open_storage(url)).entries
    assert [(entry.sha256, entry.reason) for entry in entries] == [
        (rows[0].sha256, "first"),
        (rows[1].sha256, "second"),
    ]
    assert {entry.date for entry in entries} == {"2026-11-25T12:00:00+00:00"}


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"takedowns": [{"sha256": "x"}]}', b"\xff"])
def test_a_damaged_list_stops_everything(url: str, tmp_path: Path, data: bytes) -> None:
    make_faces(url, 6)
    open_storage(url).put(TAKEDOWNS_KEY, data)
    with pytest.raises(TakedownError, match="damaged"):
        plan_takedown(url, [STRANGER])
    with pytest.raises(TakedownError, match="damaged"):
        publish(url, str(tmp_path / "out"))
