"""The pictures that the crawl benchmark downloads: different JPEG files of quality 85, made once and kept on disk."""

from __future__ import annotations

import functools
import multiprocessing
import tempfile
from pathlib import Path

QUALITY = 85


def picture_folder(count: int, side: int, cache: Path | None = None) -> Path:
    """A folder whose `00000.jpg` … are `count` different pictures of `side` × `side` pixels; makes what is missing."""
    folder = (cache or Path(tempfile.gettempdir()) / "faces-crawl-benchmark") / f"{side}"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(count) if not (folder / name_of(number)).is_file()]
    if missing:
        with multiprocessing.Pool() as pool:
            pool.map(functools.partial(_make, folder=folder, side=side), missing, chunksize=50)
    return folder


def name_of(number: int) -> str:
    """The file name of picture `number`."""
    return f"{number:05d}.jpg"


def _make(number: int, folder: Path, side: int) -> None:
    # Soft colours, structure of four pixels and grain: as many bytes and as much work to decode as a portrait.
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng([side, number])

    def layer(cells: int, spread: float, channels: int) -> np.ndarray:
        noise = np.clip(rng.normal(128, spread, (cells, cells, channels)), 0, 255).astype(np.uint8)
        image = Image.fromarray(noise if channels == 3 else noise[..., 0])
        scaled = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32) - 128
        return scaled if channels == 3 else scaled[..., None]

    colours = 128 + layer(4, 60, 3) + layer(side // 4, 18, 3)
    grain = rng.standard_normal((side, side, 1), dtype=np.float32) * 3.5
    picture = Image.fromarray(np.clip(colours + grain, 0, 255).astype(np.uint8))
    unfinished = folder / f"{number:05d}.part"
    picture.save(unfinished, "JPEG", quality=QUALITY)
    unfinished.replace(folder / name_of(number))
