"""What bytes claim to be, by their first few: to name what is refused without running a decoder on it."""

from __future__ import annotations

import re

# Decoded here, by Pillow's name; the names that people use.
DECODED = {
    "JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP", "AVIF": "AVIF", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF",
    "PPM": "PPM",
}  # fmt: skip

_DECODED_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("WEBP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("BMP", re.compile(rb"BM.{12}[\x0c-\x7f]\0\0\0", re.DOTALL)),
    ("TIFF", re.compile(rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]")),
    ("PPM", re.compile(rb"P[1-6f]\s")),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_OTHER_IMAGES = (
    ("JPEG XL", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n")),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("PSD", re.compile(rb"8BPS")),
    ("EPS", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
    ("ICNS", re.compile(rb"icns")),
    ("ICO", re.compile(rb"\0\0[\x01\x02]\0.\0", re.DOTALL)),
    ("DDS", re.compile(rb"DDS ")),
    ("QOI", re.compile(rb"qoif")),
    ("OpenEXR", re.compile(rb"\x76\x2f\x31\x01")),
    ("Radiance HDR", re.compile(rb"#\?RADIANCE")),
    ("SGI", re.compile(rb"\x01\xda[\0\x01][\x01\x02]")),
    ("PCX", re.compile(rb"\x0a[\0-\x05]\x01[\x01-\x08]")),
    ("Sun raster", re.compile(rb"\x59\xa6\x6a\x95")),
    ("DjVu", re.compile(rb"AT&TFORM")),
    ("SVG", re.compile(rb"(?s)\s*(\xef\xbb\xbf)?\s*(<\?xml.{0,1000}?)?(<!--.{0,1000}?)?<svg[\s>]")),
)
_OTHER_FILES = (
    ("a web page", re.compile(rb"(?is)\s*(\xef\xbb\xbf)?\s*(<!--.{0,1000}?-->\s*)?<(!doctype\s+html|html|head|body)")),
    ("a PDF", re.compile(rb"%PDF-")),
    ("a video", re.compile(rb"(?s).{4}ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI |FLV\x01|OggS")),
    ("a ZIP archive (or an Office file)", re.compile(rb"PK\x03\x04")),
    ("a compressed archive", re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd")),
    ("JSON", re.compile(rb"(?s)\s*[\[{]\s*[\"\[{\d\]}]")),
    ("a pickle or another program's data", re.compile(rb"\x80[\x02-\x05]")),
)


def decoded_format(data: bytes) -> str | None:
    """Pillow's name of the format, decoded here or HEIF, that `data` begins like; None for anything else."""
    return _first_match(_DECODED_SIGNATURES, data) or _heif_family(data)


def last_box_ends(data: bytes) -> int:
    """Where the boxes that an AVIF is made of (ISO/IEC 14496-12) say that the file ends."""
    end = 0
    while end + 8 <= len(data):
        size = int.from_bytes(data[end : end + 4], "big")
        if size < 8:  # 0: up to the end of the file; 1: a 64-bit size, which no photo needs
            return len(data)
        end += size
    return end if end >= len(data) else len(data) + 1


def other_image(data: bytes) -> str | None:
    """The name of the image format, none of those decoded here, that `data` begins like."""
    return _first_match(_OTHER_IMAGES, data)


def other_file(data: bytes) -> str | None:
    """What `data` seems to be when it is no image, in words; None when it cannot be told."""
    return _first_match(_OTHER_FILES, data)


def _heif_family(data: bytes) -> str | None:
    """AVIF and HEIC share one container; the brands in its first box (ISO/IEC 14496-12) tell them apart."""
    if data[4:8] != b"ftyp":
        return None
    box = data[: min(int.from_bytes(data[:4], "big"), 256)]
    brands = {box[start : start + 4] for start in range(8, len(box), 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def _first_match(table: tuple[tuple[str, re.Pattern[bytes]], ...], data: bytes) -> str | None:
    head = data[:4096]
    return next((name for name, pattern in table if pattern.match(head)), None)
