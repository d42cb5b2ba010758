"""Decode once, train many: a split of a dataset as one memory-mapped array that all trials of a machine share."""

from __future__ import annotations

import fcntl
import hashlib
import os
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
from infra.progress import progress
from infra.storage import ObjectNotFound, Storage, open_storage
from model_defs.preprocess import Preprocess

Progress = Callable[[int, int], None]  # (pictures done, pictures in all)

# Raise it when the same file would be decoded or fitted into other pixels: caches of before are then left alone.
_FORMAT = 1


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
    for split in splits:
        for label in ("real", "fake"):
            if not manifest.count(split, label):
                raise DataError(
                    f"{manifest.url}: the split '{split}' has no {label} images, so nothing can be learned or judged; "
                    f"look with: python -m crawler stats {manifest.url}"
                )


def load_split(
    manifest: Manifest, split: str, preprocess: Preprocess, cache: Path, progress: Progress | None = None
) -> Split:
    """The pictures of a split, decoded now or found in `cache`.

    The cache file is named by the dataset's hash, the split and the preprocessing (but for the normalisation, which
    comes later); it is written under a temporary name, and one process at a time decodes. Raises DataError when an
    image is missing or cannot be decoded, or when the cache cannot be written or read.
    """
    rows = tuple(manifest.rows(split))
    if not rows:
        raise DataError(f"{manifest.url}: the split '{split}' is empty")
    fitting = preprocess.model_dump_json(exclude={"mean", "std"})
    name = hashlib.sha256(f"{_FORMAT} {manifest.hash} {split} {fitting}".encode()).hexdigest()[:20]
    path = cache / f"{split}-{preprocess.image_size}-{preprocess.colour}-{name}.npy"
    if not path.exists():
        with _only_one_process(cache, name):
            if not path.exists():
                _decode_into(path, rows, open_storage(manifest.url), preprocess, progress)
    pictures = _open_cache(path)
    if pictures.shape != _shape(rows, preprocess) or pictures.dtype != np.uint8:
        raise DataError(f"the decode cache {path} does not fit its dataset; delete that file and try again")
    labels = np.array([row.label == "fake" for row in rows], dtype=np.float32)
    return Split(pictures, labels, rows)


def load_split_shown(manifest: Manifest, split: str, preprocess: Preprocess, cache: Path) -> Split:
    """`load_split`, with a progress bar or lines while it decodes."""
    with progress(f"decoding '{split}'", manifest.count(split)) as advance:
        return load_split(manifest, split, preprocess, cache, lambda _done, _total: advance())


def _decode_into(
    path: Path, rows: tuple[ManifestRow, ...], storage: Storage, preprocess: Preprocess, progress: Progress | None
) -> None:
    temporary = path.with_name(f".{path.stem}.tmp")  # one process writes, so what a killed one left is overwritten
    header = {"descr": "|u1", "fortran_order": False, "shape": _shape(rows, preprocess)}
    try:
        # Written, not memory-mapped: on a full disk a write fails where a mapping kills the process.
        with temporary.open("wb") as file, ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            np.lib.format.write_array_header_2_0(file, header)
            # Threads: Pillow releases the interpreter lock while it decodes and resamples.
            for number, picture in enumerate(pool.map(lambda row: _decode(row, storage, preprocess), rows), start=1):
                file.write(picture.tobytes())
                if progress is not None:
                    progress(number, len(rows))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _open_cache(path: Path) -> NDArray[np.uint8]:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except PermissionError:
        raise DataError(f"the decode cache {path} may not be read: permission denied") from None
    except (OSError, ValueError) as error:
        raise DataError(f"the decode cache {path} is damaged ({error}); delete that file and try again") from None


def _shape(rows: tuple[ManifestRow, ...], preprocess: Preprocess) -> tuple[int, ...]:
    return (len(rows), preprocess.image_size, preprocess.image_size, preprocess.channels)


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
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"the decode cache {cache} cannot be written: {reason}; choose another folder for it") from None
