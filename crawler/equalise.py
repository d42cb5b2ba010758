"""A dataset whose two classes went through one crop, one size and one encoder, derived from another.

It takes away what the file tells: format, size, quantisation, metadata, borders. What the first encoder and the first
size left inside the picture stays there, in part: the grid of an earlier JPEG, the softness of a picture that was
small. So sources that are alike to begin with are better than any equalising.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from crawler.examine import examine
from crawler.facts import ImageFacts
from crawler.isolation import Crashed, map_isolated
from crawler.manifest import Manifest, ManifestError, ManifestRow, read_manifest, table_of, update_manifest
from crawler.transform import EqualiseError, Transform
from infra.images import ImageRefused, decode_image
from infra.progress import progress
from infra.storage import ObjectNotFound, Storage, absolute_url, open_storage

REPORT_KEY = "manifest/equalise-report.json"

_PARTS = "manifest/equalise/"  # what an interrupted run has done so far
_PART_SIZE = 500  # images; what is lost at most when a run is killed
_TOO_SMALL = "too small"


@dataclass(frozen=True)
class LeftOut:
    """An image of the original that has no row in the derived dataset."""

    sha256: str
    label: str
    reason: str
    detail: str


@dataclass(frozen=True)
class EqualiseReport:
    """What was made of which dataset. made: images encoded now; found: those that an earlier run had encoded."""

    manifest: Manifest
    original: Manifest
    transform: Transform
    made: int
    found: int
    left_out: tuple[LeftOut, ...]

    def left_out_by_reason(self) -> Counter[tuple[str, str]]:
        """How many were left out for each (reason, label)."""
        return Counter((entry.reason, entry.label) for entry in self.left_out)


def default_target(url: str) -> str:
    """Where the equalised form of the dataset at `url` goes. Raises EqualiseError where no name can be made."""
    plain = url.rstrip("/")
    if not re.search(r"[\w-]$", plain) or re.fullmatch(r"s3://[^/]*", plain):
        raise EqualiseError(f"{url}: say where the equalised dataset goes with --into URL")
    return f"{plain}-equalised"


def equalise(
    url: str, into: str, transform: Transform | None = None, version: int | None = None, workers: int = 1
) -> EqualiseReport:
    """Write the dataset at `url` through one transform as the dataset `into`.

    Every row keeps its label, generator, split, cluster and origin; `derived_from` and `transform` say the rest.
    An image must be made smaller: one that would have to be enlarged, or stay as it is, is left out, since that
    would mark its class. Run again it adds nothing; interrupted it goes on, and no manifest is written before the
    end. Raises EqualiseError, ManifestError and the errors of the storage.
    """
    transform = transform or Transform()
    original = read_manifest(url, version)
    if absolute_url(into).rstrip("/") == absolute_url(url).rstrip("/"):
        raise EqualiseError(f"{into} is the original itself; name another place with --into")
    target = open_storage(into)
    known = _made_before(into, target, transform)
    rows, left_out = _large_enough(original, transform)
    to_do = [row for row in rows if row.sha256 not in known]
    facts = {row.sha256: known[row.sha256] for row in rows if row.sha256 in known}
    job = _Job(open_storage(url), target, transform)
    with progress("equalising", len(to_do)) as advance:
        for row, outcome in _in_parts(target, transform, map_isolated(job, to_do, workers, preload=(__name__,))):
            if isinstance(outcome, str):
                left_out.append(LeftOut(row.sha256, row.label, "cannot be read", outcome))
            else:
                facts[row.sha256] = outcome
            advance()
    derived = _derived_rows([row for row in rows if row.sha256 in facts], facts, transform, left_out)
    if not derived:
        raise EqualiseError(f"{url}: nothing is left to write; {left_out[0].detail}")
    manifest = update_manifest(into, lambda _: table_of(derived))
    report = EqualiseReport(
        manifest, original, transform, len(to_do), len(rows) - len(to_do), tuple(sorted(left_out, key=_by_sha256))
    )
    target.put(REPORT_KEY, _report_json(report))
    for key in list(target.list(_PARTS)):
        target.delete(key)
    return report


@dataclass(frozen=True)
class _Job:
    """What a worker process does with one row: the stored picture's facts, or why there is none."""

    source: Storage
    target: Storage
    transform: Transform

    def __call__(self, row: ManifestRow) -> ImageFacts | str:
        try:
            data = self.transform.apply(decode_image(self.source.get(row.key)).rgb)
        except (ObjectNotFound, ImageRefused) as error:
            return str(error)
        facts = examine(data)
        self.target.put_if_absent(facts.key, data)
        return facts


def _in_parts(
    target: Storage,
    transform: Transform,
    outcomes: Iterator[tuple[ManifestRow, ImageFacts | str | Crashed[ManifestRow]]],
) -> Iterator[tuple[ManifestRow, ImageFacts | str]]:
    """The outcomes as they come, written down every so often, so that a killed run goes on from there."""
    part: dict[str, dict[str, object]] = {}

    def write() -> None:
        if part:
            name = hashlib.sha256("".join(part).encode()).hexdigest()[:16]
            content = {"transform": str(transform), "made": part}
            target.put(f"{_PARTS}{name}.json", json.dumps(content).encode())
            part.clear()

    try:
        for row, outcome in outcomes:
            if isinstance(outcome, Crashed):
                yield row, "the process that decoded it died"
                continue
            if isinstance(outcome, ImageFacts):
                part[row.sha256] = asdict(outcome)
            yield row, outcome
            if len(part) >= _PART_SIZE:
                write()
    except BaseException:
        write()  # Ctrl-C
        raise


def _made_before(into: str, target: Storage, transform: Transform) -> dict[str, ImageFacts]:
    """By the original's sha256 what was stored already. Raises EqualiseError where `into` holds something else."""
    known: dict[str, ImageFacts] = {}
    for key in target.list(_PARTS):
        try:
            content = json.loads(target.get(key))
            if content["transform"] == str(transform):
                known |= {name: _facts(made) for name, made in content["made"].items()}
        except (ObjectNotFound, ValueError, TypeError, KeyError, AttributeError):
            continue  # then it is made again
    try:
        rows = read_manifest(into).rows()
    except ManifestError:
        rows = []
    for row in rows:
        if not row.derived_from or not (row.transform or "").endswith(str(transform)):
            what = f"made by another transform ({row.transform})" if row.transform else "of originals"
            raise EqualiseError(f"{into} holds a dataset {what}; name another place with --into")
        known[row.derived_from] = ImageFacts(**{name: getattr(row, name) for name in _FACTS})
    stored = set(target.list("images/")) if known else set()
    return {name: facts for name, facts in known.items() if facts.key in stored}


_FACTS = ("sha256", "width", "height", "format", "bytes", "phash", "jpeg_quality", "ai_markers")


def _facts(made: dict[str, object]) -> ImageFacts:
    """Read back from JSON, which has no tuples. Raises KeyError or TypeError."""
    fields = {name: tuple(v) if isinstance(v := made[name], list) else v for name in _FACTS}
    return ImageFacts(**fields)  # type: ignore[arg-type]


def _large_enough(original: Manifest, transform: Transform) -> tuple[list[ManifestRow], list[LeftOut]]:
    rows, left_out = [], []
    for row in original.rows():
        cropped = transform.cropped_side(row.width, row.height)
        if cropped > transform.side:
            rows.append(row)
            continue
        detail = f"{row.width}×{row.height} pixels give a square of {cropped}, which must be above {transform.side}"
        left_out.append(LeftOut(row.sha256, row.label, _TOO_SMALL, detail))
    for label in ("real", "fake"):
        if not any(row.label == label for row in rows):
            raise EqualiseError(
                f"{original.url}: no {label} image is larger than {transform.side} pixels after the crop, and none is "
                f"enlarged; {_advice(original, transform)}"
            )
    return rows, left_out


def _advice(original: Manifest, transform: Transform) -> str:
    sides: defaultdict[str, list[int]] = defaultdict(list)
    for row in original.rows():
        sides[row.label].append(transform.cropped_side(row.width, row.height))
    if len(sides) < 2:
        return "there is only one label"
    keeps_most = min(float(np.quantile(of_label, 0.05)) for of_label in sides.values())
    side = (int(keeps_most) - 1) // 8 * 8
    return f"--side {side} would keep nearly all" if side >= 16 else "the images are too small for this"


def _derived_rows(
    rows: Sequence[ManifestRow], facts: dict[str, ImageFacts], transform: Transform, left_out: list[LeftOut]
) -> list[ManifestRow]:
    """One row for each different file; of originals that became the same one the first, none if labels differ."""
    by_content: defaultdict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        by_content[facts[row.sha256].sha256].append(row)
    derived = []
    for sha256, same in by_content.items():
        if len({row.label for row in same}) > 1:
            detail = f"{len(same)} originals of both labels become {sha256[:12]}"
            left_out += [LeftOut(row.sha256, row.label, "same picture under two labels", detail) for row in same]
            continue
        first, *others = same
        detail = f"becomes the same file as {first.sha256[:12]}"
        left_out += [LeftOut(row.sha256, row.label, "same file as another", detail) for row in others]
        derived.append(_derived_row(first, facts[first.sha256], transform))
    return derived


def _derived_row(row: ManifestRow, made: ImageFacts, transform: Transform) -> ManifestRow:
    return replace(
        row,
        key=made.key,
        faces=None,
        face_box=None,
        derived_from=row.sha256,
        transform=f"{row.transform}; {transform}" if row.transform else str(transform),
        **{name: getattr(made, name) for name in _FACTS},
    )


def _by_sha256(entry: LeftOut) -> str:
    return entry.sha256


def _report_json(report: EqualiseReport) -> bytes:
    original = report.original
    content = {
        "of": {"url": original.url, "version": original.version, "hash": original.hash},
        "transform": str(report.transform),
        "version": report.manifest.version,
        "images": len(report.manifest),
        "left_out": [asdict(entry) for entry in report.left_out],
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
