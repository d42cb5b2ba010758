"""Decode once, train many: the cache is written once, shared, and never trusted blindly."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crawler.manifest import Manifest, read_manifest
from infra.errors import UserError
from model_defs.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from tests.tiny_dataset import make_dataset, tiny_pictures
from tune.data import DataError, Split, check_trainable, load_split

ROOT = Path(__file__).resolve().parent.parent
GREY16 = Preprocess(image_size=16, colour="grey")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_dataset(tmp_path_factory.mktemp("dataset"))


def _load(manifest: Manifest, cache: Path, split: str = "train", preprocess: Preprocess = GREY16, **more: Any) -> Split:
    return load_split(manifest, split, preprocess, cache, **more)


def _caches(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def test_pictures_labels_and_rows_are_in_one_order(manifest: Manifest, tmp_path: Path) -> None:
    split = _load(manifest, tmp_path, preprocess=Preprocess(image_size=16))
    assert len(split) == len(split.rows) == 24
    assert split.pictures.shape == (24, 16, 16, 3)
    assert split.pictures.dtype == np.uint8
    assert [row.label == "fake" for row in split.rows] == (split.labels == 1).tolist()
    originals, labels = tiny_pictures(24, 16, 0)
    by_content = {picture.tobytes(): label for picture, label in zip(originals, labels, strict=True)}
    assert [by_content[np.asarray(p).tobytes()] for p in split.pictures] == split.labels.tolist()


def test_the_second_load_decodes_nothing_and_cannot_write(manifest: Manifest, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    first = _load(manifest, tmp_path, progress=lambda *counts: seen.append(counts))
    assert seen == [(n, 24) for n in range(1, 25)]
    (cache,) = _caches(tmp_path)
    written = cache.stat().st_mtime_ns, cache.stat().st_ino
    second = _load(manifest, tmp_path, progress=lambda *counts: seen.append(counts))
    assert len(seen) == 24
    assert (cache.stat().st_mtime_ns, cache.stat().st_ino) == written
    assert np.array_equal(first.pictures, second.pictures)
    with pytest.raises(ValueError, match="read-only"):
        second.pictures[0] = 0


def test_two_processes_at_once_decode_once(manifest: Manifest, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from crawler.manifest import read_manifest
from model_defs.preprocess import Preprocess
from tune.data import load_split
manifest = read_manifest(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
decoded = []
split = load_split(manifest, "train", Preprocess(image_size=256), Path(sys.argv[2]), lambda n, _: decoded.append(n))
print(len(decoded), int(split.pictures.sum(dtype="int64")))
"""
    command = [sys.executable, "-c", program, manifest.url, str(tmp_path)]
    racers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=60)[0].split() for racer in racers]
    assert sorted(int(decoded) for decoded, _ in answers) == [0, 24]
    assert answers[0][1] == answers[1][1]


def test_every_preprocessing_and_split_has_its_own_cache(manifest: Manifest, tmp_path: Path) -> None:
    ways = [
        GREY16,
        Preprocess(image_size=16),
        Preprocess(image_size=12),
        Preprocess(image_size=12, fit="squash"),
    ]
    shapes = [_load(manifest, tmp_path, preprocess=way).pictures.shape[1:] for way in ways]
    assert shapes == [(16, 16, 1), (16, 16, 3), (12, 12, 3), (12, 12, 3)]
    _load(manifest, tmp_path, "val")
    assert len(_caches(tmp_path)) == 5


def test_normalisation_comes_later_so_it_shares_the_cache(manifest: Manifest, tmp_path: Path) -> None:
    _load(manifest, tmp_path, preprocess=Preprocess(image_size=16))
    _load(manifest, tmp_path, preprocess=Preprocess(image_size=16, mean=IMAGENET_MEAN, std=IMAGENET_STD))
    assert len(_caches(tmp_path)) == 1


def test_another_dataset_is_not_mixed_up(manifest: Manifest, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", {"val": 24, "train": 24})  # other pictures in train
    one, two = (_load(m, tmp_path / "cache").pictures for m in (manifest, other))
    assert not np.array_equal(one, two)


def test_a_missing_image_is_one_line_and_leaves_no_cache(tmp_path: Path) -> None:
    manifest = make_dataset(tmp_path / "data")
    gone = manifest.rows("train")[5].key
    (tmp_path / "data" / gone).unlink()
    with pytest.raises(DataError, match=rf"image {gone} of the manifest is unusable .*; import again"):
        _load(manifest, tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").iterdir() if not p.name.endswith(".lock")] == []


@pytest.mark.parametrize("content", [b"", b"not a picture", "half"])
def test_a_corrupt_image_is_one_line(content: bytes | str, tmp_path: Path) -> None:
    manifest = make_dataset(tmp_path / "data")
    path = tmp_path / "data" / manifest.rows("train")[0].key
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if isinstance(content, str) else content)
    with pytest.raises(DataError, match="is unusable") as caught:
        _load(manifest, tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_a_cache_folder_that_cannot_be_made_is_one_line(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"the decode cache .*/file/cache cannot be written: not a directory"):
        _load(manifest, tmp_path / "file" / "cache")


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(manifest: Manifest, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))  # a disk with room for 1,000 bytes
    try:
        with pytest.raises(DataError, match="cannot be written: file too large"):
            _load(manifest, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p for p in tmp_path.iterdir() if p.stat().st_size] == []
    assert len(_load(manifest, tmp_path)) == 24


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_cache_folder_is_one_line(manifest: Manifest, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="cannot be written: permission denied"):
        _load(manifest, tmp_path / "cache")


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "another shape"])
def test_a_damaged_cache_says_what_to_do(damage: str, manifest: Manifest, tmp_path: Path) -> None:
    _load(manifest, tmp_path)
    (cache,) = _caches(tmp_path)
    if damage == "another shape":
        np.save(cache, np.zeros((3, 16, 16, 1), np.uint8))
    else:
        data = {"truncated": cache.read_bytes()[:1000], "empty": b"", "garbage": os.urandom(500)}[damage]
        cache.unlink()
        cache.write_bytes(data)
    with pytest.raises(DataError, match=r"delete that file and try again") as caught:
        _load(manifest, tmp_path)
    assert str(cache) in str(caught.value)


def test_what_a_killed_process_left_is_not_in_the_way(manifest: Manifest, tmp_path: Path) -> None:
    _load(manifest, tmp_path)
    (cache,) = _caches(tmp_path)
    whole = cache.read_bytes()
    cache.unlink()
    cache.with_name(f".{cache.stem}.tmp").write_bytes(b"x" * 100_000)
    _load(manifest, tmp_path)
    assert cache.read_bytes() == whole
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_split_without_images_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the split 'ood' is empty"):
        _load(manifest, tmp_path, "ood")
    with pytest.raises(UserError, match="no split is named 'tset'; there are train, val, test, ood"):
        _load(manifest, tmp_path, "tset")


def test_a_split_of_one_class_cannot_be_trained_on(manifest: Manifest, tmp_path: Path) -> None:
    check_trainable(manifest)
    make_dataset(tmp_path, {"train": 4, "val": 1})
    with pytest.raises(DataError, match=r"the split 'val' has no fake images.*python -m crawler stats"):
        check_trainable(read_manifest(str(tmp_path)))
