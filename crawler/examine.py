"""One file ▶ what the manifest says of its picture, or the reason why it cannot be used."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import numpy as np

from crawler.faces import Box, find_faces, load_detector
from crawler.facts import Checks, ImageFacts, Refusal
from crawler.fingerprint import perceptual_hash, sha256_hex
from crawler.markers import find_ai_markers
from infra.allocator import keep_freed_memory
from infra.images import MAX_BYTES, GreyPicture, ImageRefused, decode_grey

_KEPT_BYTES = 32 * 2**20  # the pixels of all but very large pictures
_NO_CHECKS = Checks()


class NoFace(ImageRefused):
    """A face was asked for, and none was found."""


class SeveralFaces(ImageRefused):
    """One face was asked for, and several were found."""


class FaceTooSmall(ImageRefused):
    """The face takes too little of the picture."""


class ImageTooSmall(ImageRefused):
    """A side is shorter than asked for."""


def examine(data: bytes, checks: Checks = _NO_CHECKS) -> ImageFacts:
    """The facts about the image in `data`. Raises ImageRefused."""
    picture = decode_grey(data, max_bytes=checks.max_bytes or MAX_BYTES)
    if min(picture.width, picture.height) < checks.min_side:
        raise ImageTooSmall(
            f"{picture.width} × {picture.height} pixels; each side must have at least {checks.min_side}"
        )
    face = _only_face(picture, checks.min_face) if checks.one_face else None
    return ImageFacts(
        sha256=sha256_hex(data),
        width=picture.width,
        height=picture.height,
        format=picture.format,
        bytes=len(data),
        phash=perceptual_hash(picture.image),
        jpeg_quality=picture.jpeg_quality,
        ai_markers=find_ai_markers(data),
        faces=1 if face else None,
        face_box=face,
    )


def examine_bytes(data: bytes, checks: Checks = _NO_CHECKS) -> ImageFacts | Refusal:
    """The same, with a refusal as a value: never raises for what the bytes are."""
    try:
        return examine(data, checks)
    except ImageRefused as error:
        return Refusal(_in_words(type(error).__name__), str(error))
    except MemoryError:
        return Refusal("image too large", "decoding it takes more memory than there is")


def examine_file(path: Path, checks: Checks = _NO_CHECKS) -> ImageFacts | Refusal:
    """The same for the image file at `path`."""
    try:
        return _unfit(path.stat(), checks.max_bytes or MAX_BYTES) or examine_bytes(path.read_bytes(), checks)
    except FileNotFoundError:
        return Refusal("missing", "the file is not there")
    except OSError as error:
        return Refusal("unreadable", error.strerror or str(error))


def prepare_process(checks: Checks) -> None:
    """Make this process fit for many calls of `examine`. Raises FaceDetectorMissing."""
    keep_freed_memory(_KEPT_BYTES)
    if checks.one_face:
        load_detector()


def _only_face(picture: GreyPicture, min_face: float) -> Box:
    faces = find_faces(np.asarray(picture.image))
    if not faces:
        raise NoFace("no face was found in it")
    if len(faces) > 1:
        raise SeveralFaces(f"{len(faces)} faces were found in it")
    share = faces[0][3] / min(picture.width, picture.height)
    if share < min_face:
        raise FaceTooSmall(f"the face takes {share:.0%} of the shorter side; it must take at least {min_face:.0%}")
    return faces[0]


def _in_words(class_name: str) -> str:
    """`TruncatedImage` ▶ `truncated image`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", class_name).lower()


def _unfit(status: os.stat_result, max_bytes: int) -> Refusal | None:
    # Before reading: a pipe would wait for ever, and a film beside the images would fill the memory.
    if not stat.S_ISREG(status.st_mode):
        return Refusal("not a file", "neither a file nor a link to one")
    if status.st_size > max_bytes:
        return Refusal("image too large", f"{status.st_size:,} bytes, more than the {max_bytes:,} allowed")
    return None
