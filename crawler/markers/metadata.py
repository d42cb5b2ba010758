"""The bytes of an image file ▶ the texts in its metadata, without touching its pixels.

The containers are walked by the lengths that they state: JPEG (ITU-T T.81, B.1.1), PNG (W3C, 5.3), WebP (RFC 9649).
A TIFF is what EXIF is made of. Of other formats whatever looks like text in the first and the last megabytes is one
text, in which only long phrases are looked for.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from itertools import islice

from PIL import Image

from crawler.markers.generators import Text

_MAX_PARTS = 20_000  # segments or chunks of one file; a 32 MB PNG of 8 KB chunks has 4,000
_MAX_TEXT = 2**18  # bytes of one text, after decompression
_MAX_ALL_TEXTS = 2**20  # characters; to search them takes up to half a second
_MAX_TEXTS = 64

_EXIF_IFD = 0x8769
_EXIF_TAGS = {
    0x010E: "imagedescription", 0x010F: "make", 0x0110: "model", 0x0131: "software", 0x013B: "artist",
    0x8298: "copyright", 0x9286: "usercomment", 0x927C: "makernote", 0x9C9B: "xptitle", 0x9C9C: "xpcomment",
    0x9C9D: "xpauthor", 0x9C9E: "xpkeywords", 0x9C9F: "xpsubject", 0xA436: "imagetitle", 0x02BC: "xmp",
}  # fmt: skip

_PRINTABLE = re.compile(rb"[\t\n\r -~]{8,}")
_SCANNED = 2**22  # bytes at each end of a file whose structure is not walked


def read_metadata(data: bytes) -> list[Text]:
    """The texts in the metadata of an image file, up to a megabyte of them; usually none. Never raises."""
    if data.startswith(b"\xff\xd8"):
        texts = _jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        texts = _png(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        texts = _webp(data)
    elif data[:4] in (b"II*\0", b"MM\0*"):
        texts = _exif(data)
    else:
        texts = _runs(data)
    kept: list[Text] = []
    room = _MAX_ALL_TEXTS
    for text in islice(texts, _MAX_TEXTS):
        room -= len(text.text)
        if room < 0:
            break
        kept.append(text)
    return kept


def _jpeg(data: bytes) -> Iterator[Text]:
    position, size = 2, len(data)
    for _ in range(_MAX_PARTS):
        if position + 4 > size or data[position] != 0xFF:
            return
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xDA:  # start of scan: pixels from here
            return
        length = (data[position + 2] << 8) + data[position + 3]
        # APP1: Exif and XMP; APP13: Photoshop's IPTC; COM.
        if marker in (0xE1, 0xED, 0xFE):
            body = data[position + 4 : position + 2 + length]
            if body.startswith(b"Exif\0"):
                yield from _exif(body[6:])
            else:
                yield Text("comment" if marker == 0xFE else "", _decoded(body))
        position += 2 + max(length, 2)


def _png(data: bytes) -> Iterator[Text]:
    position, size = 8, len(data)
    for _ in range(_MAX_PARTS):
        if position + 8 > size:
            return
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            yield from _png_text(kind, data[position + 8 : position + 8 + length])
        elif kind == b"eXIf":
            yield from _exif(data[position + 8 : position + 8 + length])
        elif kind == b"IEND":
            return
        position += 12 + length


def _png_text(kind: bytes, body: bytes) -> Iterator[Text]:
    keyword, _, text = body.partition(b"\0")
    compressed = False
    if kind == b"zTXt":
        compressed, text = True, text[1:]
    elif kind == b"iTXt":
        compressed = text[:1] == b"\1"
        *_, text = text[2:].split(b"\0", 2)  # language, translated keyword
    if compressed:
        try:
            text = zlib.decompressobj().decompress(text, _MAX_TEXT)
        except zlib.error:
            text = b""
    yield Text(_decoded(keyword), _decoded(text))


def _webp(data: bytes) -> Iterator[Text]:
    position = 12
    for _ in range(_MAX_PARTS):
        if position + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind in (b"EXIF", b"XMP "):
            body = data[position + 8 : position + 8 + length]
            yield from _exif(body.removeprefix(b"Exif\0\0")) if kind == b"EXIF" else [Text("", _decoded(body))]
        position += 8 + length + length % 2


def _runs(data: bytes) -> Iterator[Text]:
    ends = data if len(data) <= 2 * _SCANNED else data[:_SCANNED] + b"\0" + data[-_SCANNED:]
    # Line feeds: no phrase is put together from two runs.
    yield Text("", _decoded(b"\n".join(_PRINTABLE.findall(ends))))


def _exif(body: bytes) -> Iterator[Text]:
    """body: a TIFF header and its directories."""
    exif = Image.Exif()
    try:
        exif.load(body)
        values = {**exif, **exif.get_ifd(_EXIF_IFD)}
    except Exception:  # whatever a corrupt directory makes Pillow raise, its bytes may still speak
        yield Text("", _decoded(body))
        return
    for tag, field in _EXIF_TAGS.items():
        value = values.get(tag)
        if isinstance(value, bytes):
            yield Text(field, _decoded(value).removeprefix("ASCII").removeprefix("UNICODE"))
        elif isinstance(value, str):
            # Pillow reads Latin-1, whatever was written.
            yield Text(field, _decoded(value.encode("latin-1", "replace")))


def _decoded(raw: bytes) -> str:
    # Without its NULs the Latin part of UTF-16 is ASCII, whichever the byte order: UserComment and the XP tags.
    raw = raw[:_MAX_TEXT].replace(b"\0", b"")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
