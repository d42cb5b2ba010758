"""What a command line names ▶ the pictures to look at, in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PANEL_SUFFIX = ".panel.png"
STDIN = "-"
# Also those that are refused when they are opened: a photo that is left out without a word would look like a bug.
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm",
    ".heic", ".heif", ".jxl", ".jp2",
})  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One picture to look at. path: as it is shown. error: why it cannot even be tried, or None."""

    path: str
    error: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return "stdin" if self.path == STDIN else Path(self.path).name

    def image(self, max_bytes: int) -> bytes | Path:
        """Where the picture is; standard input is read now, one byte further than allowed at most."""
        return sys.stdin.buffer.read(max_bytes + 1) if self.path == STDIN else Path(self.path)


def find_sources(names: Iterable[str]) -> list[Source]:
    """Files as they are named; of folders every image below, by name, without hidden files and panels made before."""
    return [source for name in names for source in _sources_of(name)]


def _sources_of(name: str) -> Iterator[Source]:
    if name == STDIN or not Path(name).is_dir():
        yield Source(name)
        return
    trouble: list[Source] = []

    def unreadable(error: OSError) -> None:
        trouble.append(Source(str(error.filename), f"this folder cannot be read: {(error.strerror or '').lower()}"))

    found = sorted(_images_below(name, unreadable), key=lambda path: Path(path).parts)
    yield from (Source(path) for path in found)
    yield from trouble
    if not found and not trouble:
        yield Source(name, "there is no image in this folder")


def _images_below(folder: str, unreadable: Callable[[OSError], None]) -> Iterator[str]:
    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for file in files:
            if file.startswith(".") or file.endswith(PANEL_SUFFIX):
                continue
            if Path(file).suffix.lower() in SUFFIXES:
                yield str(Path(parent) / file)
