"""The one-face check: real faces are found, other pictures are not taken for one."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crawler.decoders import DecoderPool
from crawler.examine import examine, examine_bytes
from crawler.faces import detector_available, find_faces
from crawler.facts import Checks, ImageFacts, Refusal

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not detector_available(), reason="OpenCV 4 with its cascades is not installed")


def rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def grey(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("L"))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def landscape(number: int, side: int = 256) -> np.ndarray:
    """Fractal noise below, haze above: uint8 [256, 256, 3]."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    frequency[0, 0] = 1
    noise = np.random.default_rng(number).normal(size=(side, side))
    ground = np.real(np.fft.ifft2(np.fft.fft2(noise) / frequency**1.2))
    ground = (ground - ground.mean()) / ground.std() * 45 + 128
    ground[: side // 2] = ground[: side // 2] * 0.4 + 130
    return np.repeat(np.clip(ground, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_most_faces_are_found_once(faces_dir: Path) -> None:
    paths = sorted((faces_dir / "real").rglob("*.jpg"))[::36] + sorted((faces_dir / "fake").rglob("*.jpg"))[::60]
    counts = [len(find_faces(grey(rgb(path)))) for path in paths]
    assert counts.count(1) >= 0.85 * len(paths)  # of FFHQ 93%, of generated faces all
    assert max(counts) == 1


def test_nothing_is_taken_for_a_face() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(10)]
    pictures += [landscape(number) for number in range(10)]
    pictures += [np.full((1, 1, 3), 7, np.uint8), np.full((2, 900, 3), 90, np.uint8), np.zeros((300, 200, 3), np.uint8)]
    assert [find_faces(grey(picture)) for picture in pictures] == [[]] * len(pictures)


def test_the_box_lies_on_the_face(faces_dir: Path) -> None:
    face = rgb(sorted((faces_dir / "real").rglob("*.jpg"))[1])
    alone = find_faces(grey(face))[0]
    canvas = np.full((700, 900, 3), 128, np.uint8)
    canvas[300:556, 500:756] = face  # FFHQ is aligned: the face is in the middle of its 256 pixels
    ((left, top, width, height),) = find_faces(grey(canvas))
    assert abs(left + width / 2 - (500 + 128)) < 30
    assert abs(top + height / 2 - (300 + 128)) < 45
    assert 0.6 < width / alone[2] < 1.6


def test_one_face_is_asked_for(faces_dir: Path) -> None:
    face = rgb(sorted((faces_dir / "real").rglob("*.jpg"))[1])
    lone = np.full((700, 900, 3), 128, np.uint8)
    lone[300:556, 500:756] = face
    files = [png(face), png(landscape(1)), png(np.concatenate([face, face], axis=1)), png(lone)]
    checks = Checks(one_face=True, min_face=0.5)
    facts, *refused = [examine_bytes(data, checks) for data in files]
    assert isinstance(facts, ImageFacts)
    assert (facts.faces, facts.face_box) == (1, find_faces(grey(face))[0])
    assert [refusal.reason for refusal in refused if isinstance(refusal, Refusal)] == [
        "no face", "several faces", "face too small",
    ]  # fmt: skip
    assert examine(files[0]).faces is None

    async def run() -> list[ImageFacts | Refusal]:
        async with DecoderPool(checks, workers=1) as pool:
            return await asyncio.gather(*map(pool.examine, files))

    assert asyncio.run(run()) == [facts, *refused]


def test_without_opencv_it_is_one_line() -> None:
    """The same in an interpreter that has none: asked for, it is refused on entering, with what to do."""
    script = """
import asyncio, sys
sys.modules["cv2"] = None  # as if it were not installed
import importlib.util
importlib.util.find_spec = lambda name, package=None: None
from crawler import faces
from crawler.examine import prepare_process
from crawler.facts import Checks
assert not faces.detector_available()
prepare_process(Checks())
try:
    prepare_process(Checks(one_face=True))
except faces.FaceDetectorMissing as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install 'opencv-python-headless<5', or set one_face: false" in done.stdout
