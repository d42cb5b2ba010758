"""The pictures of python -m crawler stats: nothing cut off, nothing hidden, whatever the dataset is like."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from crawler.contact_sheet import COLUMNS, MAX_ROWS, contact_sheet
from crawler.distributions import distributions
from crawler.manifest import Manifest, ManifestRow, table_of, write_manifest
from crawler.stats import dataset_stats
from infra.storage import open_storage
from tests.test_publish import make_faces

ROOT = Path(__file__).parents[1]
BLUE, ORANGE, MATTE = (0, 114, 178), (213, 94, 0), (225, 225, 225)


@pytest.fixture(autouse=True)
def _no_warnings() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/data"


def _pixels(png: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    pixels = np.asarray(picture.convert("RGB"))
    # nothing is cut off: the outermost pixels are background
    assert all((edge == 255).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    return pixels


def _count(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((pixels == colour).all(axis=2).sum())


def _rows(count: int, **columns: object) -> list[ManifestRow]:
    """Rows without objects: `columns` are values, or functions of the row's number."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        sha256 = rng.bytes(32).hex()
        row = ManifestRow(
            sha256=sha256, key=f"images/{sha256[:2]}/{sha256}.jpg", label="fake" if number % 2 else "real",
            generator=None, source="s", split="train", cluster=sha256[:16], width=64, height=64, format="jpeg",
            bytes=5000 + number, phash="0" * 16, jpeg_quality=75,
        )  # fmt: skip
        rows.append(replace(row, **{name: cell(number) if callable(cell) else cell for name, cell in columns.items()}))
    return rows


def _manifest(url: str, rows: list[ManifestRow]) -> Manifest:
    return write_manifest(url, table_of(rows))


def test_the_command_draws_both(url: str, tmp_path: Path) -> None:
    make_faces(url)
    command = [sys.executable, "-m", "crawler", "stats", url, "--out", str(tmp_path / "looks"), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    pictures = json.loads(done.stdout)["pictures"]
    assert pictures == [str(tmp_path / "looks" / name) for name in ("contact-sheet.png", "distributions.png")]
    for path in pictures:
        _pixels(Path(path).read_bytes())


def test_a_sheet_shows_every_group_in_its_frame(url: str) -> None:
    manifest = make_faces(url, 60)
    sheet = _pixels(contact_sheet(manifest))
    rows = len(manifest.counts())
    assert rows == 6
    assert 156 * rows < sheet.shape[0] < 156 * rows + 100
    tops = [76 + 156 * n for n in range(rows)]
    for number, top in enumerate(tops):
        first = sheet[top : top + 144, 250 : 250 + 144]
        real = _count(first, BLUE)
        fake = _count(first, ORANGE)
        assert (real > 2000 and fake == 0) if number < 3 else (fake > 1000 and real == 0)
        # The picture itself is there: noise of many colours.
        assert len(np.unique(first[20:-20, 20:-20].reshape(-1, 3), axis=0)) > 100


def test_the_seed_decides(url: str) -> None:
    manifest = make_faces(url, 120)
    assert contact_sheet(manifest, seed=1) == contact_sheet(manifest, seed=1)
    assert contact_sheet(manifest, seed=1) != contact_sheet(manifest, seed=2)


def test_missing_and_broken_objects_are_grey_tiles(url: str) -> None:
    manifest = make_faces(url, 6)
    whole = _pixels(contact_sheet(manifest))
    storage = open_storage(url)
    for row in manifest.rows():
        storage.delete(row.key)
    gone = _pixels(contact_sheet(manifest))
    assert gone.shape == whole.shape
    assert _count(gone, MATTE) > _count(whole, MATTE) + 6 * 10_000
    storage.put(manifest.rows()[0].key, b"not an image")
    assert not np.array_equal(_pixels(contact_sheet(manifest)), gone)  # "unreadable" is not "missing"


def test_many_groups_are_taken_together_and_counted(url: str) -> None:
    rows = _rows(400, label="fake", generator=lambda n: f"g{n % 70}", split=lambda n: ("train", "val")[n % 2])
    sheet = _pixels(contact_sheet(_manifest(url, rows)))
    assert sheet.shape[0] < 76 + 156 * MAX_ROWS + 100


@pytest.mark.parametrize("count", [0, 1])
def test_nearly_nothing(url: str, count: int) -> None:
    manifest = _manifest(url, _rows(count))
    _pixels(contact_sheet(manifest))
    _pixels(distributions(manifest))
    assert dataset_stats(manifest)["images"] == count


@pytest.mark.parametrize(
    "columns",
    [
        {"generator": lambda n: "a name that is much too long for any picture of this size" if n % 2 else None},
        {"generator": lambda n: f"g{n}" if n % 2 else None},
        {"generator": "$\\frac{odd$ \x00 名"},
        {"format": "png", "jpeg_quality": None},
        {"jpeg_quality": lambda n: 1 + n % 100, "width": lambda n: 1 + 37 * n, "height": lambda n: 20_000 - 9 * n},
        {"bytes": lambda n: 1 + n**3},
        {"label": "real"},
        {"format": lambda n: f"format{n % 12}"},
    ],
)
def test_distributions_of_odd_datasets(url: str, columns: dict[str, object]) -> None:
    rows = _rows(120, **columns)
    if "generator" in columns and isinstance(columns["generator"], str):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")  # a name in letters that the font lacks
            _pixels(distributions(_manifest(url, rows)))
    else:
        pixels = _pixels(distributions(_manifest(url, rows)))
        assert pixels.shape[1] == 900
    _pixels(contact_sheet(_manifest(url, rows)))


def test_real_and_fake_are_drawn_apart(url: str) -> None:
    both = _pixels(distributions(_manifest(url, _rows(100))))
    assert _count(both, BLUE) > 5000
    assert _count(both, ORANGE) > 5000
    real = _pixels(distributions(_manifest(url, _rows(100, label="real"))))
    assert _count(real, ORANGE) == 0


def test_a_hundred_thousand_rows(url: str) -> None:
    rows = _rows(5_000)
    table = table_of(rows)
    big = replace(_manifest(url, rows), table=pa.concat_tables([table] * 20))
    sheet = _pixels(contact_sheet(big))
    assert sheet.shape[0] < 500
    assert COLUMNS == 8
    _pixels(distributions(big))
    assert dataset_stats(big)["images"] == 100_000
