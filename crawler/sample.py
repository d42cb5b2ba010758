"""One image copied out of a dataset."""

from __future__ import annotations

import os
from pathlib import Path

from crawler.manifest import read_manifest
from infra.errors import UserError
from infra.storage import open_storage


def write_sample(url: str, split: str, label: str, number: int, out: Path) -> Path:
    """Write the original bytes of the `number`-th image (from 0, by sha256) of `split` and `label` to `out`.

    Raises UserError where there is no such image or the file cannot be written.
    """
    rows = [row for row in read_manifest(url).rows(split) if row.label == label]
    if not 0 <= number < len(rows):
        raise UserError(f"{url} has {len(rows)} {label} images in {split}, so no number {number} (they count from 0)")
    data = open_storage(url).get(rows[number].key)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = out.with_name(f".{out.name}.{os.getpid()}")
        unfinished.write_bytes(data)
        unfinished.replace(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from None
    return out
