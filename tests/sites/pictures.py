"""Files that a stranger's site serves: numbered faces, no two alike, and everything that is wrong with a picture.

Every function gives the same bytes at every call.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

MIN_SIDE, MAX_SIDE = 64, 128  # of the numbered faces, pixels

_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
_ORIENTATION = 0x0112


@functools.lru_cache(maxsize=8192)
def face(number: int) -> bytes:
    """Face `number` as a JPEG of quality 90, 64 to 128 pixels a side."""
    return jpeg(picture(number))


def picture(number: int) -> Image.Image:
    """Face `number`: an oval with eyes and a mouth before a background of its own.

    The light falls on it from random directions, so that no two have the same low frequencies, which is what a
    perceptual hash looks at.
    """
    rng = np.random.default_rng(number)
    width, height = (int(side) for side in rng.integers(MIN_SIDE, MAX_SIDE + 1, 2))
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    shade = 128 + 40 * _light(rng, y, x)
    left, top = rng.uniform(0.4, 0.6, 2)
    wide, high = rng.uniform(0.2, 0.3), rng.uniform(0.28, 0.4)
    oval = (((x - left) / wide) ** 2 + ((y - top) / high) ** 2) < 1
    shade = np.where(oval, 0.6 * shade + rng.uniform(30, 110) + 20 * _light(rng, y, x), shade)
    for side in (-1, 1):
        shade -= 70 * _blob(y, x, top - 0.25 * high, left + side * 0.4 * wide, 0.035)
    shade -= 60 * _blob(y, x, top + 0.45 * high, left, 0.05)
    tint = rng.uniform(0.75, 1.1, 3)
    grain = rng.normal(0, 3, (height, width, 1))
    return Image.fromarray(np.clip(shade[..., None] * tint + grain, 0, 255).astype(np.uint8))


def _light(rng: np.random.Generator, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Random cosines of the very frequencies that the hash ranks, 1 to 8 half-waves, the slow ones strongest.
    frequency = np.arange(9)
    weight = rng.normal(0, 1, (9, 9)) / (1 + frequency[:, None] + frequency[None, :]) ** 0.5
    return np.cos(np.pi * y[:, :1] * frequency) @ weight @ np.cos(np.pi * frequency[:, None] * x[:1])


def _blob(
    y: npt.NDArray[np.float64], x: npt.NDArray[np.float64], at_y: float, at_x: float, size: float
) -> npt.NDArray[np.float64]:
    return np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / (2 * size**2))


def jpeg(image: Image.Image, quality: int = 90, exif: Image.Exif | None = None) -> bytes:
    """`image` as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, **({"exif": exif.tobytes()} if exif else {}))
    return buffer.getvalue()


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """`image` as a file of Pillow's format `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def recompressed(number: int, quality: int = 40) -> bytes:
    """Face `number` once more, as a careless site re-saved it."""
    return jpeg(Image.open(io.BytesIO(face(number))), quality)


def halved(number: int) -> bytes:
    """Face `number` at half its size."""
    image = Image.open(io.BytesIO(face(number))).convert("RGB")
    return jpeg(image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS), 85)


def truncated(number: int) -> bytes:
    """The first six tenths of face `number`: a file that ends in the middle of its picture."""
    return face(number)[: len(face(number)) * 6 // 10]


def turned(number: int) -> bytes:
    """Face `number`, stored lying on its side with an EXIF orientation that puts it upright again."""
    exif = Image.Exif()
    exif[_ORIENTATION] = 6  # to be shown turned 90° clockwise
    return jpeg(picture(number).transpose(Image.Transpose.ROTATE_90), exif=exif)


def prompted_png(number: int) -> bytes:
    """Face `number` as the PNG that a Stable Diffusion interface writes: its prompt in a tEXt chunk."""
    text = PngImagePlugin.PngInfo()
    text.add_text(
        "parameters", "portrait of a man, 35mm\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 7"
    )
    return encoded(picture(number), "PNG", pnginfo=text)


def declared_synthetic(number: int) -> bytes:
    """Face `number` as a JPEG whose XMP says by IPTC's vocabulary that a trained algorithm made it."""
    plain = face(number)
    body = _XMP_HEADER + _XMP
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]


def animated_gif(number: int) -> bytes:
    """Three frames of face `number`, moving."""
    frames = [picture(number).convert("P").rotate(5 * i) for i in range(3)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)


def png_dot() -> bytes:
    """The transparent 1×1 PNG by which sites count visitors."""
    return encoded(Image.new("RGBA", (1, 1)), "PNG")


def svg() -> bytes:
    """A drawing with a script in it."""
    return (
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><script>alert(1)</script>'
        b'<circle cx="45" cy="45" r="40"/></svg>'
    )


@functools.cache
def png_of_900_megapixels() -> bytes:
    """30,000 × 30,000 black pixels of one bit in 109 kB: 900 MB once decoded to grey, 2.7 GB to RGB."""
    side = 30_000
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = _deflated_zeros(side * (1 + (side + 7) // 8), zlib.MAX_WBITS)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


@functools.cache
def gzip_bomb(decoded_bytes: int = 300 * 2**20) -> bytes:
    """A gzip stream that begins like a JPEG and goes on for `decoded_bytes` zeros, a thousand times its own size."""
    return _deflated_zeros(decoded_bytes, zlib.MAX_WBITS + 16, b"\xff\xd8\xff\xe0\0\x10JFIF\0")


def _deflated_zeros(count: int, window_bits: int, begin: bytes = b"") -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    block = bytes(2**20)
    parts = [deflate.compress(begin)]
    parts += [deflate.compress(block) for _ in range(count // len(block))]
    return b"".join([*parts, deflate.compress(bytes(count % len(block))), deflate.flush()])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
