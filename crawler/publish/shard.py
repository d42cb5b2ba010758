"""One shard: a plain ustar archive, for each image its original bytes and its row of the manifest as JSON.

    <sha256>.<ext>     the bytes that were fetched
    <sha256>.json      the row: one JSON object with the manifest's columns, compact, UTF-8, a line feed at the end

The archive depends on nothing but the rows: no owner, no date, mode 0644, members in the order of the rows.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, cast

from crawler.manifest import SCHEMA, ManifestError, ManifestRow

_BLOCK = 512  # of a tar archive
_RECORD = 20 * _BLOCK  # an archive's length is a multiple of it
OVERHEAD = _RECORD + 2 * _BLOCK  # the most that an archive is longer than what its images take


@dataclass(frozen=True)
class Written:
    """A finished archive."""

    sha256: str
    bytes: int


def row_json(row: ManifestRow) -> bytes:
    """What lies beside an image in its shard; :func:`row_of_json` is the way back."""
    cells = {name: getattr(row, name) for name in SCHEMA.names}
    text = json.dumps(cells, default=datetime.isoformat, ensure_ascii=False, separators=(",", ":"))
    return f"{text}\n".encode()


def row_of_json(data: bytes) -> ManifestRow:
    """The row of the manifest that :func:`row_json` wrote. Raises ManifestError where it is none."""
    try:
        cells: dict[str, Any] = json.loads(data)
        if cells["fetched_at"] is not None:
            cells["fetched_at"] = datetime.fromisoformat(cells["fetched_at"])
        frozen: dict[str, Any] = {n: tuple(cell) if isinstance(cell, list) else cell for n, cell in cells.items()}
        return ManifestRow(**frozen)
    except (ValueError, TypeError, KeyError) as error:
        raise ManifestError(f"this is not a row of a manifest in JSON: {error!r}") from None


def member_name(row: ManifestRow) -> str:
    """The name of an image in its shard."""
    return row.key.rpartition("/")[2]


def space_in_shard(row: ManifestRow, json_bytes: int) -> int:
    """The bytes that an image and its row take in an archive."""
    return 2 * _BLOCK + _padded(row.bytes, _BLOCK) + _padded(json_bytes, _BLOCK)


def shard_bytes(space: int) -> int:
    """The length of an archive whose images take `space` bytes."""
    return _padded(space + 2 * _BLOCK, _RECORD)


def write_shard(file: BinaryIO, images: Iterable[tuple[ManifestRow, bytes]]) -> Written:
    """Write the archive of `images` (each with its original bytes) to `file`, holding one image at a time."""
    sink = _Hashing(file)
    with tarfile.open(fileobj=cast(BinaryIO, sink), mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for row, data in images:
            _add(archive, member_name(row), data)
            _add(archive, f"{row.sha256}.json", row_json(row))
    return Written(sink.digest.hexdigest(), sink.bytes)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # no owner, the date 0, mode 0644
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


class _Hashing:
    """A file to write to that knows the sha256 and the length of what went through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.bytes


def _padded(length: int, unit: int) -> int:
    return -(-length // unit) * unit
