"""python -m crawler import | split | stats | sample: from a folder on disk to a dataset, as a person types it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crawler.isolation import Crashed, map_isolated
from crawler.manifest import Manifest, read_manifest
from crawler.pipeline import import_images
from crawler.sources import FolderDefaults, SourceError, read_labelled_folder
from infra.storage import open_storage

ROOT = Path(__file__).parents[1]
FACES = Path(os.environ.get("FACES_DIR", ROOT.parent / "shared" / "data" / "faces"))


def _crawler(*args: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crawler", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def _refusal(*args: str | Path) -> str:
    """The one line with which the command fails."""
    lines = _crawler(*args, code=1).stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def _picture(number: int, size: int = 32) -> Image.Image:
    blocks = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((size, size), Image.Resampling.BICUBIC)


def _save(path: Path, number: int, **options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _picture(number).save(path, **options)
    return path


def _import(folder: Path, url: str, **defaults: str) -> Manifest:
    images = read_labelled_folder(folder, FolderDefaults(**{"source": folder.name, **defaults}))
    return import_images(images, url).manifest


def _keys(url: str) -> list[str]:
    return list(open_storage(url).list("images/"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/data"


def test_real_and_fake_folders(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "set"
    originals = [_save(folder / "real" / f"{n}.jpg", n, quality=80) for n in range(10)]
    originals += [_save(folder / "fake/sd3/deep" / f"{n}.png", 100 + n) for n in range(10)]
    originals += [_save(folder / "fake/00001" / f"{n}.webp", 200 + n) for n in range(4)]
    (folder / "real" / ".DS_Store").write_bytes(b"junk")
    done = _crawler("import", folder, "--into", url, "--licence", "CC0", "--generator", "mystery")
    assert "24 files listed, 24 images added" in done.stdout
    rows = {row.sha256: row for row in read_manifest(url).rows()}
    storage = open_storage(url)
    for path in originals:
        data = path.read_bytes()
        row = rows[hashlib.sha256(data).hexdigest()]
        assert storage.get(row.key) == data
        assert row.key == f"images/{row.sha256[:2]}/{row.sha256}{path.suffix}"
        assert (row.width, row.height, row.bytes) == (32, 32, len(data))
        assert (row.source, row.licence, row.label) == ("set", "CC0", path.relative_to(folder).parts[0])
        assert row.jpeg_quality == (80 if path.suffix == ".jpg" else None)
        assert row.ai_markers == ()
    generators = Counter(row.generator for row in rows.values())
    assert generators == {None: 10, "sd3": 10, "mystery": 4}
    assert {row.split for row in rows.values()} == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("train", "val", "test"), ("real", "fake")),
        (("Train", "Validation", "Test"), ("Real", "Fake")),
        (("training", "valid", "testing"), ("training_real", "training_fake")),
    ],
)
def test_split_folders_are_kept(tmp_path: Path, url: str, names: Sequence[str], labels: Sequence[str]) -> None:
    folder = tmp_path / "set"
    number = 0
    for name in names:
        for label in labels:
            for _ in range(3):
                _save(folder / name / label / f"{number}.png", number)
                number += 1
    manifest = _import(folder, url)
    assert manifest.counts() == {(s, g, None): 3 for s in ("train", "val", "test") for g in ("real", "fake")}
    assert _crawler("stats", url).stdout.count("warning") == 0


def test_an_index_says_it_all(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "set"
    for n in range(4):
        _save(folder / "any" / f"{n}.png", n)
    (folder / "index.csv").write_text(
        "\ufeffPath,label,generator,split,licence,identity,author,url,unknown\n"
        "any/0.png,Real,ignored,train,CC0,anna,Bo,https://example.org/0,x\n"
        'set/any/1.png,fake,sd3,ood,"a, b",,,,\n'
        "./any//2.png,fake,,validation,,,,,\n"
        "any\\3.png,real\n",
        encoding="utf-8",
    )
    done = _crawler("import", folder, "--into", url, "--source", "faces", "--generator", "gan", "--licence", "mine")
    assert "4 images added" in done.stdout
    rows = {row.sha256: row for row in read_manifest(url).rows()}
    first, second, third, fourth = (
        rows[hashlib.sha256((folder / f"any/{n}.png").read_bytes()).hexdigest()] for n in range(4)
    )
    assert (first.label, first.generator, first.split, first.identity) == ("real", None, "train", "anna")
    assert (first.author, first.url, first.licence) == ("Bo", "https://example.org/0", "CC0")
    assert (second.generator, second.split, second.licence) == ("sd3", "ood", "a, b")
    assert (third.generator, third.split, third.licence) == ("gan", "val", "mine")
    assert (fourth.label, fourth.source) == ("real", "faces")


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "/etc/passwd", "a/../../x.png", "C:\\x.png", "..\\x.png", "link/secret.png", "\\x.png", ""],
)
def test_an_index_cannot_lead_out_of_its_folder(tmp_path: Path, url: str, path: str) -> None:
    folder = tmp_path / "set"
    _save(tmp_path / "secret.png", 1)
    _save(folder / "good.png", 2)
    (folder / "link").symlink_to(tmp_path)
    (folder / "index.csv").write_text(f"path,label\ngood.png,real\n{path},real\n" if path else 'path,label\n"",real\n')
    line = _refusal("import", folder, "--into", url)
    assert "must lead to a file inside" in line
    assert "index.csv line" in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.png,maybe\n", "line 2: label is 'maybe' where it must be real or fake"),
        (
            "path,label,split\na.png,real,dev\n",
            "line 2: split is 'dev' where it must be train, val, test, ood or empty",
        ),
        ("file,class\na.png,real\n", "no column path, label"),
        ("", "no column path, label"),
        ("path,label\n", "holds no labelled images"),
        ('path,label\n"a.png,real\n', "is not a CSV file"),
    ],
)
def test_a_wrong_index_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "index.csv").write_text(text)
    with pytest.raises(SourceError) as error:
        read_labelled_folder(tmp_path, FolderDefaults("x"))
    assert message in str(error.value)


def test_a_folder_without_labels_names_the_layouts(tmp_path: Path, url: str) -> None:
    _save(tmp_path / "set/holidays/1.png", 1)
    for folder in (tmp_path / "set", tmp_path / "nowhere", tmp_path / "set/holidays/1.png"):
        line = _refusal("import", folder, "--into", url)
        for layout in ("FOLDER/{real,fake}/", "FOLDER/{train,val,test}/{real,fake}/", "FOLDER/index.csv"):
            assert layout in line


def _broken_files(folder: Path) -> dict[str, str]:
    """Files that cannot be used, and a word that the report must say of each."""
    good = _save(folder.parent / "good.jpg", 77, quality=90).read_bytes()
    frames = [_picture(n) for n in range(3)]
    frames[0].save(folder / "film.gif", save_all=True, append_images=frames[1:])
    (folder / "cut.jpg").write_bytes(good[: len(good) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("hello")
    (folder / "page.jpg").write_text("<!doctype html><html></html>")
    (folder / "huge.png").write_bytes(_huge_png())
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    return {
        "film.gif": "animated image", "cut.jpg": "truncated image", "empty.jpg": "not an image",
        "notes.txt": "not an image", "page.jpg": "not an image", "huge.png": "image too large",
        "gone.jpg": "missing", "pipe.jpg": "not a file",
    }  # fmt: skip


def _huge_png() -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_broken_files_are_reported_and_skipped(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "set"
    for n in range(5):
        _save(folder / "real" / f"{n}.png", n)
        _save(folder / "fake" / f"{n}.png", 50 + n)
    expected = _broken_files(folder / "fake")
    done = _crawler("import", folder, "--into", url)
    assert "18 files listed, 10 images added" in done.stdout
    report = json.loads(open_storage(url).get("manifest/import-report.json"))
    assert {entry["name"]: entry["reason"] for entry in report["refused"]} == {
        f"fake/{name}": reason for name, reason in expected.items()
    }
    assert all(entry["detail"] for entry in report["refused"])
    for reason, count in Counter(expected.values()).items():
        assert f"skipped {count}: {reason}" in done.stdout


def test_a_folder_of_broken_files_only_fails(tmp_path: Path, url: str) -> None:
    (tmp_path / "set/real").mkdir(parents=True)
    (tmp_path / "set/real/a.jpg").write_bytes(b"nothing")
    assert "none of 1 files is a usable image; real/a.jpg: " in _refusal("import", tmp_path / "set", "--into", url)
    assert not (tmp_path / "data").exists()


def test_random_damage_never_ends_an_import(tmp_path: Path, url: str) -> None:
    rng = np.random.default_rng(5)
    folder = tmp_path / "set"
    for n in range(120):
        suffix = ("jpg", "png", "webp", "gif", "bmp", "tiff")[n % 6]
        path = _save(folder / ("real" if n % 2 else "fake") / f"{n}.{suffix}", n)
        data = np.frombuffer(path.read_bytes(), np.uint8).copy()
        where = rng.integers(0, len(data), rng.integers(0, 6))
        data[where] = rng.integers(0, 256, len(where))
        path.write_bytes(data.tobytes()[: int(rng.integers(1, 2 * len(data)))])
    report = import_images(read_labelled_folder(folder, FolderDefaults("x")), url)
    assert report.listed == 120
    assert report.added + len(report.refused) + report.same_file_twice == 120
    assert report.added > 20
    assert len(report.refused) > 20


def test_importing_twice_adds_nothing(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "set"
    for n in range(20):
        _save(folder / ("real" if n % 2 else "fake") / f"{n}.png", n)
    _save(folder / "fake/copy.png", 0)
    first = _crawler("import", folder, "--into", url)
    assert "20 images added, 1 copies of one of them" in first.stdout
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    second = _crawler("import", folder, "--into", url, "--seed", "9")
    assert "0 images added, 21 there already" in second.stdout
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == before
    assert second.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]


def test_a_lost_object_is_put_back(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "set"
    for n in range(4):
        _save(folder / "real" / f"{n}.png", n)
    manifest = _import(folder, url)
    open_storage(url).delete(manifest.rows()[0].key)
    assert _import(folder, url).version == manifest.version
    assert _keys(url) == [row.key for row in manifest.rows()]


def test_a_second_folder_joins_the_first(tmp_path: Path, url: str) -> None:
    for n in range(30):
        _save(tmp_path / "a" / ("real" if n % 2 else "fake") / f"{n}.png", n)
        _save(tmp_path / "b" / ("real" if n % 2 else "fake") / f"{n}.png", n + 20)
    first = _import(tmp_path / "a", url)
    second = _import(tmp_path / "b", url)
    assert (first.version, second.version, len(second)) == (1, 2, 50)
    splits = {row.sha256: row.split for row in second.rows()}
    assert all(splits[row.sha256] == row.split for row in first.rows())
    assert Counter(row.source for row in second.rows()) == {"a": 30, "b": 20}
    assert sorted(_keys(url)) == sorted(row.key for row in second.rows())
    assert read_manifest(url, version=1).hash == first.hash


def test_the_same_images_have_the_same_hash_anywhere(tmp_path: Path) -> None:
    for n in range(30):
        _save(tmp_path / "a" / ("real" if n % 2 else "fake") / f"{n}.png", n)
        _save(tmp_path / "b" / ("real" if n % 2 else "fake") / f"{99 - n}.png", n)
    hashes = {_import(tmp_path / name, f"file://{tmp_path}/data-{name}").hash for name in ("a", "b")}
    assert len(hashes) == 1


def test_one_picture_under_two_labels_is_left_out(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "set"
    for n in range(6):
        _save(folder / "real" / f"{n}.png", n)
    _save(folder / "fake/0.png", 0)
    done = _crawler("import", folder, "--into", url)
    assert "left out, one picture under two labels: 1" in done.stdout
    assert "fake/0.png, real/0.png" in done.stdout
    manifest = read_manifest(url)
    assert manifest.counts().total() == 5
    # What is in the dataset already keeps its label, however often the contrary is imported.
    _save(tmp_path / "other/fake/1.png", 1)
    _save(tmp_path / "other/fake/new.png", 1000)
    done = _crawler("import", tmp_path / "other", "--into", url)
    assert "fake/1.png (in the dataset as real)" in done.stdout
    after = _import(tmp_path / "other", url)
    assert (after.version, len(after)) == (2, 6)
    assert {row.sha256: row.label for row in after.rows()}.items() >= {
        row.sha256: row.label for row in manifest.rows()
    }.items()


def test_an_index_may_list_a_file_twice(tmp_path: Path, url: str) -> None:
    for n in range(2):
        _save(tmp_path / "set" / f"{n}.png", n)
    (tmp_path / "set/index.csv").write_text("path,label\n0.png,real\n0.png,fake\n1.png,real\n1.png,real\n")
    report = import_images(read_labelled_folder(tmp_path / "set", FolderDefaults("x")), url)
    assert (report.added, report.same_file_twice, len(report.conflicts)) == (1, 1, 1)


def test_near_duplicates_and_people_are_brought_together(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    lines = ["path,label,split,identity"]
    for n in range(10):
        picture = _picture(n, 96).convert("L")
        picture.save(folder / f"{n}-a.jpg", quality=95)
        picture.resize((80, 80)).save(folder / f"{n}-b.jpg", quality=75)
        lines += [f"{n}-a.jpg,real,train,p{n // 2}", f"{n}-b.jpg,real,test,"]
    (folder / "index.csv").write_text("\n".join(lines))
    done = _crawler("import", folder, "--into", url)
    assert "10 images were put into another split than the one they had or were given" in done.stdout
    rows = read_manifest(url).rows()
    assert len({row.cluster for row in rows}) == 10
    assert {row.split for row in rows} == {"train"}
    moves = json.loads(open_storage(url).get("manifest/import-report.json"))["moves"]
    assert {(move["given"], move["split"]) for move in moves} == {("test", "train")}


def test_split_divides_anew_and_keeps_the_old_version(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "set"
    for n in range(40):
        _save(folder / "real" / f"{n}.png", n)
        _save(folder / "fake" / ("sd3" if n % 2 else "gan") / f"{n}.png", 100 + n)
    before = _import(folder, url)
    _crawler("split", url, "--seed", "5", "--fractions", "0.5,0.25,0.25", "--ood", "sd3")
    after = read_manifest(url)
    assert after.version == 2
    assert after.counts() == {
        ("train", "real", None): 20, ("val", "real", None): 10, ("test", "real", None): 10,
        ("train", "fake", "gan"): 10, ("val", "fake", "gan"): 5, ("test", "fake", "gan"): 5,
        ("ood", "fake", "sd3"): 20,
    }  # fmt: skip
    _crawler("split", url, "--seed", "5", "--fractions", "0.5,0.25,0.25")  # ood stays, so nothing changes
    assert read_manifest(url).version == 2
    _crawler("split", url, "--ood")
    assert {row.split for row in read_manifest(url).rows()} == {"train", "val", "test"}
    assert read_manifest(url, version=1).hash == before.hash
    assert "no images of the generator 'sd4'; there are: gan, sd3" in _refusal("split", url, "--ood", "sd4")


def test_stats_warn_of_what_spoils_a_dataset(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "set"
    for n in range(8):
        _save(folder / "train/real" / f"{n}.png", n)
        _save(folder / "train/fake" / f"{n}.jpg", 100 + n)
        _save(folder / "test/real" / f"{n}.png", 200 + n)
    _import(folder, url)
    text = _crawler("stats", url).stdout
    assert "warning: the val split is empty" in text
    assert "warning: the test split holds real images only" in text
    assert "warning: real and fake images have different file formats" in text
    stats = json.loads(_crawler("stats", url, "--json").stdout)
    assert stats["splits"] == {
        "train": {"real": {"-": 8}, "fake": {"-": 8}},
        "test": {"real": {"-": 8}, "fake": {}},
    }
    assert stats["labels"]["real"]["formats"] == {"png": 16}
    assert stats["hash"] == read_manifest(url).hash
    assert len(stats["warnings"]) == 3


def test_a_sample_is_the_original(tmp_path: Path, url: str) -> None:
    for n in range(20):
        _save(tmp_path / "set" / ("real" if n % 2 else "fake") / f"{n}.png", n)
    manifest = _import(tmp_path / "set", url)
    out = tmp_path / "deep/fake.png"
    _crawler("sample", url, "--split", "train", "--label", "fake", "--number", "1", "--out", out)
    second = [row for row in manifest.rows("train") if row.label == "fake"][1]
    assert hashlib.sha256(out.read_bytes()).hexdigest() == second.sha256
    assert "no number 99" in _refusal("sample", url, "--number", "99", "--out", out)


@pytest.mark.parametrize("command", ["stats", "split"])
def test_a_missing_dataset_is_one_line(url: str, command: str) -> None:
    assert f"no dataset at {url}; make one with: python -m crawler import" in _refusal(command, url)


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["improt", "x"],
        ["import", "x"],
        ["import", "x", "--into", "file://y", "--workers", "0"],
        ["split", "file://x", "--fractions", "0.5"],
        ["sample", "file://x", "--split", "dev", "--out", "y"],
    ],
)
def test_wrong_usage(args: list[str]) -> None:
    assert "usage: " in _crawler(*args, code=2).stderr


@pytest.mark.parametrize(
    "command", ["run", "import", "audit", "split", "stats", "demo", "sample", "share", "publish", "takedown"]
)
def test_help_has_an_example_and_is_quick(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "crawler", command, "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert f"example: python -m crawler {command}" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "infra.cli" in imported
    assert imported.isdisjoint({"torch", "pyarrow", "numpy", "PIL", "boto3"})


def _living(group: int) -> list[str]:
    """The processes of a group that still run; those that only wait to be reaped by init do not count."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state != "Z":
            found.append(status.parent.name)
    return found


def test_ctrl_c_leaves_the_dataset_as_it_was(tmp_path: Path, url: str) -> None:
    _save(tmp_path / "first/real/a.png", 1)
    before = _import(tmp_path / "first", url)
    folder = tmp_path / "set"
    data = _save(tmp_path / "one.png", 5).read_bytes()
    (folder / "real").mkdir(parents=True)
    for n in range(4000):
        (folder / "real" / f"{n}.png").write_bytes(data + bytes([n % 256, n // 256]))
    command = [sys.executable, "-m", "crawler", "import", str(folder), "--into", url, "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(_keys(url)) < 20 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.strip() == "interrupted"
    deadline = time.monotonic() + 10
    while _living(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _living(process.pid) == []
    assert read_manifest(url).hash == before.hash
    names = _keys(url)
    assert 20 <= len(names) < 4000
    assert all(hashlib.sha256(open_storage(url).get(k).strip()).hexdigest() == Path(k).stem for k in names[:50])


def _double_or_die(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def test_a_crash_costs_the_item_that_caused_it() -> None:
    outcomes = dict(map_isolated(_double_or_die, range(12), workers=2))
    assert outcomes == {n: Crashed(n) if n == 7 else 2 * n for n in range(12)}


@pytest.mark.slow
@pytest.mark.skipif(not (FACES / "index.csv").is_file(), reason=f"no faces at {FACES} (set FACES_DIR)")
def test_the_real_faces_import(url: str) -> None:
    started = time.monotonic()
    done = _crawler("import", FACES, "--into", url)
    print(f"{2000 / (time.monotonic() - started):.0f} images/s")
    assert "2000 files listed, 2000 images added" in done.stdout
    manifest = read_manifest(url)
    counts = manifest.counts()
    assert (counts["train", "real", None], counts["val", "real", None], counts["test", "real", None]) == (600, 150, 150)
    assert [counts[split, "fake", "stylegan1"] for split in ("train", "val", "test")] == [600, 150, 150]
    assert counts["ood", "fake", "sd3"] == counts.total() - 1800 == 200
    used: defaultdict[str, set[str]] = defaultdict(set)
    for row in manifest.rows():
        used[row.cluster].add(row.split)
    assert max(len(splits) for splits in used.values()) == 1
    assert "2000 there already" in _crawler("import", FACES, "--into", url).stdout
    assert read_manifest(url).version == 1
