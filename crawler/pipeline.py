"""Source ▶ check ▶ upload ▶ merge ▶ manifest: how images come into a dataset."""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from crawler.decoders import examine_files
from crawler.facts import ImageFacts, Refusal
from crawler.fingerprint import sha256_hex
from crawler.manifest import Manifest, newest_manifest, update_manifest
from crawler.merge import Arrival, Conflict, Merge, Move, merge
from crawler.sources import SourceError, SourceImage
from crawler.takedown import taken_down
from infra.progress import progress
from infra.storage import Storage, open_storage

REPORT_KEY = "manifest/import-report.json"

_UPLOADS = 8  # at once; a put to a distant server waits much longer than it works


@dataclass(frozen=True)
class Refused:
    """A file that was skipped."""

    name: str
    reason: str
    detail: str


@dataclass(frozen=True)
class ImportReport:
    """What an import did. added + already_there + same_file_twice + refused + in conflict = files listed."""

    manifest: Manifest
    listed: int
    added: int
    already_there: int
    same_file_twice: int
    refused: tuple[Refused, ...]
    conflicts: tuple[Conflict, ...]
    moves: tuple[Move, ...]

    def refused_by_reason(self) -> Counter[str]:
        return Counter(refused.reason for refused in self.refused)


def import_images(images: Sequence[SourceImage], url: str, workers: int = 1, seed: int = 0) -> ImportReport:
    """Bring `images` into the dataset at `url`: objects first, then one new version of the manifest.

    What is there already stays as it is; importing the same images again adds nothing. Interrupted at any moment it
    leaves the dataset as it was, plus objects that the next run finds. Raises SourceError where no image can be
    used, and the errors of the storage.
    """
    storage = open_storage(url)
    arrivals: list[Arrival] = []
    refused: list[Refused] = []
    with progress("importing", len(images)) as advance:
        for image, outcome in _stored(storage, images, workers, _taken_down(url, storage)):
            if isinstance(outcome, Refusal):
                refused.append(Refused(image.name, outcome.reason, outcome.detail))
            else:
                arrivals.append(Arrival(image, outcome))
            advance()
    refused.sort(key=lambda entry: entry.name)
    if not arrivals:
        first = refused[0]
        raise SourceError(f"none of {len(images)} files is a usable image; {first.name}: {first.detail}")
    outcome_of_merge: list[Merge] = []

    def change(current: Manifest | None) -> pa.Table:
        outcome_of_merge[:] = [merge(current, arrivals, seed)]
        return outcome_of_merge[0].table

    manifest = update_manifest(url, change)
    merged = outcome_of_merge[0]
    report = ImportReport(
        manifest=manifest,
        listed=len(images),
        added=merged.added,
        already_there=merged.already_there,
        same_file_twice=merged.same_file_twice,
        refused=tuple(refused),
        conflicts=merged.conflicts,
        moves=merged.moves,
    )
    if report.refused or report.conflicts or report.moves:
        storage.put(REPORT_KEY, _report_json(report))
    return report


def _report_json(report: ImportReport) -> bytes:
    content = {
        "version": report.manifest.version,
        "refused": [asdict(entry) for entry in report.refused],
        "conflicts": [asdict(entry) for entry in report.conflicts],
        "moves": [asdict(entry) for entry in report.moves],
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _taken_down(url: str, storage: Storage) -> Callable[[ImageFacts], bool]:
    """Says of an image whether it was taken down from the dataset, or is a near copy of one that was."""
    takedowns = taken_down(storage)
    if not takedowns.entries:
        return lambda facts: False
    newest = newest_manifest(url)
    # What was left in the dataset when a near copy of it was taken down may be imported again.
    there = frozenset() if newest is None else frozenset(newest.table["sha256"].to_pylist())
    return lambda facts: facts.sha256 not in there and takedowns.refuses(facts.sha256, facts.phash)


def _stored(
    storage: Storage, images: Sequence[SourceImage], workers: int, is_taken_down: Callable[[ImageFacts], bool]
) -> Iterator[tuple[SourceImage, ImageFacts | Refusal]]:
    """Examine every image and upload the good ones; yields in any order."""
    listed: defaultdict[Path, list[SourceImage]] = defaultdict(list)  # an index may list a file twice
    for image in images:
        listed[image.path].append(image)
    uploads: deque[tuple[Path, Future[ImageFacts | Refusal]]] = deque()
    pool = ThreadPoolExecutor(_UPLOADS)

    def oldest() -> Iterator[tuple[SourceImage, ImageFacts | Refusal]]:
        path, upload = uploads.popleft()
        return ((image, upload.result()) for image in listed[path])

    try:
        for path, facts in examine_files(listed, workers):
            outcome = facts
            if isinstance(facts, ImageFacts) and is_taken_down(facts):
                outcome = Refusal("taken down", f"{facts.sha256} was taken down from this dataset")
            if isinstance(outcome, Refusal):
                yield from ((image, outcome) for image in listed[path])
            else:
                uploads.append((path, pool.submit(_upload, storage, path, outcome)))
            while len(uploads) > 2 * _UPLOADS:
                yield from oldest()
        while uploads:
            yield from oldest()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _upload(storage: Storage, path: Path, facts: ImageFacts) -> ImageFacts | Refusal:
    if storage.exists(facts.key):
        return facts
    try:
        data = path.read_bytes()
    except OSError as error:
        return Refusal("unreadable", error.strerror or str(error))
    # Read a second time, so that the pool need not send the bytes: the name must still be the content's.
    if sha256_hex(data) != facts.sha256:
        return Refusal("changed", "the file changed while it was imported")
    storage.put(facts.key, data)
    return facts
