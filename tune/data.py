"""Decode once, train many: a split of a dataset as one memory-mapped array that all trials of a machine share."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crawler.manifest import Manifest, ManifestRow
from infra.errors import UserError
from infra.images import ImageRefused, decode_image
from infra.storage import ObjectNotFound, Storage, open_storage
from model_defs.preprocess import Preprocess

Progress = Callable[[int, int], None]  # (pictures done, pictures in all)


class DataError(UserError):
    """A dataset that cannot be trained on."""


@dataclass(frozen=True)
class Split:
    """One split, ready for any number of trainings.

    pictures: uint8 [N, S, S, C], memory-mapped, read-only. labels: float32 [N], 1 for fake. rows: the manifest's, in
    the same order.
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.float32]
    rows: tuple[ManifestRow, ...]

    def __len__(self) -> int:
        return len(self.rows)


def check_trainable(manifest: Manifest, splits: tuple[str, ...] = ("train", "val")) -> None:
    """Raise DataError unless each of `splits` holds both real and fake images."""
    counts = manifest.counts()
    for split in splits:
        for label in ("real", "fake"):
            if not sum(n for (s, where, _), n in counts.items() if s == split and where == label):
                raise DataError(
                    f"{manifest.url}: the split '{split}' has no {label} images, so nothing can be learned or judged; "
                    f"look with: python -m crawler stats {manifest.url}"
                )


def load_split(
    manifest: Manifest, split: str, preprocess: Preprocess, cache: Path, progress: Progress | None = None
) -> Split:
    """The pictures of a split, decoded now or found in `cache`.

    The cache file is named by the dataset's hash, the split and the preprocessing; it is written under a temporary
    name, and one process at a time decodes. Raises DataError when an image is missing or cannot be decoded.
    """
    rows = tuple(manifest.rows(split))
    if not rows:
        raise DataError(f"{manifest.url}: the split '{split}' is empty")
    name = hashlib.sha256(f"{manifest.hash} {split} {preprocess.model_dump_json()}".encode()).hexdigest()[:20]
    path = cache / f"{split}-{preprocess.image_size}-{preprocess.colour}-{name}.npy"
    if not path.exists():
        with _only_one_process(cache, name):
            if not path.exists():
                _decode_into(path, rows, open_storage(manifest.url), preprocess, progress)
    pictures = np.load(path, mmap_mode="r")
    expected = (len(rows), preprocess.image_size, preprocess.image_size, preprocess.channels)
    if pictures.shape != expected:
        raise DataError(f"the decode cache {path} does not fit its dataset; delete that file and try again")
    labels = np.array([row.label == "fake" for row in rows], dtype=np.float32)
    return Split(pictures, labels, rows)


def _decode_into(
    path: Path, rows: tuple[ManifestRow, ...], storage: Storage, preprocess: Preprocess, progress: Progress | None
) -> None:
    shape = (len(rows), preprocess.image_size, preprocess.image_size, preprocess.channels)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    try:
        pictures = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        # Threads: Pillow releases the interpreter lock while it decodes and resamples.
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for number, picture in enumerate(pool.map(lambda row: _decode(row, storage, preprocess), rows)):
                pictures[number] = picture
                if progress is not None:
                    progress(number + 1, len(rows))
        pictures.flush()
        del pictures
        Path(temporary).rename(path)
    except OSError as error:
        raise DataError(f"the decode cache in {path.parent} cannot be written: {error.strerror or error}") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _decode(row: ManifestRow, storage: Storage, preprocess: Preprocess) -> NDArray[np.uint8]:
    try:
        return preprocess.fit_image(decode_image(storage.get(row.key)).rgb)
    except (ObjectNotFound, ImageRefused) as error:
        raise DataError(f"{storage.url}: image {row.key} of the manifest is unusable ({error}); import again") from None


@contextmanager
def _only_one_process(cache: Path, name: str) -> Iterator[None]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise DataError(f"the decode cache {cache} cannot be used: {error.strerror or error}") from None
