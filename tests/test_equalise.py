"""An equalised dataset: both labels through one transform, nothing lost on the way, the shortcuts gone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crawler.audit import Settings, audit_dataset
from crawler.audit.headers import read_header
from crawler.equalise import default_target, equalise
from crawler.manifest import Manifest, read_manifest
from crawler.transform import EqualiseError, Transform
from infra.images import decode_image
from infra.storage import open_storage
from tests.audit_datasets import File, encoded, fair_files, picture, write_dataset

ROOT = Path(__file__).resolve().parent.parent
SMALL = Transform(side=32)


def _contents(manifest: Manifest) -> dict[str, bytes]:
    storage = open_storage(manifest.url)
    return {row.key: storage.get(row.key) for row in manifest.rows()}


def _unequal_files(count: int) -> list[File]:
    """Fakes are PNGs of 512 pixels, reals are JPEGs of 256, of pictures of one kind."""
    reals = [File("real", encoded(picture(n, 256), subsampling="4:4:4", exif=Image.Exif())) for n in range(count)]
    return reals + [File("fake", encoded(picture(1000 + n, 512), "PNG"), "gan") for n in range(count)]


def test_a_dataset_full_of_shortcuts_comes_out_clean(tmp_path: Path) -> None:
    original = write_dataset(tmp_path / "data", _unequal_files(20))
    before = audit_dataset(original, open_storage(original.url), Settings())
    assert {p.family for p in before.groups[0].counted() if p.verdict(0.65) == "leaks"} >= {
        "format", "dimensions", "file size", "quantisation", "encoding",
    }  # fmt: skip
    report = equalise(str(tmp_path / "data"), str(tmp_path / "even"), Transform(side=64), workers=1)
    after = audit_dataset(report.manifest, open_storage(str(tmp_path / "even")), Settings())
    assert {p.family: p.verdict(0.65) for p in after.groups[0].counted()} == dict.fromkeys(
        (p.family for p in before.groups[0].counted()), "clean"
    )


def test_rows_keep_what_they_were_and_say_what_was_done(tmp_path: Path) -> None:
    files = [
        File("real", encoded(picture(1)), None, "train", "ann"),
        File("real", encoded(picture(2), "PNG"), None, "test", "bob"),
        File("fake", encoded(picture(3, 64, 80)), "gan", "val"),
        File("fake", encoded(picture(4)), "ddpm", "ood"),
    ]
    original = write_dataset(tmp_path / "data", files)
    manifest = equalise(original.url, str(tmp_path / "even"), SMALL).manifest
    derived = {row.derived_from: row for row in manifest.rows()}
    for row in original.rows():
        same = derived[row.sha256]
        for name in ("label", "generator", "split", "cluster", "identity", "licence", "author", "url", "source"):
            assert getattr(same, name) == getattr(row, name)
        assert same.transform == "square-crop 1, 32 px Lanczos, JPEG q90 4:2:0, v1"
        assert (same.width, same.height, same.format, same.jpeg_quality) == (32, 32, "jpeg", 90)
    headers = {read_header(data) for data in _contents(manifest).values()}
    assert {(h.subsampling, h.mode, h.metadata) for h in headers} == {
        ("4:2:0", "baseline, 3 components", frozenset({"JFIF"}))
    }
    assert len({h.tables for h in headers}) == 1


@pytest.mark.parametrize("transform", [SMALL, Transform(32, 0.9, "png")])
def test_the_same_originals_give_the_same_dataset(tmp_path: Path, transform: Transform) -> None:
    original = write_dataset(tmp_path / "data", fair_files(4))
    first, second = (equalise(original.url, str(tmp_path / name), transform).manifest for name in ("a", "b"))
    assert first.hash == second.hash
    assert _contents(first) == _contents(second)


def test_the_middle_is_kept_and_a_frame_is_cut_off() -> None:
    rgb = np.full((100, 140, 3), 200, np.uint8)
    rgb[:4] = rgb[-4:] = 0
    made = decode_image(Transform(32, 0.9, "png").apply(rgb)).rgb
    assert made.shape == (32, 32, 3)
    assert (made == 200).all()


def test_nothing_is_enlarged(tmp_path: Path) -> None:
    small = [File("fake", encoded(picture(90 + n, 32)), "gan") for n in range(3)]
    original = write_dataset(tmp_path / "data", fair_files(5) + small)
    report = equalise(original.url, str(tmp_path / "even"), SMALL)
    assert report.left_out_by_reason() == Counter({("too small", "fake"): 3})
    assert len(report.manifest) == 10
    told = json.loads((tmp_path / "even/manifest/equalise-report.json").read_text())
    assert len(told["left_out"]) == 3
    assert told["of"]["hash"] == original.hash
    with pytest.raises(EqualiseError, match=r"none is enlarged; --side 24 would keep nearly all"):
        equalise(original.url, str(tmp_path / "other"), Transform(48))
    assert not (tmp_path / "other").exists()


def test_originals_that_become_one_file_are_one_row_and_none_under_two_labels(tmp_path: Path) -> None:
    def twice(number: int) -> tuple[bytes, bytes]:
        rgb = picture(number)
        return encoded(rgb, "PNG"), encoded(rgb, "PNG", compress_level=1)

    (a, b), (c, d) = twice(500), twice(501)
    files = [File("real", a), File("real", b), File("real", c), File("fake", d, "gan")]
    original = write_dataset(tmp_path / "data", fair_files(3) + files)
    report = equalise(original.url, str(tmp_path / "even"), SMALL)
    assert len(report.manifest) == 6 + 1
    assert report.left_out_by_reason() == Counter(
        {
            ("same file as another", "real"): 1,
            ("same picture under two labels", "real"): 1,
            ("same picture under two labels", "fake"): 1,
        }
    )


def test_again_adds_nothing_and_puts_back_what_was_lost(tmp_path: Path) -> None:
    original = write_dataset(tmp_path / "data", fair_files(4))
    target = str(tmp_path / "even")
    first = equalise(original.url, target, SMALL)
    assert (first.made, first.found) == (8, 0)
    again = equalise(original.url, target, SMALL)
    assert (again.made, again.found, again.manifest.version) == (0, 8, 1)
    lost = tmp_path / "even" / first.manifest.rows()[0].key
    lost.unlink()
    assert equalise(original.url, target, SMALL).made == 1
    assert lost.exists()
    grown = write_dataset(original.url, fair_files(5))
    assert len(grown) > len(original)
    report = equalise(original.url, target, SMALL)
    assert report.manifest.version == 2
    assert len(report.manifest) == len(grown)


def test_a_missing_and_a_broken_original_are_reported(tmp_path: Path) -> None:
    original = write_dataset(tmp_path / "data", fair_files(4))
    missing, broken = (tmp_path / "data" / row.key for row in original.rows()[:2])
    missing.unlink()
    broken.write_bytes(b"no image")
    report = equalise(original.url, str(tmp_path / "even"), SMALL)
    assert {entry.reason for entry in report.left_out} == {"cannot be read"}
    assert len(report.manifest) == 6


def test_another_dataset_is_never_overwritten(tmp_path: Path) -> None:
    url, even = str(tmp_path / "data"), str(tmp_path / "even")
    write_dataset(url, fair_files(3))
    other = write_dataset(tmp_path / "other", fair_files(3, first=50))
    with pytest.raises(EqualiseError, match="is the original itself"):
        equalise(url, f"file://{url}/", SMALL)
    with pytest.raises(EqualiseError, match="holds a dataset of originals"):
        equalise(url, other.url, SMALL)
    equalise(url, even, SMALL)
    with pytest.raises(EqualiseError, match=r"made by another transform \(square-crop 1, 32 px"):
        equalise(url, even, Transform(24))


@pytest.mark.parametrize(
    ("url", "target"),
    [("file://./data/faces", "file://./data/faces-equalised"), ("s3://b/faces/", "s3://b/faces-equalised")],
)
def test_where_it_goes(url: str, target: str) -> None:
    assert default_target(url) == target


@pytest.mark.parametrize("url", ["s3://bucket", "file://.", "."])
def test_where_it_cannot_go_by_itself(url: str) -> None:
    with pytest.raises(EqualiseError, match="--into URL"):
        default_target(url)


@pytest.mark.parametrize("wrong", [{"side": 8}, {"crop": 0.0}, {"crop": float("nan")}, {"quality": 101}])
def test_impossible_transforms(wrong: dict[str, float]) -> None:
    with pytest.raises(EqualiseError, match="must be"):
        Transform(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_it_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    files = fair_files(40, side=300)
    original = write_dataset(tmp_path / "data", files)
    target = tmp_path / "even"
    code = (
        "import sys; from crawler.equalise import equalise; from crawler.transform import Transform\n"
        "from infra.cli import run_cli\n"
        "run_cli(lambda _: equalise(sys.argv[1], sys.argv[2], Transform(280)) and 0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, original.url, str(target)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        while process.poll() is None and len(list(target.glob("images/*/*.jpg"))) < 8:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be stopped"
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert not (target / "manifest/LATEST").exists()
    report = equalise(original.url, str(target), Transform(280))
    assert report.made + report.found == 80
    if number == signal.SIGINT:
        assert report.found > 0
    whole = equalise(original.url, str(tmp_path / "whole"), Transform(280)).manifest
    assert report.manifest.hash == whole.hash
    assert _contents(report.manifest) == _contents(whole)
    assert not list(target.glob("manifest/equalise/*.json"))


def test_the_command_shows_before_and_after(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", _unequal_files(12))
    command = [sys.executable, "-m", "crawler", "audit", f"file://{tmp_path}/data", "--equalise", "--side", "64"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "square-crop 1, 64 px Lanczos, JPEG q90 4:2:0, v1: 24 made" in done.stdout
    assert re.search(r"format +1\.00 \[.*\] +0\.50 \[0\.50 0\.50\]", done.stdout)
    assert "verdict: leaks before, clean after" in done.stdout
    assert len(read_manifest(f"file://{tmp_path}/data-equalised")) == 24
