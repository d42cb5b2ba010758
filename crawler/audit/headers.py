"""The header of an image file ▶ how it was written and what travels with it; not a pixel is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

# Annex K of ITU-T T.81: how many AC codes of each length the example tables have (luminance, chrominance). Encoders
# that do not measure their own pictures write these; what "optimised" means is any other.
_STANDARD_AC = {
    bytes([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D]),
    bytes([0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77]),
}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}  # TEM, RST0…7, SOI
_FRAMES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC3: "lossless"}
_APP_NAMES = (
    (0xE0, b"JFIF\0", "JFIF"),
    (0xE1, b"Exif\0", "EXIF"),
    (0xE1, b"http://ns.adobe.com/x", "XMP"),
    (0xE2, b"ICC_PROFILE\0", "ICC"),
    (0xE2, b"MPF\0", "MPF"),
    (0xEB, b"", "C2PA"),
    (0xED, b"Photoshop", "IPTC"),
    (0xEE, b"Adobe", "Adobe"),
)
_PNG_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGB and alpha"}
_PNG_METADATA = {
    b"tEXt": "text", b"zTXt": "text", b"iTXt": "text", b"eXIf": "EXIF", b"iCCP": "ICC", b"caBX": "C2PA",
    b"pHYs": "resolution", b"gAMA": "gamma", b"cHRM": "gamma", b"sRGB": "sRGB", b"tIME": "time",
}  # fmt: skip
_WEBP_METADATA = {b"EXIF": "EXIF", b"XMP ": "XMP", b"ICCP": "ICC"}
_MAX_PARTS = 2_000  # segments or chunks read of one file


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says before its pixels. Empty strings where the format has no such thing.

    tables: a short hash of the quantisation tables. subsampling: of the chroma. mode: how the pixels are coded
    (baseline, progressive, interlaced, lossless …). coder: what gives the encoder away besides (Huffman tables,
    restart markers, compression level). layout: the order of the segments or chunks. metadata: the names of what
    travels with the picture. metadata_bytes: its length together, bytes after the end of the picture included.
    """

    tables: str = ""
    subsampling: str = ""
    mode: str = ""
    coder: str = ""
    layout: str = ""
    metadata: frozenset[str] = frozenset()
    metadata_bytes: int = 0


def read_header(data: bytes) -> Header:
    """The header of a JPEG, PNG or WebP; an empty one for other formats. Damage ends the reading, never raises."""
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    return Header()


def _jpeg(data: bytes) -> Header:
    tables, layout, ac_tables = hashlib.sha256(), [], []
    metadata: set[str] = set()
    subsampling = mode = ""
    metadata_bytes = restart = 0
    for marker, start, end in _jpeg_segments(data):
        body = data[start:end]
        if marker == 0xDB:
            tables.update(body)
        elif marker == 0xC4:
            ac_tables += _ac_code_lengths(body)
        elif marker in _FRAMES and len(body) >= 6:
            mode = f"{_FRAMES[marker]}, {body[5]} components" + (f", {body[0]} bits" if body[0] != 8 else "")
            subsampling = _subsampling(body)
        elif marker == 0xDD and len(body) >= 2:
            restart = int.from_bytes(body[:2], "big")
        elif 0xE0 <= marker <= 0xEF or marker == 0xFE:
            name = _app_name(marker, body)
            metadata.add(name)
            metadata_bytes += len(body)
        layout.append(f"{marker:02x}")
    end = data.rfind(b"\xff\xd9")
    tail = len(data) - (end + 2) if end >= 0 else 0
    if tail > 0 and layout and layout[-1] == "da":
        metadata.add("bytes after the end")
        metadata_bytes += tail
    huffman = "standard" if ac_tables and all(lengths in _STANDARD_AC for lengths in ac_tables) else "optimised"
    return Header(
        tables=tables.hexdigest()[:8],
        subsampling=subsampling,
        mode=mode,
        coder=f"{huffman} Huffman tables" + (", restart markers" if restart else ""),
        layout=" ".join(name for name, _ in groupby(layout)),
        metadata=frozenset(metadata),
        metadata_bytes=metadata_bytes,
    )


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment's body up to the first scan."""
    at = 2
    for _ in range(_MAX_PARTS):
        while at < len(data) and data[at] == 0xFF and data[at + 1 : at + 2] == b"\xff":
            at += 1  # fill bytes
        if at + 4 > len(data) or data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        if marker == 0xD9:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(data):
            return
        yield marker, at + 4, end
        if marker == 0xDA:
            return
        at = end


def _app_name(marker: int, body: bytes) -> str:
    if marker == 0xFE:
        return "comment"
    return next((n for m, begin, n in _APP_NAMES if m == marker and body.startswith(begin)), f"APP{marker - 0xE0}")


def _ac_code_lengths(body: bytes) -> list[bytes]:
    """Of each AC table in a DHT segment its 16 counts of codes (T.81, section B.2.4.2)."""
    found, at = [], 0
    while at + 17 <= len(body):
        counts = body[at + 1 : at + 17]
        if body[at] >> 4 == 1:
            found.append(counts)
        at += 17 + sum(counts)
    return found


def _subsampling(frame: bytes) -> str:
    """`4:2:0` and its like from a frame header, `2x2,1x1,1x1` for the unusual, empty for grey."""
    factors = [(frame[i] >> 4, frame[i] & 15) for i in range(7, min(len(frame), 6 + 3 * frame[5]), 3)]
    if len(factors) < 2:
        return ""
    names = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (4, 1): "4:1:1", (1, 2): "4:4:0"}
    usual = len(factors) == 3 and set(factors[1:]) == {(1, 1)}
    return (names.get(factors[0]) if usual else None) or ",".join(f"{h}x{v}" for h, v in factors)


def _png(data: bytes) -> Header:
    metadata: set[str] = set()
    layout, mode, coder = [], "", ""
    metadata_bytes = end_of_picture = 0
    for name, start, end in _chunks(data, 8, "big"):
        layout.append(name.decode("latin-1"))
        body = data[start : min(end, start + 16)]
        if name == b"IHDR" and len(body) >= 13:
            mode = f"{_PNG_COLOURS.get(body[9], '?')}, {body[8]} bits" + (", interlaced" if body[12] else "")
        elif name == b"IDAT" and not coder and len(body) >= 2:
            # RFC 1950: the two top bits of the second byte tell the level; the window varies with the picture's size.
            coder = f"deflate level {body[1] >> 6}"
        elif name in _PNG_METADATA:
            metadata.add(_PNG_METADATA[name])
            metadata_bytes += end - start
        elif name == b"IEND":
            end_of_picture = end + 4
            break
    if 0 < end_of_picture < len(data):
        metadata.add("bytes after the end")
        metadata_bytes += len(data) - end_of_picture
    order = " ".join(name for name, _ in groupby(layout))
    return Header(mode=mode, coder=coder, layout=order, metadata=frozenset(metadata), metadata_bytes=metadata_bytes)


def _webp(data: bytes) -> Header:
    metadata: set[str] = set()
    layout, mode, metadata_bytes = [], "", 0
    for name, start, end in _chunks(data, 12, "little"):
        layout.append(name.decode("latin-1"))
        mode = mode or {b"VP8 ": "lossy", b"VP8L": "lossless"}.get(name, "")
        if name in _WEBP_METADATA:
            metadata.add(_WEBP_METADATA[name])
            metadata_bytes += end - start
    return Header(mode=mode, layout=" ".join(layout), metadata=frozenset(metadata), metadata_bytes=metadata_bytes)


def _chunks(data: bytes, at: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of the chunks of a PNG ("big": length, name, body, checksum) or a WebP ("little")."""
    for _ in range(_MAX_PARTS):
        if at + 8 > len(data):
            return
        if order == "big":
            length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        else:
            length, name = int.from_bytes(data[at + 4 : at + 8], "little"), data[at : at + 4]
        end = at + 8 + length
        yield name, at + 8, min(end, len(data))
        at = end + 4 if order == "big" else end + length % 2
