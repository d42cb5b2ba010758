"""Bytes nobody trusts ▶ an RGB array, or a named refusal that a person can act on."""

from infra.images.decode import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    DecodedImage,
    GreyPicture,
    decode_grey,
    decode_image,
    open_image,
)
from infra.images.encode import encode_jpeg, encode_png
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

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "AnimatedImage",
    "DecodedImage",
    "DecoderFailed",
    "GreyPicture",
    "ImageRefused",
    "ImageTooLarge",
    "NotAnImage",
    "TruncatedImage",
    "UnreadableFile",
    "UnsupportedImage",
    "decode_grey",
    "decode_image",
    "encode_jpeg",
    "encode_png",
    "open_image",
]
