"""Fingerprints: the same picture is found again, different ones stay apart, plain ones tie nothing together."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crawler.fingerprint import (
    FLAT,
    MAX_DISTANCE,
    hamming,
    near_duplicate_clusters,
    perceptual_hash,
    sha256_hex,
)

FACES = Path(os.environ.get("FACES_DIR", Path(__file__).parents[2] / "shared" / "data" / "faces"))
needs_faces = pytest.mark.skipif(not (FACES / "index.csv").is_file(), reason=f"no faces at {FACES} (set FACES_DIR)")


def _recompressed(picture: Image.Image, quality: int) -> Image.Image:
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=quality)
    return Image.open(encoded).convert("RGB")


def _resized(picture: Image.Image, width: int) -> Image.Image:
    return picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.BICUBIC)


_CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "q50": lambda picture: _recompressed(picture, 50),
    "q30": lambda picture: _recompressed(picture, 30),
    "half": lambda picture: _resized(picture, picture.width // 2),
    "half q50": lambda picture: _recompressed(_resized(picture, picture.width // 2), 50),
    "larger": lambda picture: _resized(picture, picture.width * 3 // 2),
    "64 px": lambda picture: _resized(picture, 64),
}


def _hash(picture: Image.Image) -> str:
    return perceptual_hash(picture.convert("L"))


@needs_faces
@pytest.mark.parametrize("change", _CHANGES)
def test_the_same_face_changed_is_near(change: str) -> None:
    paths = sorted((FACES / "real").rglob("*.jpg"))[:60] + sorted((FACES / "fake").rglob("*.jpg"))[::40]
    missed = []
    for path in paths:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        if hamming(_hash(picture), _hash(_CHANGES[change](picture))) > MAX_DISTANCE:
            missed.append(path.name)
    assert missed == []


@needs_faces
def test_different_faces_are_apart() -> None:
    paths = sorted((FACES / "real").rglob("*.jpg"))[:400] + sorted((FACES / "fake").rglob("*.jpg"))[:400]
    hashes = []
    for path in paths:
        with Image.open(path) as picture:
            hashes.append(_hash(picture))
    clusters = near_duplicate_clusters([sha256_hex(p.name.encode()) for p in paths], hashes)
    # One pair of the 319,600 may look alike; each further one would cost a cluster.
    assert len(set(clusters)) >= len(paths) - 1


_hashes = st.integers(1, 2**64 - 1).map(lambda n: f"{n:016x}")


@given(st.lists(_hashes, max_size=40), st.integers(0, 12), st.data())
def test_clusters_are_what_comparing_all_pairs_gives(
    distinct: list[str], max_distance: int, data: st.DataObject
) -> None:
    # Neighbours of the drawn hashes, or near pairs would be too rare to test anything.
    near = [
        f"{(int(h, 16) ^ sum(1 << b for b in data.draw(st.sets(st.integers(0, 63), max_size=14)))) or 1:016x}"
        for h in distinct[:10]
    ]
    hashes = distinct + near
    names = [sha256_hex(str(i).encode()) for i in range(len(hashes))]
    groups = [{i} for i in range(len(hashes))]
    for i, first in enumerate(hashes):
        for j in range(i):
            if hamming(first, hashes[j]) <= max_distance and groups[i] is not groups[j]:
                groups[i] |= groups[j]
                for k in groups[j]:
                    groups[k] = groups[i]
    expected = [min(names[k] for k in group)[:16] for group in groups]
    assert near_duplicate_clusters(names, hashes, max_distance) == expected


def _solid(level: int, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    return np.full((*size, 3), level, dtype=np.uint8)


def test_plain_pictures_tie_nothing_together() -> None:
    rng = np.random.default_rng(0)
    grain = (128 + rng.integers(-1, 2, (256, 256, 3))).astype(np.uint8)
    sweep = np.repeat(np.linspace(0, 255, 300)[None, :, None], 200, 0).repeat(3, 2).astype(np.uint8)
    plain = [_solid(0), _solid(255), _solid(90, (1, 1)), _solid(7, (3, 900)), grain, sweep]
    assert [_hash(Image.fromarray(picture)) for picture in plain] == [FLAT] * len(plain)
    names = [sha256_hex(bytes([i])) for i in range(len(plain))]
    assert len(set(near_duplicate_clusters(names, [FLAT] * len(plain)))) == len(plain)


def test_a_picture_of_any_shape_has_a_hash_that_cannot_be_flat() -> None:
    rng = np.random.default_rng(1)
    for shape in [(480, 640, 3), (31, 97, 3), (2000, 40, 3)]:
        blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(blocks).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
        assert int(_hash(picture), 16).bit_count() == 32


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 48), "33e047b225dcbde0"),
        ((512, 512), "33e047b324dcbc4e"),
        ((33, 1000), "33e046b324dcbc8f"),
    ],
)
def test_a_hash_once_stored_stays_the_same(size: tuple[int, int], expected: str) -> None:
    blocks = np.random.default_rng(7).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(blocks).resize(size, Image.Resampling.BILINEAR)
    assert _hash(picture) == expected


@pytest.mark.timeout(60)
def test_a_hundred_thousand_hashes_take_seconds() -> None:
    rng = np.random.default_rng(2)
    bits = np.argsort(rng.random((100_000, 64)), axis=1) < 32
    hashes = [row.tobytes().hex() for row in np.packbits(bits, axis=1)]
    names = [sha256_hex(str(i).encode()) for i in range(len(hashes))]
    assert len(set(near_duplicate_clusters(names, hashes))) > 99_990
