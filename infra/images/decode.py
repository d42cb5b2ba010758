"""Bytes ▶ checked, decoded, turned the right way up.

Order matters: bytes, then what the first ones claim, then the size in the header, and only then a pixel is decoded.
"""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.images import signatures
from infra.images.jpeg import estimated_quality
from infra.images.pixels import has_alpha, to_rgb
from infra.images.refusals import (
    AnimatedImage,
    DecoderFailed,
    ImageRefused,
    ImageTooLarge,
    NotAnImage,
    TruncatedImage,
    UnreadableFile,
    UnsupportedImage,
)

MAX_BYTES = 32 * 2**20
MAX_PIXELS = 64_000_000  # a 64-megapixel phone photo; 192 MB as RGB
MAX_SIDE = 20_000
MAX_JPEG_SCANS = 100  # encoders write about ten; a bomb writes thousands, each as dear as a whole decode

# Pillow warns of odd metadata, which does not matter here, and of large sizes, which are checked below. Filtered once:
# `catch_warnings` round each call would not be safe among threads.
warnings.filterwarnings("ignore", module=r"PIL\.")

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class DecodedImage:
    """One picture, the right way up."""

    rgb: NDArray[np.uint8]  # [H, W, 3], contiguous; transparent pixels composited on white
    format: str  # "jpeg", "png", "webp", "avif", "gif", "bmp", "tiff", "ppm"; "heif" where Pillow has a plug-in for it
    width: int  # after the turn that the file's orientation asks for
    height: int
    original_bytes: int  # length of the file
    jpeg_quality: int | None  # estimated from the quantisation tables, 1 … 100; None unless a JPEG
    has_alpha: bool  # whether the file could be transparent somewhere


@dataclass(frozen=True)
class GreyPicture:
    """One picture the right way up, its brightness only, still Pillow's: saves copies of all pixels."""

    image: Image.Image  # mode L
    format: str
    width: int
    height: int
    jpeg_quality: int | None


def decode_image(
    data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: float = MAX_PIXELS, max_side: int = MAX_SIDE
) -> DecodedImage:
    """Decode one still picture: JPEG (MPO: its first picture), PNG, WebP, AVIF, GIF, BMP, TIFF or PPM/PGM.

    16-bit samples keep their high byte, transparency is composited on white, EXIF orientation is applied (one that
    cannot be read is ignored), colour profiles are not applied. Raises a subclass of ImageRefused, and nothing else.
    """
    with _refusing(data, max_bytes) as name, _loaded(data, name, max_pixels, max_side) as (image, quality):
        alpha = has_alpha(image)
        rgb = np.array(_upright(image, to_rgb(image, _spoken(name)), name))
        height, width = rgb.shape[:2]
        return DecodedImage(rgb, name.lower(), width, height, len(data), quality, alpha)


def decode_grey(
    data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: float = MAX_PIXELS, max_side: int = MAX_SIDE
) -> GreyPicture:
    """As :func:`decode_image`, for those who need no colours: of a JPEG the luma that is in the file.

    The whole file is read and decoded all the same; what is not done is to make red, green and blue of it (half of the
    time), so the values may differ by one from the grey of the RGB picture.
    """
    with _refusing(data, max_bytes) as name, _loaded(data, name, max_pixels, max_side, grey=True) as (image, quality):
        grey = image if image.mode == "L" and not has_alpha(image) else to_rgb(image, _spoken(name)).convert("L")
        upright = _upright(image, grey, name)
        return GreyPicture(upright, name.lower(), upright.width, upright.height, quality)


def open_image(path: str | Path, **limits: Any) -> DecodedImage:
    """Decode the file at `path`; limits: those of :func:`decode_image`, the byte cap being checked before reading.

    Raises ImageRefused; its subclass UnreadableFile when there is no such file, it is a folder, or may not be read.
    """
    path = Path(path)
    max_bytes: int = limits.get("max_bytes", MAX_BYTES)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableFile(f"{path} is a folder; name an image file")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFile(f"{path} is not a regular file")
        _check_bytes(status.st_size, max_bytes)
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise UnreadableFile(f"there is no file {path}") from None
    except PermissionError:
        raise UnreadableFile(f"{path} may not be read by this user") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableFile(f"{str(path)!r} cannot be read: {reason.lower()}") from None
    return decode_image(data, **limits)


@contextmanager
def _refusing(data: bytes, max_bytes: int) -> Iterator[str]:
    """Checks the bytes, gives Pillow's name of the format, and makes an ImageRefused of whatever decoding raises."""
    _check_bytes(len(data), max_bytes)
    name = _claimed_format(data)
    try:
        yield name
    except ImageRefused:
        raise
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"the {_spoken(name)} claims more pixels than the decoder allows") from None
    except MemoryError:
        raise ImageTooLarge(f"there is not enough memory to decode the {_spoken(name)}") from None
    except Exception as error:
        raise _failure(data, name, error) from None


@contextmanager
def _loaded(
    data: bytes, name: str, max_pixels: float, max_side: int, grey: bool = False
) -> Iterator[tuple[Image.Image, int | None]]:
    """The decoded file as Pillow has it, and the quality of a JPEG. grey: of a JPEG in colour only the luma."""
    if name == "JPEG" and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise ImageTooLarge(f"the JPEG is made of more than {MAX_JPEG_SCANS} scans, which no camera or program does")
    with Image.open(io.BytesIO(data), formats=[name]) as image:
        _check_size(image.size, name, max_pixels, max_side)
        # An MPO is a JPEG with further pictures behind the first: depth maps, the other eye, thumbnails.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            several = "pages" if name == "TIFF" else "frames"
            raise AnimatedImage(f"the {_spoken(name)} has several {several}; save one of them as PNG or JPEG")
        quality = estimated_quality(getattr(image, "quantization", None)) if name == "JPEG" else None
        if grey and name == "JPEG":
            image.draft("L", image.size)
        image.load()
        yield image, quality


def _upright(image: Image.Image, picture: Image.Image, name: str) -> Image.Image:
    """`picture`, made of `image`, turned as the file's orientation asks for."""
    # TIFF is turned by Pillow while loading, and then asks for nothing more.
    turn = None if name == "TIFF" else _TURNS.get(_orientation(image))
    return picture if turn is None else picture.transpose(turn)


def _check_bytes(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ImageTooLarge(f"the file has {size:,} bytes, more than the {max_bytes:,} allowed; save a smaller copy")


def _check_size(size: tuple[int, int], name: str, max_pixels: float, max_side: int) -> None:
    width, height = size
    if max(size) > max_side:
        raise ImageTooLarge(
            f"the {_spoken(name)} is {width:,} × {height:,} pixels; no side may be longer than {max_side:,}"
        )
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"the {_spoken(name)} is {width:,} × {height:,} pixels, more than the {max_pixels / 1e6:g} million allowed;"
            " scale it down"
        )


def _claimed_format(data: bytes) -> str:
    """Pillow's name of the format that the first bytes claim. Raises NotAnImage or UnsupportedImage."""
    if not data:
        raise NotAnImage("the file is empty")
    name = signatures.decoded_format(data)
    if name and name != "HEIF":
        return name
    if name == "HEIF":
        if "HEIF" in Image.OPEN:
            return "HEIF"
        raise UnsupportedImage("this is an HEIC photo, which is not decoded here; convert it to JPEG or PNG first")
    other = signatures.other_image(data)
    if other:
        raise UnsupportedImage(f"this is a {other} image, which is not decoded here; convert it to JPEG or PNG first")
    what = signatures.other_file(data)
    raise NotAnImage(f"this is {what}, not an image" if what else "this is not an image")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # whatever a corrupt EXIF makes Pillow raise, the picture is still there
        return 1


def _failure(data: bytes, name: str, error: Exception) -> ImageRefused:
    """What a decoder's complaint means for the person who has the file."""
    if _is_cut_off(data, name) or "truncated" in str(error).lower():
        return TruncatedImage(f"the {_spoken(name)} is cut off after {len(data):,} bytes; download it again")
    if isinstance(error, NotImplementedError):
        return UnsupportedImage(f"the {_spoken(name)} is of a rare kind ({error}); convert it to JPEG or PNG first")
    return DecoderFailed(f"the {_spoken(name)} is damaged and cannot be decoded; download it again, or save it anew")


def _is_cut_off(data: bytes, name: str) -> bool:
    """Whether the end that a whole file has is missing, for the formats that have one."""
    tail = data[-64:]
    if name == "JPEG":
        return b"\xff\xd9" not in tail
    if name == "PNG":
        return b"IEND" not in tail
    if name in ("WEBP", "BMP"):
        start = 4 if name == "WEBP" else 2
        return len(data) < int.from_bytes(data[start : start + 4], "little") + (8 if name == "WEBP" else 0)
    return name == "AVIF" and signatures.last_box_ends(data) > len(data)


def _spoken(name: str) -> str:
    return signatures.DECODED.get(name, name)
