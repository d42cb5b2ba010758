"""Building a quiz deck: a dataset's split ▶ faces in one form, the champion's answers and heatmaps ▶ a folder of files.

Nothing of a face's file tells the truth but the picture: one square size, one encoder, one length in bytes, no
metadata, a drawn name, a shuffled order. The champion answers for the file that people see, not for the original.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from bot.detector import Detector
from bot.quiz.cues import Box, choose_cues
from bot.quiz.deck import DECK_KEY, FOLDER, FORMAT, DeckError, heatmap_key, picture_key, read_record
from bot.quiz.deck_choice import Judged, Recipe, candidates, choose, face_ids, kind_of, pool, truth_of
from bot.quiz.deck_pictures import (
    Form,
    common_form,
    evidence,
    heat_picture,
    heat_place,
    is_large_enough,
    padded,
    should_be_grey,
)
from bot.verdict import Verdict
from crawler.faces import detector_available, find_faces
from crawler.manifest import Manifest, ManifestRow, read_manifest
from infra.images import ImageRefused, decode_image
from infra.progress import progress
from infra.storage import ObjectNotFound, Storage, open_storage

GRACE_S = 24 * 3600  # a bot looks for a new deck every few seconds; a round that has begun is over in a day

_WORKERS = 4  # threads that read, decode and write; one picture each is in memory
_LOOKED_AT = 12  # pictures of a kind that tell whether it is grey
_DIGITS = 6  # of probabilities: two machines differ in the eighth


@dataclass(frozen=True)
class BuiltDeck:
    """What was built. kinds: faces by kind, "real" among them. refused: pictures that could not be read, and why.
    too_small: faces left out as they would have had to be enlarged. bytes: of all files.
    """

    url: str
    id: str
    model: str
    form: Form
    kinds: Counter[str]
    mistakes: int
    unsure: int
    judged: int
    too_small: int
    refused: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class _Files:
    """One face of the deck: what deck.json says, without names of files, and the files."""

    record: dict[str, Any]
    picture: bytes
    heatmap: bytes


def build_deck(data: str, into: str, detector: Detector, recipe: Recipe, now: datetime) -> BuiltDeck:
    """Write a deck from the dataset at `data` to `into`; the same faces for the same dataset, recipe and champion.

    Until deck.json is replaced, last of all, the deck that was there is the deck. Raises DeckError, ManifestError,
    and the errors of the storage and the bundle.
    """
    manifest = read_manifest(data)
    rows = manifest.rows(recipe.split)
    _refuse_hopeless(manifest, rows, recipe)
    wanted = candidates(rows, recipe)
    form = common_form(wanted)
    large = [row for row in wanted if is_large_enough(row, form)]
    drawn = pool(large, recipe)
    storage = open_storage(data)
    form = _without_telling_colours(storage, drawn, form)
    judged, refused = _judge(storage, drawn, form, detector)
    chosen = choose(judged, recipe)
    if len(chosen) < 2:
        raise DeckError(f"{data}: {len(refused)} of {len(drawn)} pictures cannot be used; {': '.join(refused[0])}")
    length = max(len(face.picture) for face in chosen)
    chosen = [replace(face, picture=padded(face.picture, length)) for face in chosen]
    files = _explained(chosen, form, detector, face_ids(manifest, recipe), recipe)
    content = {
        "model": detector.card.id,
        "dataset": {"url": data, "version": manifest.version, "hash": manifest.hash, "split": recipe.split},
        "side": form.shown,
        "faces": [face.record for face in files],
    }
    deck_id = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    _write(open_storage(into), deck_id, content, files, now)
    return BuiltDeck(
        url=into,
        id=deck_id,
        model=detector.card.id,
        form=form,
        kinds=Counter(kind_of(face.row) for face in chosen),
        mistakes=sum(face.is_mistake for face in chosen),
        unsure=sum(face.verdict == "unsure" for face in chosen),
        judged=len(judged),
        too_small=len(wanted) - len(large),
        refused=tuple(refused),
        missing=tuple(sorted({kind_of(row) for row in rows} - {kind_of(face.row) for face in chosen})),
        bytes=sum(len(face.picture) + len(face.heatmap) for face in files),
    )


def _refuse_hopeless(manifest: Manifest, rows: Sequence[ManifestRow], recipe: Recipe) -> None:
    if recipe.faces < 2:
        raise DeckError("a deck needs at least 2 faces, one real and one generated")
    for label in ("real", "fake"):
        if not any(row.label == label for row in rows):
            raise DeckError(f"{manifest.url} has no {label} faces in {recipe.split}; name another split with --split")


def _without_telling_colours(storage: Storage, rows: Sequence[ManifestRow], form: Form) -> Form:
    by_kind: defaultdict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        by_kind[kind_of(row)].append(row)
    looked_at: dict[str, list[NDArray[np.uint8]]] = {}
    for kind, of_kind in by_kind.items():
        read = (_decoded(storage, row) for row in of_kind[:_LOOKED_AT])
        looked_at[kind] = [rgb for rgb in read if not isinstance(rgb, str)]
    grey = any(looked_at.values()) and should_be_grey(looked_at)
    return Form(form.side, form.factor, grey)


def _judge(
    storage: Storage, rows: Sequence[ManifestRow], form: Form, detector: Detector
) -> tuple[list[Judged], list[tuple[str, str]]]:
    """The champion's answers for all of `rows` that can be shown, and which cannot, with the reason."""
    refused: list[tuple[str, str]] = []
    shown: list[tuple[ManifestRow, bytes]] = []

    def made() -> Iterator[bytes]:
        with ThreadPoolExecutor(_WORKERS) as workers:
            for row, picture in zip(rows, workers.map(lambda row: _shown(storage, row, form), rows), strict=True):
                if isinstance(picture, str):
                    refused.append((row.key, picture))
                    advance()
                    continue
                shown.append((row, picture))
                yield picture

    judged: list[Judged] = []
    with progress("judging faces", len(rows)) as advance:
        for verdict in detector.check_many(made()):
            (row, picture), answer = shown[len(judged)], _accepted(verdict)
            judged.append(Judged(row, picture, round(answer.p_fake, _DIGITS), answer.verdict))
            advance()
    return judged, refused


def _explained(
    chosen: Sequence[Judged], form: Form, detector: Detector, ids: dict[str, str], recipe: Recipe
) -> list[_Files]:
    files: list[_Files] = []
    with progress("drawing heatmaps", len(chosen)) as advance:
        verdicts = detector.check_many((face.picture for face in chosen), heatmaps=True)
        for face, verdict in zip(chosen, verdicts, strict=True):
            files.append(_files(face, _accepted(verdict), form, ids[face.row.sha256], recipe))
            advance()
    return files


def _files(face: Judged, verdict: Verdict, form: Form, face_id: str, recipe: Recipe) -> _Files:
    shown = decode_image(face.picture).rgb
    heat = evidence(verdict.layers)
    heatmap = heat_picture(shown, heat)
    truth, kind = truth_of(face.row), kind_of(face.row)
    rng = random.Random(f"{recipe.seed} cues {face_id}")
    record = {
        "id": face_id,
        "truth": truth,
        "kind": kind,
        "difficulty": round(face.difficulty, _DIGITS),
        "machine_p_fake": face.p_fake,
        "machine_verdict": face.verdict,
        "heat_side": verdict.explains,
        "heat_place": heat_place(heat),
        "cues": list(choose_cues(truth, kind, form.side, heat, _face_box(shown), rng)),
        "picture": _file_record(face.picture),
        "heatmap": _file_record(heatmap),
        "credit": {"author": face.row.author, "licence": face.row.licence, "link": _link(face.row)},
    }
    return _Files(record, face.picture, heatmap)


def _write(storage: Storage, deck_id: str, content: dict[str, Any], files: Sequence[_Files], now: datetime) -> None:
    folder = f"d-{deck_id}"
    to_write: list[tuple[str, bytes]] = []
    for face in files:
        to_write.append((picture_key(folder, face.record["id"]), face.picture))
        to_write.append((heatmap_key(folder, face.record["id"]), face.heatmap))
    with progress("writing files", len(to_write)) as advance, ThreadPoolExecutor(_WORKERS) as workers:
        for _ in workers.map(lambda file: storage.put(*file), to_write):
            advance()
    replaced = _replaced(storage, folder, now.timestamp())
    over = {name for name, since in replaced.items() if now.timestamp() - since > GRACE_S}
    record = {
        "format": FORMAT,
        "id": deck_id,
        "created_at": now.isoformat(timespec="seconds"),
        "folder": folder,
        "replaced": {name: since for name, since in replaced.items() if name not in over},
        **content,
    }
    data = json.dumps(record, ensure_ascii=False, indent=1).encode()
    read_record(data, storage.url)  # what no reader would take is not written
    storage.put(DECK_KEY, data)
    for name in sorted(over):
        for key in list(storage.list(f"{name}/")):
            storage.delete(key)


def _replaced(storage: Storage, folder: str, now: float) -> dict[str, float]:
    """Folders of decks other than `folder`, and when each was first seen to be out of use: those of former decks, and
    those of builds that were broken off."""
    try:
        known = dict(read_record(storage.get(DECK_KEY), storage.url).replaced)
    except (ObjectNotFound, DeckError):
        known = {}
    there = {key.split("/", 1)[0] for key in storage.list("d-")}
    return {name: known.get(name, now) for name in sorted(there) if re.fullmatch(FOLDER, name) and name != folder}


def _shown(storage: Storage, row: ManifestRow, form: Form) -> bytes | str:
    """The JPEG of a face, or why there is none."""
    rgb = _decoded(storage, row)
    if isinstance(rgb, str):
        return rgb
    if min(rgb.shape[:2]) < form.side:
        return f"it is smaller than the manifest says ({rgb.shape[1]}×{rgb.shape[0]} pixels)"
    return form.picture(rgb)


def _decoded(storage: Storage, row: ManifestRow) -> NDArray[np.uint8] | str:
    try:
        return decode_image(storage.get(row.key)).rgb
    except (ObjectNotFound, ImageRefused) as error:
        return str(error)


def _accepted(outcome: Verdict | ImageRefused) -> Verdict:
    """The pictures are our own JPEGs, so a refusal is a fault of the deck's maker. Raises it."""
    if isinstance(outcome, ImageRefused):
        raise outcome
    return outcome


def _face_box(shown: NDArray[np.uint8]) -> Box | None:
    if not detector_available():
        return None
    side = shown.shape[0]
    grey = np.rint(shown @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    for left, top, width, height in islice(find_faces(grey), 1):
        return left / side, top / side, width / side, height / side
    return None


def _file_record(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _link(row: ManifestRow) -> str | None:
    """Where the picture is from, if that is a page on the web without a name and password in it."""
    for url in (row.url, row.final_url):
        parts = urlsplit(url or "")
        if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc:
            return url
    return None
