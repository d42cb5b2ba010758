"""Datasets with a shortcut of one's choice: pictures of one kind under both labels, files of two."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crawler.examine import examine
from crawler.manifest import Manifest, ManifestRow, table_of, write_manifest
from infra.storage import open_storage


@dataclass(frozen=True)
class File:
    """One image as a site would serve it."""

    label: str
    data: bytes
    generator: str | None = None
    split: str = "train"
    identity: str | None = None
    source: str = "test"


def picture(number: int, side: int = 48, height: int | None = None) -> NDArray[np.uint8]:
    """uint8 [height or side, side, 3]: soft blobs with a little noise, unlike any other number's."""
    rng = np.random.default_rng(number)
    size = (side, height or side)
    blobs = Image.fromarray(rng.integers(30, 225, (7, 7, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(blobs) + rng.normal(0, 3, (size[1], size[0], 3)), 0, 255).astype(np.uint8)


def encoded(rgb: NDArray[np.uint8], name: str = "JPEG", **options: Any) -> bytes:
    """The bytes that Pillow writes."""
    if name == "JPEG":
        options = {"quality": 85, **options}
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, name, **options)
    return buffer.getvalue()


def write_dataset(folder: Path | str, files: Iterable[File]) -> Manifest:
    """The files as a dataset, each in a cluster of its own unless it has an identity."""
    storage = open_storage(str(folder))
    rows = []
    for file in files:
        facts = examine(file.data)
        storage.put(facts.key, file.data)
        rows.append(
            ManifestRow(
                sha256=facts.sha256, key=facts.key, label=file.label, generator=file.generator, source=file.source,
                split=file.split, cluster=facts.sha256[:16], width=facts.width, height=facts.height,
                format=facts.format, bytes=facts.bytes, phash=facts.phash, jpeg_quality=facts.jpeg_quality,
                ai_markers=facts.ai_markers, identity=file.identity,
                url=f"https://{file.source}.example/{hashlib.sha256(file.data).hexdigest()[:8]}",
                licence="CC0", author="nobody",
            )
        )  # fmt: skip
    return write_manifest(str(folder), table_of(rows))


def fair_files(count: int, first: int = 0, side: int = 48, **of_fakes: Any) -> list[File]:
    """`count` reals and as many fakes, the files of one encoder; of_fakes: fields of the fakes' :class:`File`."""
    reals = [File("real", encoded(picture(first + n, side))) for n in range(count)]
    fakes = [File("fake", encoded(picture(first + count + n, side)), **of_fakes) for n in range(count)]
    return reals + fakes
