"""Why an image is refused.

UserError
└── ImageRefused
    ├── NotAnImage        the bytes are something else, or nothing
    ├── TruncatedImage    the file ends too early
    ├── ImageTooLarge     too many bytes, too many pixels, or a side too long
    ├── AnimatedImage     several frames or pages
    ├── UnsupportedImage  an image, of a kind that is not decoded here
    ├── DecoderFailed     the decoder gave up: the file is damaged
    └── UnreadableFile    no such file, a folder, no permission
"""

from __future__ import annotations

from infra.errors import UserError


class ImageRefused(UserError):  # noqa: N818 – says what happened to the image
    """An image is not decoded; the line says why and what to do."""


class NotAnImage(ImageRefused):
    """The bytes are no image."""


class TruncatedImage(ImageRefused):
    """The file ends before the image does."""


class ImageTooLarge(ImageRefused):
    """More bytes, pixels or a longer side than allowed."""


class AnimatedImage(ImageRefused):
    """Several frames or pages, where one picture is wanted."""


class UnsupportedImage(ImageRefused):
    """An image of a format, or of a kind of pixels, that is not decoded here."""


class DecoderFailed(ImageRefused):
    """The decoder could not make sense of the file."""


class UnreadableFile(ImageRefused):
    """The file itself cannot be read."""
