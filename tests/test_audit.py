"""The audit finds what gives a label away besides the picture, says it in words, and is silent where nothing does."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from crawler.audit import Audit, AuditError, Probe, Settings, audit_dataset, describe, one_line, read_or_run_audit
from crawler.audit.headers import Header, read_header
from crawler.audit.plot import plot_audit
from crawler.audit.probe import Units, assign_folds, cross_validate, ranking_auc
from crawler.audit.run import draw_sample
from crawler.manifest import Manifest, read_manifest
from infra.storage import open_storage
from tests.audit_datasets import File, encoded, fair_files, picture, write_dataset

ROOT = Path(__file__).resolve().parent.parent
RGB = picture(0)


def _audit(manifest: Manifest, **wanted: Any) -> Audit:
    return audit_dataset(manifest, open_storage(manifest.url), Settings(**wanted))


def _probes(audit: Audit, group: int = 0) -> dict[str, Probe]:
    return {probe.family: probe for probe in audit.groups[group].probes}


def _command(*args: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crawler", "audit", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


# Headers


def _text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "hello")
    return info


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    return exif


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(RGB, subsampling="4:4:4"), {"subsampling": "4:4:4", "mode": "baseline, 3 components"}),
        (encoded(RGB, subsampling="4:2:2"), {"subsampling": "4:2:2", "coder": "standard Huffman tables"}),
        (encoded(RGB, subsampling="4:2:0"), {"subsampling": "4:2:0"}),
        (encoded(RGB, optimize=True), {"coder": "optimised Huffman tables"}),
        (encoded(RGB, progressive=True), {"mode": "progressive, 3 components"}),
        (encoded(RGB, restart_marker_rows=1), {"coder": "standard Huffman tables, restart markers"}),
        (encoded(RGB[..., 0]), {"subsampling": "", "mode": "baseline, 1 components", "metadata": {"JFIF"}}),
        (encoded(RGB, exif=_exif()), {"metadata": {"JFIF", "EXIF"}}),
        (encoded(RGB, comment=b"made by hand"), {"metadata": {"JFIF", "comment"}}),
        (encoded(RGB, icc_profile=b"x" * 200), {"metadata": {"JFIF", "ICC"}}),
        (encoded(RGB, xmp=b"<x/>"), {"metadata": {"JFIF", "XMP"}}),
        (encoded(RGB) + b"more", {"metadata": {"JFIF", "bytes after the end"}, "metadata_bytes": 14 + 4}),
        (encoded(RGB, "PNG"), {"mode": "RGB, 8 bits", "metadata": set(), "layout": "IHDR IDAT IEND"}),
        (encoded(RGB[..., 0], "PNG", dpi=(72, 72)), {"mode": "grey, 8 bits", "metadata": {"resolution"}}),
        (encoded(RGB, "PNG", pnginfo=_text()), {"metadata": {"text"}}),
        (encoded(RGB, "PNG", exif=_exif()) + b"!", {"metadata": {"EXIF", "bytes after the end"}}),
        (encoded(RGB, "WEBP", quality=80), {"mode": "lossy"}),
        (encoded(RGB, "WEBP", lossless=True, exif=_exif()), {"mode": "lossless", "metadata": {"EXIF"}}),
        (encoded(RGB, "BMP"), {"mode": "", "layout": "", "metadata": set()}),
    ],
)  # fmt: skip
def test_a_header_says_how_a_file_was_written(data: bytes, expected: dict[str, Any]) -> None:
    header = read_header(data)
    assert {name: getattr(header, name) for name in expected} == expected


def test_equal_qualities_have_equal_tables_and_others_have_not() -> None:
    tables = [read_header(encoded(picture(n), quality=q)).tables for n, q in ((1, 75), (2, 75), (1, 76))]
    assert tables[0] == tables[1] != tables[2]


_WHOLE = (encoded(RGB, exif=_exif(), progressive=True), encoded(RGB, "PNG", pnginfo=_text()), encoded(RGB, "WEBP"))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_WHOLE), st.data())
def test_a_damaged_file_is_read_as_far_as_it_goes(whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, min(len(whole) - 1, 1500)))
    damaged = whole[:at] + data.draw(st.binary(max_size=12)) + whole[at + data.draw(st.integers(0, 40)) :]
    header = read_header(damaged)
    assert isinstance(header, Header)
    assert 0 <= header.metadata_bytes <= len(damaged)


# Probes


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=4, max_size=80), st.integers(0, 99))
def test_folds_keep_groups_whole(images: list[tuple[int, int]], seed: int) -> None:
    groups, labels = (np.array(column) for column in zip(*images, strict=True))
    units = Units(labels, np.unique(groups, return_inverse=True)[1])
    if len(set(labels)) < 2 or units.smaller_class() < 2:
        return
    folds = assign_folds(units, seed)
    assert len(folds) == len(images)
    assert all(len(set(folds[units.groups == group])) == 1 for group in units.groups)
    assert len(set(folds)) > 1


def test_folds_spread_both_labels_evenly() -> None:
    labels = np.array([0] * 40 + [1] * 10)
    folds = assign_folds(Units(labels, np.arange(50)), seed=1)
    assert [Counter(labels[folds == fold]) for fold in range(5)] == [{0: 8, 1: 2}] * 5


def test_the_auc_of_a_column_is_the_textbooks() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    values = (rng.normal(size=200) + labels).round(1)
    assert ranking_auc(values, labels) == pytest.approx(roc_auc_score(labels, values))


def _columns(labels: NDArray[np.int64], shift: float, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(len(labels), 2)) + shift * labels[:, None]


def test_noise_is_no_shortcut_and_the_interval_holds_the_truth() -> None:
    labels = np.arange(40) % 2
    units = Units(labels, np.arange(40))
    scores = [cross_validate(_columns(labels, 0, seed), units) for seed in range(5)]
    assert all(score.p_value > 0.001 for score in scores)
    assert sum(score.low <= 0.5 <= score.high for score in scores) >= 4
    assert all(score.chance > 0.7 for score in scores)  # with 40 images, chance itself reaches that


def test_a_band_in_the_middle_is_found_and_few_images_leave_a_wide_interval() -> None:
    rng = np.random.default_rng(3)
    for count, width in ((60, 0.25), (600, 0.08)):
        labels = np.arange(count) % 2
        values = np.where(labels == 1, rng.uniform(0.4, 0.6, count), rng.uniform(0, 1, count))
        score = cross_validate(values[:, None], Units(labels, np.arange(count)))
        assert score.auc > 0.8
        assert score.p_value < 0.001
        assert 0.01 < score.high - score.low < width


def test_what_tells_people_apart_does_not_tell_labels_apart() -> None:
    """Eight people with one value each: known people are told by it, new ones are not."""
    people = np.repeat(np.arange(8), 10)
    labels = people % 2
    values = np.random.default_rng(5).permutation(8)[people].astype(float)[:, None]
    assert cross_validate(values, Units(labels, np.arange(80))).auc > 0.95
    grouped = cross_validate(values, Units(labels, people))
    assert grouped.p_value > 0.001
    assert grouped.low <= 0.5


# Families


def _framed(rgb: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    framed = rgb.copy()
    framed[:width] = framed[-width:] = framed[:, :width] = framed[:, -width:] = 0
    return framed


def _letterboxed(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    boxed = rgb.copy()
    boxed[:7] = boxed[-7:] = 0
    return boxed


@pytest.mark.parametrize(
    ("guilty", "make", "words"),
    [
        ("format", lambda n: encoded(picture(n), "PNG"), "fakes are PNG, reals JPEG"),
        ("dimensions", lambda n: encoded(picture(n, 56)), "fakes are 56×56, reals 48×48"),
        ("quantisation", lambda n: encoded(picture(n), quality=84), "JPEG quality: median 84 for fakes, 85 for reals"),
        ("encoding", lambda n: encoded(picture(n), progressive=True), "fakes are coded as progressive, 3 components"),
        ("encoding", lambda n: encoded(picture(n), optimize=True), "optimised Huffman tables"),
        ("metadata", lambda n: encoded(picture(n), exif=_exif()), "100% of fakes and 0% of reals carry EXIF"),
        ("border", lambda n: encoded(_framed(picture(n), 1)), None),
        ("border", lambda n: encoded(_framed(picture(n), 4)), None),
        ("border", lambda n: encoded(_letterboxed(picture(n))), None),
    ],
)
def test_each_shortcut_is_found_and_named(tmp_path: Path, guilty: str, make: Any, words: str | None) -> None:
    reals = [file for file in fair_files(25) if file.label == "real"]
    audit = _audit(write_dataset(tmp_path, reals + [File("fake", make(100 + n)) for n in range(25)]))
    probes = _probes(audit)
    assert probes[guilty].auc > 0.95
    assert probes[guilty].verdict(0.65) == "leaks"
    assert audit.verdict() == "leaks"
    assert words is None or words in (probes[guilty].words or "")
    innocent = {"format", "dimensions", "quantisation", "encoding", "metadata"} - {guilty}
    if guilty != "format":  # of another format everything is different
        assert {probes[family].verdict(0.65) for family in innocent if family != "encoding"} == {"clean"}


@pytest.mark.parametrize("seed", range(3))
def test_a_fair_dataset_is_clean_however_small(tmp_path: Path, seed: int) -> None:
    audit = _audit(write_dataset(tmp_path, fair_files(20, first=1000 * seed)))
    assert audit.verdict() == "clean"
    assert "clean means little here" in describe(audit)  # and the reader is told how little 40 images can show


def test_too_few_images_are_not_judged(tmp_path: Path) -> None:
    audit = _audit(write_dataset(tmp_path, fair_files(6)))
    assert audit.groups[0].too_few
    assert audit.verdict() == "clean"
    assert "too few images" in one_line(audit)
    assert Image.open(io.BytesIO(plot_audit(audit))).width > 300


def test_the_source_and_the_tone_are_told_but_not_counted(tmp_path: Path) -> None:
    dark = [File("fake", encoded(picture(100 + n) // 2), source="elsewhere") for n in range(25)]
    reals = [file for file in fair_files(25) if file.label == "real"]
    probes = _probes(_audit(write_dataset(tmp_path, reals + dark)))
    for family in ("source", "brightness and colour"):
        assert probes[family].auc > 0.9
        assert not probes[family].counted


# Generators


def _with_a_leaky_generator(split: str) -> list[File]:
    leaky = [File("fake", encoded(picture(900 + n), "PNG"), "leaky", split) for n in range(20)]
    return fair_files(60, generator="fair") + leaky


def test_a_shortcut_in_one_generator_does_not_hide_in_the_mean(tmp_path: Path) -> None:
    audit = _audit(write_dataset(tmp_path, _with_a_leaky_generator("train")))
    assert [group.name for group in audit.groups] == ["all generators", "fair", "leaky"]
    assert [group.verdict(0.65) for group in audit.groups][1:] == ["clean", "leaks"]
    assert audit.verdict(held_out=False) == "leaks"
    assert "of leaky with AUC 1.00" in one_line(audit)
    assert Image.open(io.BytesIO(plot_audit(audit))).width == 736


def test_a_held_out_generator_is_told_apart_from_what_is_learned(tmp_path: Path) -> None:
    audit = _audit(write_dataset(tmp_path, _with_a_leaky_generator("ood")))
    assert [(group.name, group.held_out) for group in audit.groups] == [("fair", False), ("leaky", True)]
    assert audit.verdict() == "leaks"
    assert audit.verdict(held_out=False) == "clean"
    assert "leaky, held out: 20 fakes" in describe(audit)


def test_a_sample_is_half_real_even_by_generator_and_always_the_same(tmp_path: Path) -> None:
    files = fair_files(40, generator="large") + [File("fake", encoded(picture(500 + n)), "small") for n in range(5)]
    rows = write_dataset(tmp_path, files).rows()
    sample = draw_sample(rows, 40, seed=1)
    assert Counter((row.label, row.generator) for row in sample) == {
        ("real", None): 20, ("fake", "large"): 15, ("fake", "small"): 5,
    }  # fmt: skip
    assert sample == draw_sample(rows[::-1], 40, seed=1)
    assert sample != draw_sample(rows, 40, seed=2)


# Kept in the dataset


def test_an_audit_is_made_once_for_each_version(tmp_path: Path) -> None:
    url = str(tmp_path / "data")
    first = write_dataset(url, fair_files(15))
    audit = read_or_run_audit(url)
    kept = json.loads((tmp_path / "data/manifest/audit-v0001.json").read_text())
    assert (kept["verdict"], kept["dataset_hash"]) == ("clean", first.hash)
    shutil.rmtree(tmp_path / "data/images")  # so that it cannot be made again
    assert read_or_run_audit(url) == audit
    write_dataset(url, fair_files(16))
    second = read_or_run_audit(url)
    assert (second.version, second.of_images) == (2, 32)
    assert read_or_run_audit(url, version=1) == audit


def test_a_kept_audit_that_is_damaged_or_of_another_dataset_is_made_again(tmp_path: Path) -> None:
    write_dataset(tmp_path, fair_files(15))
    audit = read_or_run_audit(str(tmp_path))
    kept = tmp_path / "manifest/audit-v0001.json"
    for damage in ('{"half', kept.read_text().replace(audit.dataset_hash, "0" * 64)):
        kept.write_text(damage)
        assert read_or_run_audit(str(tmp_path)) == audit
        assert json.loads(kept.read_text())["dataset_hash"] == audit.dataset_hash


def test_missing_and_broken_objects_are_reported(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path, fair_files(15))
    missing, broken = (tmp_path / row.key for row in manifest.rows()[:2])
    missing.unlink()
    broken.write_bytes(b"no image")
    audit = _audit(manifest)
    assert (audit.images, audit.of_images) == (28, 30)
    assert {key for key, _ in audit.unreadable} == {row.key for row in manifest.rows()[:2]}
    assert "2 images could not be read" in describe(audit)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(AuditError, match="none of 30 images can be read"):
        _audit(manifest)


# As a person types it


def test_the_command(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/data"
    fakes = [File("fake", encoded(picture(100 + n), "PNG"), "gan") for n in range(25)]
    write_dataset(url, [file for file in fair_files(25) if file.label == "real"] + fakes)
    said = _command(url, "--out", tmp_path / "out").stdout
    assert "leaks       format" in said
    assert "fakes are PNG, reals JPEG" in said
    assert f"python -m crawler audit {url} --equalise" in said
    assert Image.open(tmp_path / "out/audit.png").width == 736
    answer = json.loads(_command(url, "--json", "--fail-over", code=1).stdout)
    assert answer == json.loads((tmp_path / "out/audit.json").read_text())
    assert answer["verdict"] == "leaks"
    assert {"name": "format", "group": "gan", "auc": 1.0} in [
        {key: family[key] for key in ("name", "group", "auc")} for family in answer["families"]
    ]
    assert "no real images" in _command(url, "--split", "ood", code=1).stderr.replace("holds no", "no")
    assert "'training' is not one of" in _command(url, "--split", "training", code=2).stderr
    assert _command(f"file://{tmp_path}/none", code=1).stderr.startswith("error: no dataset at")


@pytest.mark.slow
def test_on_an_s3_server(s3_url: str) -> None:
    write_dataset(s3_url, fair_files(15))
    assert read_or_run_audit(s3_url).verdict() == "clean"
    assert open_storage(s3_url).exists("manifest/audit-v0001.json")


@pytest.mark.slow
def test_on_real_faces(faces_dir: Path, tmp_path: Path) -> None:
    """FFHQ and StyleGAN1 went through one encoder, Stable Diffusion 3 did not."""
    with (faces_dir / "index.csv").open() as index:
        rows = list(csv.DictReader(index))
    chosen = [row for kind in ("", "stylegan1", "sd3") for row in [r for r in rows if r["generator"] == kind][:100]]
    write_dataset(
        tmp_path,
        [File(r["label"], (faces_dir / r["path"]).read_bytes(), r["generator"] or None, r["split"]) for r in chosen],
    )
    audit = _audit(read_manifest(str(tmp_path)))
    assert {group.name: group.verdict(0.65) for group in audit.groups} == {"stylegan1": "clean", "sd3": "leaks"}
    assert _probes(audit, 1)["dimensions"].words == "fakes are 1024×1024, reals 256×256"
