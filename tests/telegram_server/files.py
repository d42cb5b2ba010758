"""Files at Telegram: photos are made into JPEGs of several sizes, everything else is kept as it was sent."""

from __future__ import annotations

import hashlib
import io
import itertools
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageOps

from tests.telegram_server.errors import ApiError, bad
from tests.telegram_server.world import Clock

MIB = 2**20
MAX_PHOTO, MAX_UPLOAD, MAX_DOWNLOAD = 10 * MIB, 50 * MIB, 20 * MIB  # bytes, as the documentation says
LINK_S = 3600.0  # the documentation of getFile
MAX_SIDES, MAX_RATIO = 10_000, 20  # width and height together; the longer side by the shorter
SIDES = (90, 320, 800, 1280, 2560)  # px of the longer side: s, m, x, y and w, core.telegram.org/api/files
_QUALITY = 87
_PREFIXES = {"photo": "AgACAgI", "document": "BQACAgI", "animation": "CgACAgI", "video": "BAACAgI",
             "sticker": "CAACAgI", "voice": "AwACAgI", "audio": "CQACAgI", "video_note": "DQACAgI"}  # fmt: skip
_FOLDERS = {"photo": "photos", "document": "documents", "animation": "animations", "video": "videos",
            "sticker": "stickers", "voice": "voice", "audio": "music", "video_note": "video_notes"}  # fmt: skip


@dataclass
class Stored:
    """One file. size: in bytes, more than there are where a test only says that a file is large."""

    id: str
    unique_id: str
    path: str
    data: bytes
    size: int
    width: int = 0
    height: int = 0

    @property
    def shown(self) -> dict[str, Any]:
        sides = {"width": self.width, "height": self.height} if self.width else {}
        return {"file_id": self.id, "file_unique_id": self.unique_id, "file_size": self.size, **sides}


@dataclass
class Media:
    """kind: photo, document, animation, video, sticker, … sizes: of a photo, the smallest first. file: of the others,
    with sizes for its thumbnail. upload: the bytes as handed in.
    """

    kind: str
    upload: bytes
    sizes: list[Stored] = field(default_factory=list)
    file: Stored | None = None
    name: str | None = None
    mime: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    is_spoiler: bool = False

    @property
    def main(self) -> Stored:
        return self.file or self.sizes[-1]

    @property
    def data(self) -> bytes:
        """What can be downloaded: of a photo the largest size."""
        return self.main.data

    @property
    def shown(self) -> dict[str, Any]:
        """Its fields in a message."""
        if self.kind == "photo":
            return {"photo": [size.shown for size in self.sizes]}
        shown = {**self.main.shown, **self.details}
        if self.kind not in ("sticker", "video_note", "voice"):
            shown |= {"file_name": self.name} if self.name else {}
        if self.kind not in ("sticker", "video_note"):
            shown |= {"mime_type": self.mime} if self.mime else {}
        if self.sizes:
            shown["thumbnail"] = self.sizes[0].shown
        # an animation is shown as a document too, for programs that know of none
        also = {k: v for k, v in shown.items() if k not in ("width", "height", "duration")}
        return {self.kind: shown} | ({"document": also} if self.kind == "animation" else {})


class Files:
    """All files, by id and by path. downloads: the paths that the bot has fetched."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._by_id: dict[str, tuple[Media, Stored]] = {}
        self._links: dict[str, tuple[Stored, float]] = {}  # until when
        self.downloads: list[str] = []

    def photo(self, data: bytes, *, hd: bool = False) -> Media:
        """What becomes of a picture that is sent as a photo; raises ApiError as Telegram refuses it.

        hd: as people's programs may send it, of up to 2560 px instead of 1280.
        """
        if len(data) > MAX_PHOTO:
            raise bad(f"file of size {len(data)} bytes is too big for a photo; the maximum size is {MAX_PHOTO} bytes")
        if not data:
            raise bad("file must be non-empty")
        try:
            opened = Image.open(io.BytesIO(data))
            width, height = opened.size
            if width + height > MAX_SIDES or max(width, height) > MAX_RATIO * min(width, height):
                raise bad("PHOTO_INVALID_DIMENSIONS")
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        except ApiError:
            raise
        except Exception as error:
            raise bad("IMAGE_PROCESS_FAILED") from error
        media = Media("photo", data)
        sides = [side for side in SIDES[: 5 if hd else 4] if side < max(picture.size)]
        sides.append(min(max(picture.size), SIDES[4 if hd else 3]))
        for side in sorted(set(sides), reverse=True):  # each from the one before, for speed
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
            media.sizes.insert(0, self._jpeg(media, picture))
        return media

    def file(
        self,
        kind: str,
        data: bytes,
        name: str | None,
        mime: str | None,
        *,
        size: int | None = None,
        thumbnail: bytes | None = None,
        **details: Any,
    ) -> Media:
        """Something that is kept as it is. size: to pretend that it has so many bytes."""
        media = Media(kind, data, name=name, mime=mime, details=details)
        suffix = f".{name.rpartition('.')[2]}" if name and "." in name else ""
        media.file = self._store(media, kind, data, suffix, size)
        if thumbnail is not None:
            small = Image.open(io.BytesIO(thumbnail)).convert("RGB")
            small.thumbnail((320, 320))
            media.sizes.append(self._jpeg(media, small))
        return media

    def find(self, file_id: str, kind: str | None = None) -> tuple[Media, Stored]:
        """By an id that Telegram gave; raises ApiError for others, and where it is of another kind."""
        if file_id not in self._by_id:
            raise bad("wrong file identifier/HTTP URL specified" if kind else "invalid file_id")
        media, stored = self._by_id[file_id]
        if kind is not None and kind != media.kind:
            raise bad(f"can't use file of type {media.kind.title()} as {kind.title()}")
        return media, stored

    def at(self, path: str) -> Stored | None:
        """By the path that getFile gave, as long as it is promised to last."""
        stored, until = self._links.get(path, (None, 0.0))
        return stored if self._clock.now() < until else None

    def publish(self, stored: Stored) -> None:
        """After getFile there is a link to it; raises ApiError where it is too big."""
        if stored.size > MAX_DOWNLOAD:
            raise bad("file is too big")
        self._links[stored.path] = (stored, self._clock.now() + LINK_S)

    def _jpeg(self, media: Media, picture: Image.Image) -> Stored:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=_QUALITY)
        stored = self._store(media, "photo", out.getvalue(), ".jpg", None)
        stored.width, stored.height = picture.size
        return stored

    def _store(self, media: Media, kind: str, data: bytes, suffix: str, size: int | None) -> Stored:
        number = next(self._numbers)
        digest = hashlib.sha256(data + bytes([number % 256, number >> 8 & 255])).hexdigest()
        unique = f"AQAD{digest[:12]}"
        file_id = f"{_PREFIXES[kind]}{digest}{number:08d}"
        stored = Stored(file_id, unique, f"{_FOLDERS[kind]}/file_{number}{suffix}", data, size or len(data))
        self._by_id[file_id] = (media, stored)
        return stored
