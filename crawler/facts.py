"""What is asked of an image and what is known of it; imports next to nothing, for processes that decode none."""

from __future__ import annotations

from dataclasses import dataclass

_EXTENSIONS = {"jpeg": "jpg", "tiff": "tif"}


@dataclass(frozen=True)
class Checks:
    """What an image must be to be used."""

    min_side: int = 0  # pixels of the shorter side
    max_bytes: int | None = None  # None: the limit of `infra.images`
    one_face: bool = False  # exactly one face must be found
    min_face: float = 0.0  # its height, as a share of the picture's shorter side


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
    faces: int | None = None  # how many were found; None: not looked for
    face_box: tuple[int, int, int, int] | None = None  # left, top, width, height in pixels

    @property
    def key(self) -> str:
        """Where the original bytes lie in the object store: `images/ab/<sha256>.<ext>`."""
        extension = _EXTENSIONS.get(self.format, self.format)
        return f"images/{self.sha256[:2]}/{self.sha256}.{extension}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not in the dataset. `reason` is a short phrase to count by, `detail` is for the person.

    may_pass: it may be the machine and not the file: worth another try in another run.
    """

    reason: str
    detail: str
    may_pass: bool = False
