"""Every kind of image file people have, made here: decoded rightly, or refused by name; never anything else."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from infra.errors import UserError
from infra.images import (
    AnimatedImage,
    DecodedImage,
    DecoderFailed,
    ImageRefused,
    ImageTooLarge,
    NotAnImage,
    TruncatedImage,
    UnreadableFile,
    UnsupportedImage,
    decode_image,
    encode_jpeg,
    encode_png,
    open_image,
)

# Pillow's remarks on the broken files below are expected.
pytestmark = pytest.mark.filterwarnings("ignore:(Corrupt EXIF|Truncated File|Tag data larger|Image size|Metadata Warn)")

HEIGHT, WIDTH = 30, 44


def picture() -> np.ndarray:
    """uint8 [30, 44, 3]: smooth, unlike its own mirror images, so that JPEG keeps it and a wrong turn shows."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[..., 0] = np.linspace(20, 240, WIDTH)
    rgb[..., 1] = 90
    rgb[..., 2] = np.linspace(250, 30, HEIGHT)[:, None]
    return rgb


RGB = picture()
GREY = RGB[..., 0]
PICTURE = Image.fromarray(RGB)


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def farthest(decoded: DecodedImage, expected: np.ndarray) -> int:
    assert decoded.rgb.shape == expected.shape, (decoded.rgb.shape, expected.shape)
    return int(np.abs(decoded.rgb.astype(int) - expected).max())


def grey_as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def check_shape(decoded: DecodedImage) -> None:
    assert decoded.rgb.dtype == np.uint8
    assert decoded.rgb.shape == (decoded.height, decoded.width, 3)
    assert decoded.rgb.flags.c_contiguous and decoded.rgb.flags.writeable


def mpo() -> bytes:
    other = Image.fromarray(255 - RGB)
    return saved(PICTURE, "MPO", save_all=True, append_images=[other], quality=95)


def png(width: int, height: int, bits: int, colour: int, body: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand; body: the unfiltered scan lines, each behind its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def png_16_bit_colour() -> bytes:
    wide = (RGB.astype(">u2") * 257).tobytes()
    stride = WIDTH * 6
    return png(WIDTH, HEIGHT, 16, 2, b"".join(b"\0" + wide[i : i + stride] for i in range(0, len(wide), stride)))


def tiff(bits: int, photometric: int, body: bytes, width: int, height: int) -> bytes:
    """A little-endian grey TIFF by hand: one strip, no compression."""
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 122), (277, 1), (278, height),
            (279, len(body))]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + body


PLAIN: list[tuple[str, str, Callable[[], bytes], int]] = [
    # what, format as reported, file, greatest difference allowed
    ("PNG", "png", lambda: saved(PICTURE, "PNG"), 0),
    ("BMP", "bmp", lambda: saved(PICTURE, "BMP"), 0),
    ("PPM", "ppm", lambda: saved(PICTURE, "PPM"), 0),
    ("TIFF", "tiff", lambda: saved(PICTURE, "TIFF"), 0),
    ("TIFF, LZW", "tiff", lambda: saved(PICTURE, "TIFF", compression="tiff_lzw"), 0),
    ("TIFF, JPEG inside", "tiff", lambda: saved(PICTURE.convert("YCbCr"), "TIFF", compression="jpeg"), 12),
    ("TIFF, CMYK", "tiff", lambda: saved(PICTURE.convert("CMYK"), "TIFF"), 2),
    ("WebP, lossless", "webp", lambda: saved(PICTURE, "WEBP", lossless=True), 0),
    ("WebP, lossy", "webp", lambda: saved(PICTURE, "WEBP", quality=95), 12),
    ("AVIF", "avif", lambda: saved(PICTURE, "AVIF", quality=95), 12),
    ("JPEG", "jpeg", lambda: saved(PICTURE, "JPEG", quality=95), 12),
    ("JPEG, progressive", "jpeg", lambda: saved(PICTURE, "JPEG", quality=95, progressive=True), 12),
    ("JPEG, CMYK as Adobe inverts it", "jpeg", lambda: saved(PICTURE.convert("CMYK"), "JPEG", quality=98), 6),
    ("JPEG, several pictures (MPO)", "jpeg", mpo, 12),
    ("PNG, 16-bit colour", "png", png_16_bit_colour, 0),
    ("PNG, palette", "png", lambda: saved(PICTURE.quantize(256), "PNG"), 24),
    ("GIF", "gif", lambda: saved(PICTURE.quantize(256), "GIF"), 24),
    ("PNG, opaque alpha", "png", lambda: saved(PICTURE.convert("RGBA"), "PNG"), 0),
]


class TestDecoded:
    @pytest.mark.parametrize(("name", "make", "tolerance"), [case[1:] for case in PLAIN], ids=[c[0] for c in PLAIN])
    def test_colour(self, name: str, make: Callable[[], bytes], tolerance: int) -> None:
        data = make()
        decoded = decode_image(data)
        check_shape(decoded)
        assert farthest(decoded, RGB) <= tolerance
        assert (decoded.format, decoded.width, decoded.height) == (name, WIDTH, HEIGHT)
        assert decoded.original_bytes == len(data)
        assert (decoded.jpeg_quality is not None) == (name == "jpeg")

    @pytest.mark.parametrize("name", ["PNG", "TIFF", "PPM", "BMP", "GIF", "JPEG"])
    def test_grey(self, name: str) -> None:
        image = Image.fromarray(GREY)
        options = {"quality": 98} if name == "JPEG" else {}
        assert farthest(decode_image(saved(image, name, **options)), grey_as_rgb(GREY)) <= (2 if options else 0)

    @pytest.mark.parametrize("name", ["PNG", "TIFF", "PPM", "BMP", "GIF"])
    def test_black_and_white(self, name: str) -> None:
        image = Image.fromarray(GREY).point(lambda v: 255 * (v > 128)).convert("1")
        expected = grey_as_rgb(np.where(GREY > 128, 255, 0))
        assert farthest(decode_image(saved(image, name)), expected) == 0

    @pytest.mark.parametrize(
        ("name", "options"), [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {})]
    )
    def test_16_bit_grey_is_scaled_not_clipped(self, name: str, options: dict[str, str]) -> None:
        wide = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
        decoded = decode_image(saved(Image.fromarray(wide), name, **options))
        assert np.abs(decoded.rgb - wide[..., None] / 257).max() < 1
        eight = decode_image(saved(Image.fromarray((GREY * np.uint16(257)).astype(np.uint16)), name, **options))
        assert farthest(eight, grey_as_rgb(GREY)) == 0, "8-bit values written as 16 bits must come back"

    def test_odd_depths(self) -> None:
        twelve = tiff(12, 1, bytes.fromhex("000 fff 800 7ff".replace(" ", "")), 4, 1)
        assert decode_image(twelve).rgb[0, :, 0].tolist() == [0, 255, 128, 127]
        inverted = tiff(16, 0, struct.pack("<4H", 0, 65535, 32768, 32767), 4, 1)
        assert decode_image(inverted).rgb[0, :, 0].tolist() == [255, 0, 127, 128]
        ten = b"P5 4 1 1023\n" + struct.pack(">4H", 0, 1023, 512, 511)
        assert decode_image(ten).rgb[0, :, 0].tolist() == [0, 255, 128, 127]

    def test_transparency_is_composited_on_white(self) -> None:
        alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
        alpha[:, WIDTH // 2 :] = 255
        alpha[0] = 128
        expected = np.round(RGB * (alpha / 255) + 255 * (1 - alpha / 255))
        rgba = Image.fromarray(np.concatenate([RGB, alpha], axis=2))
        for name, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
            decoded = decode_image(saved(rgba, name, **options))
            assert decoded.has_alpha
            assert farthest(decoded, expected) <= 1, name
        assert not decode_image(saved(PICTURE, "PNG")).has_alpha
        la = rgba.convert("LA")
        grey = np.asarray(la)[..., :1]
        decoded = decode_image(saved(la, "PNG"))
        assert decoded.has_alpha
        assert farthest(decoded, np.repeat(np.round(grey * (alpha / 255) + 255 * (1 - alpha / 255)), 3, 2)) <= 1

    def test_a_transparent_colour_becomes_white(self) -> None:
        palette = Image.fromarray(np.arange(4, dtype=np.uint8)[None]).convert("P")
        palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
        expected = [[255, 0, 0], [0, 255, 0], [255, 255, 255], [9, 9, 9]]
        for name in ("PNG", "GIF"):
            decoded = decode_image(saved(palette, name, transparency=2))
            assert decoded.has_alpha and decoded.rgb[0].tolist() == expected, name
        partly = decode_image(saved(palette, "PNG", transparency=bytes([255, 255, 0, 255])))
        assert partly.rgb[0].tolist() == expected
        wide = png(3, 1, 16, 0, b"\0" + struct.pack(">3H", 0, 700, 65535), (b"tRNS", struct.pack(">H", 700)))
        assert decode_image(wide).rgb[0, :, 0].tolist() == [0, 255, 255]

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
    def test_orientation(self, name: str, orientation: int) -> None:
        """EXIF 2.32, tag 0x0112: where row 0 and column 0 of the stored picture belong."""
        upright = {
            1: RGB,
            2: RGB[:, ::-1],
            3: RGB[::-1, ::-1],
            4: RGB[::-1],
            5: RGB.transpose(1, 0, 2),
            6: RGB[::-1].transpose(1, 0, 2),
            7: RGB[::-1, ::-1].transpose(1, 0, 2),
            8: RGB[:, ::-1].transpose(1, 0, 2),
        }[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        quality = {} if name in ("PNG", "TIFF") else {"quality": 95}
        decoded = decode_image(saved(PICTURE, name, exif=exif, **quality))
        assert farthest(decoded, upright) <= 12
        assert (decoded.height, decoded.width) == upright.shape[:2]

    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize(
        "exif",
        [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 60],
    )
    def test_a_corrupt_exif_is_ignored(self, name: str, exif: bytes) -> None:
        assert farthest(decode_image(saved(PICTURE, name, exif=exif, quality=95)), RGB) <= 12

    @pytest.mark.parametrize("quality", [1, 10, 30, 50, 75, 85, 90, 95, 100])
    def test_jpeg_quality_is_recognised(self, quality: int) -> None:
        assert decode_image(encode_jpeg(RGB, quality)).jpeg_quality == quality
        assert decode_image(saved(Image.fromarray(GREY), "JPEG", quality=quality)).jpeg_quality == quality


class TestRefused:
    @pytest.mark.parametrize(
        ("data", "error", "said"),
        [
            (b"", NotAnImage, "the file is empty"),
            (b"hello", NotAnImage, "this is not an image"),
            (b"\n<!DOCTYPE html><html>", NotAnImage, "this is a web page"),
            (b"%PDF-1.7 ...", NotAnImage, "this is a PDF"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", NotAnImage, "this is a video"),
            (b"PK\x03\x04....", NotAnImage, "ZIP"),
            (b'{"message": "not found"}', NotAnImage, "JSON"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", UnsupportedImage, "HEIC photo.* convert it to JPEG"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", UnsupportedImage, "HEIC"),
            (b"8BPS\0\x01", UnsupportedImage, "PSD"),
            (b"<?xml version='1.0'?>\n<svg xmlns=''>", UnsupportedImage, "SVG"),
            (b"\xff\x0a\xfa", UnsupportedImage, "JPEG XL"),
            (b"Pf\n1 1\n-1.0\n\0\0\0\0", UnsupportedImage, "floating-point"),
        ],
    )
    def test_by_the_first_bytes(self, data: bytes, error: type[ImageRefused], said: str) -> None:
        with pytest.raises(error, match=said) as refused:
            decode_image(data)
        assert isinstance(refused.value, UserError)

    @pytest.mark.parametrize("name", ["EPS", "ICO", "ICNS", "JPEG2000", "PCX", "SGI", "DDS"])
    def test_formats_off_the_list(self, name: str) -> None:
        spoken = {"JPEG2000": "JPEG 2000"}.get(name, name)
        image = PICTURE.resize((64, 64))
        with pytest.raises(UnsupportedImage, match=f"this is a {spoken} image, which is not decoded here; convert"):
            decode_image(saved(image, name))

    @pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
    def test_several_frames_or_pages(self, name: str) -> None:
        frames = [Image.fromarray(np.roll(RGB, 5 * i, axis=1)) for i in range(3)]
        with pytest.raises(AnimatedImage, match="has several pages" if name == "TIFF" else "has several frames"):
            decode_image(saved(frames[0], name, save_all=True, append_images=frames[1:]))

    def test_pixels_without_one_right_8_bit_form(self) -> None:
        floats = Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
        with pytest.raises(UnsupportedImage, match="TIFF holds floating-point numbers"):
            decode_image(saved(floats, "TIFF"))
        with pytest.raises(UnsupportedImage, match="TIFF holds signed or 32-bit numbers"):
            decode_image(saved(Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8)), "TIFF"))
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        with pytest.raises(UnsupportedImage, match="TIFF holds LAB colours"):
            decode_image(saved(ImageCms.profileToProfile(PICTURE, srgb, lab, outputMode="LAB"), "TIFF"))  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "BMP", "PPM", "TIFF", "GIF", "JPEG, progressive"])
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_cut_off(self, name: str, share: float) -> None:
        rng = np.random.default_rng(0)
        noisy = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        kind, _, more = name.partition(", ")
        data = saved(noisy, kind, **({"progressive": True} if more else {}))
        cut = data[: int(len(data) * share)]
        with pytest.raises(TruncatedImage, match=f"is cut off after {len(cut):,} bytes; download it again"):
            decode_image(cut)

    def test_damaged(self) -> None:
        data = bytearray(saved(PICTURE, "PNG"))
        data[60] ^= 0xFF
        with pytest.raises(DecoderFailed, match="the PNG is damaged"):
            decode_image(bytes(data))


class TestLimits:
    def test_bytes(self) -> None:
        data = encode_png(RGB)
        decode_image(data, max_bytes=len(data))
        with pytest.raises(ImageTooLarge, match="bytes, more than the"):
            decode_image(data, max_bytes=len(data) - 1)

    def test_pixels_and_sides(self) -> None:
        data = encode_png(RGB)
        decode_image(data, max_pixels=WIDTH * HEIGHT, max_side=WIDTH)
        with pytest.raises(
            ImageTooLarge, match=r"44 × 30 pixels, more than the 0\.001319 million allowed; scale it down"
        ):
            decode_image(data, max_pixels=WIDTH * HEIGHT - 1)
        with pytest.raises(ImageTooLarge, match="no side may be longer than 43"):
            decode_image(data, max_side=WIDTH - 1)

    @pytest.mark.parametrize(
        "data",
        [
            png(60_000, 60_000, 8, 2, b""),
            png(1_000_000, 1, 8, 2, b""),
            png(10_000, 10_000, 8, 2, b""),
            b"P6 60000 60000 255\n",
            b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
            b"GIF89a"
            + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
            + b","
            + struct.pack("<HHHHBB", 0, 0, 65535, 65535, 0, 8),
        ],
        ids=["PNG", "PNG, one line", "PNG, 100 million", "PPM", "BMP", "GIF"],
    )
    def test_they_are_checked_before_a_pixel_is_decoded(self, data: bytes) -> None:
        """These files hold a header and no pixels: decoding would have found them cut off or damaged."""
        with pytest.raises(ImageTooLarge):
            decode_image(data)

    def test_a_webp_canvas_of_gigabytes_in_ninety_bytes(self) -> None:
        small = saved(Image.new("RGBA", (4, 4)), "WEBP", lossless=True)[12:]
        frame = bytes(6) + b"\3\0\0\3\0\0" + bytes(4) + small
        body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + b"\xfe\x3f\0\xfe\x3f\0"
        body += b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(frame)) + frame
        with pytest.raises(ImageTooLarge):
            decode_image(b"RIFF" + struct.pack("<I", len(body)) + body)

    def test_a_jpeg_of_endless_scans(self) -> None:
        data = saved(PICTURE, "JPEG", progressive=True)
        last = data.rindex(b"\xff\xda")
        bomb = data[:-2] + data[last:-2] * 200 + data[-2:]
        with pytest.raises(ImageTooLarge, match="more than 100 scans"):
            decode_image(bomb)


class TestFiles:
    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(encode_png(RGB))
        assert farthest(open_image(tmp_path / "a.png"), RGB) == 0
        assert farthest(open_image(str(tmp_path / "a.png")), RGB) == 0
        with pytest.raises(ImageTooLarge):
            open_image(tmp_path / "a.png", max_side=10)

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFile, match="there is no file"):
            open_image(tmp_path / "nothing.jpg")
        with pytest.raises(UnreadableFile, match="is a folder; name an image file"):
            open_image(tmp_path)
        with pytest.raises(UnreadableFile, match="cannot be read"):
            open_image("a\0b")
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UnreadableFile, match="is not a regular file"):
            open_image(tmp_path / "pipe")

    def test_a_huge_file_is_not_read(self, tmp_path: Path) -> None:
        with (tmp_path / "huge.jpg").open("wb") as file:
            file.truncate(10**12)  # sparse: reading it would never end
        with pytest.raises(ImageTooLarge, match="1,000,000,000,000 bytes"):
            open_image(tmp_path / "huge.jpg")


class TestEncoded:
    def test_png_is_exact(self) -> None:
        assert farthest(decode_image(encode_png(RGB)), RGB) == 0
        assert encode_png(RGB[:, ::-1]) == encode_png(np.ascontiguousarray(RGB[:, ::-1]))

    @pytest.mark.parametrize(("subsampling", "number"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
    def test_jpeg(self, subsampling: str, number: int) -> None:
        from PIL import JpegImagePlugin

        data = encode_jpeg(RGB, 90, subsampling)
        assert farthest(decode_image(data), RGB) <= 16
        assert JpegImagePlugin.get_sampling(Image.open(io.BytesIO(data))) == number
        assert data == encode_jpeg(RGB, 90, subsampling)

    def test_mistakes(self) -> None:
        wrongs: list[Any] = [RGB[..., 0], RGB.astype(np.float32), RGB[:0], np.zeros((4, 4, 4), np.uint8)]
        for wrong in wrongs:
            with pytest.raises(ValueError, match=r"expected uint8 \[H, W, 3\]"):
                encode_png(wrong)
        for quality, subsampling in ((0, "4:2:0"), (101, "4:2:0"), (90, "4:1:1")):
            with pytest.raises(ValueError, match="must be"):
                encode_jpeg(RGB, quality, subsampling)


@cache
def whole_files() -> list[bytes]:
    return [make() for _, _, make, _ in PLAIN]


class TestFuzz:
    """Whatever the bytes: a well-shaped picture or an ImageRefused, in one line."""

    @staticmethod
    def check(data: bytes) -> None:
        try:
            decoded = decode_image(data, max_pixels=1e6)
        except ImageRefused as refused:
            assert type(refused) is not ImageRefused
            assert 0 < len(str(refused)) < 300
        else:
            check_shape(decoded)

    @given(st.binary(max_size=400))
    def test_random_bytes(self, data: bytes) -> None:
        self.check(data)

    @given(st.integers(0, len(PLAIN) - 1), st.integers(0, 64), st.binary(max_size=400))
    def test_a_true_beginning_and_random_bytes(self, which: int, kept: int, data: bytes) -> None:
        self.check(whole_files()[which][:kept] + data)

    @given(st.integers(0, len(PLAIN) - 1), st.floats(0, 1))
    def test_truncations(self, which: int, share: float) -> None:
        data = whole_files()[which]
        self.check(data[: int(len(data) * share)])

    @settings(max_examples=400)
    @given(
        st.integers(0, len(PLAIN) - 1),
        st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=8),
        st.booleans(),
    )
    def test_bit_flips(self, which: int, flips: list[tuple[float, int]], near_the_start: bool) -> None:
        data = bytearray(whole_files()[which])
        reach = min(len(data), 200) if near_the_start else len(data)
        for place, bit in flips:
            data[int(place * reach)] ^= 1 << bit
        self.check(bytes(data))
