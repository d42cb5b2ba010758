"""The quiz deck: faces with the truth, the machine's answer and its heatmap, made beforehand and read at play time.

A deck is a storage URL (`python -m bot deck` makes it, `bot.quiz.deck_building` writes it) that holds

    deck.json                  what there is; written last, so that a deck without it is none
    d-<deck's id>/faces/<face's id>.jpg    the picture that is shown
    d-<deck's id>/heat/<face's id>.png     the same with the champion's evidence over it

deck.json names the folder of its files. A new build writes another folder and then replaces deck.json; the old folder
stays for a day, so that a bot that has the old deck open can finish its rounds.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self

from pydantic import Field

from bot.quiz.cues import cues
from bot.verdict import Label, Side
from infra.errors import UserError
from infra.params import ParamsError, StrictModel, validate
from infra.storage import ObjectNotFound, Storage, StorageError, open_storage

DECK_KEY = "deck.json"
FORMAT = 1
FOLDER = r"d-[0-9a-f]{16}"

MAX_DECK_BYTES = 32 * 2**20  # 600 bytes a face
MAX_FILE_BYTES = 4 * 2**20
_KEPT_FILES = 64  # of 30 to 200 kB: the faces that are in play

HeatPlace = Literal[
    "upper left", "upper centre", "upper right", "left", "centre", "right",
    "lower left", "lower centre", "lower right", "everywhere", "nowhere",
]  # fmt: skip


class DeckError(UserError):
    """A deck that cannot be used, or cannot be made; the line says what and where."""


class NoDeck(DeckError):  # noqa: N818 – says what is missing
    """There is no deck at the URL; the line says which command makes one."""


class CreditRecord(StrictModel):
    """Whom a face is owed to. link: the picture's page or file; shown after the answer only."""

    author: str | None
    licence: str | None
    link: str | None


class FileRecord(StrictModel):
    """One file of the deck."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0, le=MAX_FILE_BYTES)


class FaceRecord(StrictModel):
    """One face as deck.json has it; see :class:`Face`."""

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    truth: Side
    kind: str = Field(min_length=1, max_length=200)
    difficulty: float = Field(ge=0, le=1)
    machine_p_fake: float = Field(ge=0, le=1)
    machine_verdict: Label
    heat_side: Side
    heat_place: HeatPlace
    cues: tuple[str, ...]
    picture: FileRecord
    heatmap: FileRecord
    credit: CreditRecord


class DatasetRecord(StrictModel):
    """The version of the dataset from which the faces come."""

    url: str
    version: int
    hash: str
    split: str


class DeckRecord(StrictModel):
    """The content of deck.json. replaced: folders of former decks, and when each was seen to be out of use (seconds
    since 1970); a later build removes them. side: pixels of every picture.
    """

    format: Literal[1]
    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    created_at: str
    folder: str = Field(pattern=f"^{FOLDER}$")
    replaced: dict[str, float]
    model: str
    dataset: DatasetRecord
    side: int = Field(gt=0)
    faces: tuple[FaceRecord, ...] = Field(min_length=2)


@dataclass(frozen=True)
class Face:
    """One face of the quiz. id: random-looking, tells nothing of the truth.

    kind: "real", or which generator drew it. difficulty: how wrong the machine is, |p_fake - truth|, in [0, 1].
    machine_wrong: its verdict is the other side; "unsure" is not wrong. heat_side: whose evidence the heatmap shows;
    heat_place: where most of it lies. cues: keys of `bot.quiz.cues`, places to look at, the most fitting first.
    """

    id: str
    truth: Side
    kind: str
    difficulty: float
    machine_p_fake: float
    machine_verdict: Label
    machine_wrong: bool
    cues: tuple[str, ...]
    heat_side: Side
    heat_place: HeatPlace


@dataclass(frozen=True)
class Attribution:
    """Whom pictures are owed to, where known. faces: how many of the deck. link: of a single face's only."""

    author: str | None
    licence: str | None
    faces: int = 1
    link: str | None = None


class Deck:
    """One deck, read; its files are read when they are asked for. For many threads at once."""

    id: str
    faces: tuple[Face, ...]
    attributions: tuple[Attribution, ...]
    model: str
    dataset: DatasetRecord
    created_at: str
    side: int

    def __init__(self, storage: Storage, record: DeckRecord, digest: bytes) -> None:
        """Use :meth:`open`. digest: of deck.json as it was read."""
        self.id, self.model, self.dataset = record.id, record.model, record.dataset
        self.created_at, self.side = record.created_at, record.side
        self.faces = tuple(_face(face) for face in record.faces)
        self.attributions = _attributions(record.faces)
        self._storage, self._folder, self._digest = storage, record.folder, digest
        self._records = {face.id: face for face in record.faces}
        self._faces = {face.id: face for face in self.faces}
        self._file = lru_cache(maxsize=_KEPT_FILES)(self._read)

    @classmethod
    def open(cls, url: str) -> Self:
        """The deck at `url`. Raises NoDeck, DeckError for one that cannot be read, and StorageError."""
        storage = open_storage(url)
        try:
            data = storage.get(DECK_KEY) if storage.size(DECK_KEY) <= MAX_DECK_BYTES else None
        except ObjectNotFound:
            raise NoDeck(f"no quiz deck at {url}; make one with: python -m bot deck --into {url}") from None
        if data is None:
            raise DeckError(f"{url}: {DECK_KEY} is larger than {MAX_DECK_BYTES:,} bytes; {_rebuild(url)}")
        return cls(storage, read_record(data, url), hashlib.sha256(data).digest())

    def face(self, face_id: str) -> Face:
        """Raises DeckError where the deck has no such face."""
        if face_id not in self._faces:
            raise DeckError(f"{self._storage.url}: the deck {self.id} has no face {face_id[:40]!r}")
        return self._faces[face_id]

    def picture(self, face_id: str) -> bytes:
        """The JPEG that is shown. Raises DeckError for one that is missing or damaged, StorageError."""
        return self._file(face_id, "picture")

    def heatmap(self, face_id: str) -> bytes:
        """The PNG with the machine's evidence over the face. Raises as `picture`."""
        return self._file(face_id, "heatmap")

    def attribution(self, face_id: str) -> Attribution:
        """Whom this face is owed to. Only for after the answer: it tells the truth."""
        self.face(face_id)
        credit = self._records[face_id].credit
        return Attribution(credit.author, credit.licence, link=credit.link)

    def is_stale(self) -> bool:
        """Whether another deck has been built at this URL since: then open it anew. One small read.

        False where that cannot be told now: what is open goes on being played.
        """
        try:
            return hashlib.sha256(self._storage.get(DECK_KEY)).digest() != self._digest
        except StorageError:
            return False

    def _read(self, face_id: str, what: Literal["picture", "heatmap"]) -> bytes:
        self.face(face_id)
        face = self._records[face_id]
        file = face.picture if what == "picture" else face.heatmap
        key = picture_key(self._folder, face_id) if what == "picture" else heatmap_key(self._folder, face_id)
        url = self._storage.url
        try:
            # Asked first: a file that has grown to gigabytes is not read to find that out.
            data = self._storage.get(key) if self._storage.size(key) == file.bytes else b""
        except ObjectNotFound:
            raise DeckError(f"{url}: {key} is missing from the quiz deck; {_rebuild(url)}") from None
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise DeckError(f"{url}: {key} of the quiz deck is damaged; {_rebuild(url)}")
        return data


def picture_key(folder: str, face_id: str) -> str:
    """Where a deck with this folder keeps a face."""
    return f"{folder}/faces/{face_id}.jpg"


def heatmap_key(folder: str, face_id: str) -> str:
    """Where a deck with this folder keeps the heatmap of a face."""
    return f"{folder}/heat/{face_id}.png"


def read_record(data: bytes, url: str) -> DeckRecord:
    """The content of a deck.json. url: named in errors. Raises DeckError."""
    where = f"{url}: {DECK_KEY}"
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise DeckError(f"{where} is damaged: it is not JSON; {_rebuild(url)}") from None
    if isinstance(content, Mapping) and content.get("format") != FORMAT:
        raise DeckError(f"{where} is of another format than {FORMAT}; {_rebuild(url)}")
    try:
        record = validate(DeckRecord, content, where)
    except ParamsError as error:
        raise DeckError(f"{error}; {_rebuild(url)}") from None
    if len({face.id for face in record.faces}) < len(record.faces):
        raise DeckError(f"{where} lists a face twice; {_rebuild(url)}")
    return record


def _rebuild(url: str) -> str:
    return f"make it anew with: python -m bot deck --into {url}"


def _face(record: FaceRecord) -> Face:
    known = cues()
    other: Side = "real" if record.truth == "fake" else "fake"
    return Face(
        id=record.id,
        truth=record.truth,
        kind=record.kind,
        difficulty=record.difficulty,
        machine_p_fake=record.machine_p_fake,
        machine_verdict=record.machine_verdict,
        machine_wrong=record.machine_verdict == other,
        # A deck may be older than the list of cues.
        cues=tuple(key for key in record.cues if key in known),
        heat_side=record.heat_side,
        heat_place=record.heat_place,
    )


def _attributions(faces: tuple[FaceRecord, ...]) -> tuple[Attribution, ...]:
    """Each author and licence once, the one with most faces first."""
    owed = Counter((face.credit.author, face.credit.licence) for face in faces)
    ranked = sorted(owed.items(), key=lambda item: (-item[1], item[0][1] or "", item[0][0] or ""))
    return tuple(Attribution(author, licence, count) for (author, licence), count in ranked)
