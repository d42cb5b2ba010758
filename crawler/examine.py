"""One file ▶ what the manifest says of its picture, or the reason why it cannot be used."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from crawler.fingerprint import perceptual_hash, sha256_hex
from crawler.markers import find_ai_markers
from infra.images import MAX_BYTES, ImageRefused, decode_image

_EXTENSIONS = {"jpeg": "jpg", "tiff": "tif"}


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the bytes of an image say; the fields are columns of the manifest."""

    sha256: str
    width: int
    height: int
    format: str
    bytes: int
    phash: str
    jpeg_quality: int | None
    ai_markers: tuple[str, ...]

    @property
    def key(self) -> str:
        """Where the original bytes lie in the object store: `images/ab/<sha256>.<ext>`."""
        extension = _EXTENSIONS.get(self.format, self.format)
        return f"images/{self.sha256[:2]}/{self.sha256}.{extension}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not in the dataset. `reason` is a short phrase to count by, `detail` is for the person."""

    reason: str
    detail: str


def examine(data: bytes) -> ImageFacts:
    """The facts about the image in `data`. Raises ImageRefused."""
    image = decode_image(data)
    return ImageFacts(
        sha256=sha256_hex(data),
        width=image.width,
        height=image.height,
        format=image.format,
        bytes=len(data),
        phash=perceptual_hash(image.rgb),
        jpeg_quality=image.jpeg_quality,
        ai_markers=find_ai_markers(data),
    )


def examine_file(path: Path) -> ImageFacts | Refusal:
    """The facts about the image file at `path`, or why there are none; never raises for what is in the file."""
    try:
        return _unfit(path.stat()) or examine(path.read_bytes())
    except ImageRefused as error:
        return Refusal(_in_words(type(error).__name__), str(error))
    except FileNotFoundError:
        return Refusal("missing", "the file is not there")
    except OSError as error:
        return Refusal("unreadable", error.strerror or str(error))
    except MemoryError:
        return Refusal("image too large", "decoding it takes more memory than there is")


def _in_words(class_name: str) -> str:
    """`TruncatedImage` ▶ `truncated image`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", class_name).lower()


def _unfit(status: os.stat_result) -> Refusal | None:
    # Before reading: a pipe would wait for ever, and a film beside the images would fill the memory.
    if not stat.S_ISREG(status.st_mode):
        return Refusal("not a file", "neither a file nor a link to one")
    if status.st_size > MAX_BYTES:
        return Refusal("image too large", f"{status.st_size:,} bytes, more than the {MAX_BYTES:,} allowed")
    return None
