"""The demo faces: both classes made alike, people kept apart, the same set every time."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from crawler.demo import GENERATOR, DemoFacesError, demo_transform, download_archives, make_demo_faces
from crawler.manifest import Manifest, read_manifest
from infra.storage import open_storage

pytestmark = pytest.mark.slow  # the DCGAN draws for six to thirty seconds

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    try:
        download_archives(folder)
    except DemoFacesError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="session")
def demo(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    faces = make_demo_faces(f"file://{tmp_path_factory.mktemp('demo')}", archives)
    assert faces.made
    return faces.manifest


def test_both_classes_fill_every_split_by_person(demo: Manifest) -> None:
    shares = {"train": 280, "val": 60, "test": 60}
    assert demo.counts() == {
        **{(split, "real", None): count for split, count in shares.items()},
        **{(split, "fake", GENERATOR): count for split, count in shares.items()},
    }
    people: defaultdict[str | None, set[str]] = defaultdict(set)
    for row in demo.rows():
        if row.label == "real":
            people[row.identity].add(row.split)
    assert set(people) == {f"orl-s{n}" for n in range(1, 41)}
    assert all(len(splits) == 1 for splits in people.values())
    assert all(row.licence for row in demo.rows())


def test_the_files_do_not_tell_real_from_fake(demo: Manifest) -> None:
    storage = open_storage(demo.url)
    headers = defaultdict(set)
    for row in demo.rows():
        data = storage.get(row.key)
        # All that comes before the entropy-coded picture: sizes, tables, metadata.
        headers[row.label].add(data[: re.search(rb"\xff\xda", data).start()])
        assert (row.format, row.width, row.height, row.jpeg_quality) == ("jpeg", 64, 64, 90)
    assert headers["real"].isdisjoint(headers["fake"]) is False
    assert len(headers["real"] | headers["fake"]) == 1


def test_a_complete_set_is_left_alone_and_a_damaged_one_made_again_the_same(demo: Manifest, archives: Path) -> None:
    found = make_demo_faces(demo.url, archives=Path("/nowhere"))  # neither archive is needed
    assert (found.made, found.manifest.hash, found.manifest.version) == (False, demo.hash, 1)
    lost = demo.rows()[17].key
    open_storage(demo.url).delete(lost)
    repaired = make_demo_faces(demo.url, archives)
    # Had one file come out otherwise, there would be a version 2 with more images.
    assert (repaired.made, repaired.manifest.version, repaired.manifest.hash) == (True, 1, demo.hash)
    assert open_storage(demo.url).exists(lost)


def test_the_command_writes_samples_of_test(demo: Manifest, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crawler", "demo", "--into", demo.url, "--samples", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "there already" in done.stdout
    stored = {open_storage(demo.url).get(row.key): (row.split, row.label) for row in read_manifest(demo.url).rows()}
    for label in ("real", "fake"):
        assert stored[(tmp_path / f"{label}.jpg").read_bytes()] == ("test", label)


def test_the_transform_is_one_for_all_shapes_and_colours() -> None:
    for picture in (Image.new("L", (92, 112), 80), Image.new("RGB", (64, 64), (9, 90, 200)), Image.new("1", (300, 50))):
        with Image.open(io.BytesIO(demo_transform(picture))) as made:
            assert (made.mode, made.size, made.format) == ("L", (64, 64), "JPEG")


def test_a_wrong_archive_is_not_opened(archives: Path, tmp_path: Path) -> None:
    for path in archives.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(DemoFacesError, match="is not the file it should be"):
        make_demo_faces(f"file://{tmp_path}/demo", tmp_path)


def test_another_dataset_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "set/real").mkdir(parents=True)
    Image.effect_noise((40, 40), 50).save(tmp_path / "set/real/a.png")
    url = f"file://{tmp_path}/data"
    subprocess.run([sys.executable, "-m", "crawler", "import", tmp_path / "set", "--into", url], cwd=ROOT, check=True)
    with pytest.raises(DemoFacesError, match="holds other images"):
        make_demo_faces(url, tmp_path)
