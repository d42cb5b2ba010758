"""Manifest ▶ sample ▶ measures ▶ probes ▶ audit, kept in the dataset so that it is made once."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from crawler.audit.columns import Column, columns_of, strongest_in_words
from crawler.audit.features import FAMILIES, Measured, measure
from crawler.audit.probe import Units, cross_validate
from crawler.audit.report import ALL_GENERATORS, FORMAT, TOGETHER, Audit, Group, Probe
from crawler.labels import SPLITS
from crawler.manifest import Manifest, ManifestRow, read_manifest
from crawler.split import OOD, SplitCandidate, components
from infra.errors import UserError
from infra.images import ImageRefused
from infra.progress import progress
from infra.storage import ObjectNotFound, Storage, StorageError, open_storage

SAMPLE = 4_000
MIN_IMAGES = 10  # of a label; fewer rank nothing

_WAITING_PER_WORKER = 4
_UNKNOWN_GENERATOR = "unknown generator"


class AuditError(UserError):
    """A dataset that cannot be audited."""


@dataclass(frozen=True)
class Settings:
    """What an audit looks at. sample: images at most, half of them real, the fakes evenly by generator."""

    splits: tuple[str, ...] = SPLITS
    sample: int = SAMPLE
    seed: int = 0


def read_or_run_audit(
    url: str, version: int | None = None, settings: Settings | None = None, workers: int | None = None
) -> Audit:
    """The audit of a version of the dataset at `url`, read where it is kept, else made now and kept.

    Raises ManifestError, AuditError and the errors of the storage; one that cannot be kept is a warning.
    """
    manifest = read_manifest(url, version)
    storage = open_storage(url)
    settings = settings or Settings()
    kept = read_audit(manifest, storage, settings)
    if kept is not None:
        return kept
    audit = audit_dataset(manifest, storage, settings, workers)
    try:
        storage.put(audit_key(manifest.version, settings), audit.to_bytes())
    except StorageError as error:
        print(f"warning: the audit is not kept: {error}", file=sys.stderr)
    return audit


def audit_key(version: int, settings: Settings | None = None) -> str:
    """`manifest/audit-v0001.json`; another sample or other splits than usual are part of the name."""
    settings = settings or Settings()
    name = f"manifest/audit-v{version:04d}"
    if set(settings.splits) != set(SPLITS):
        name += "-" + "-".join(split for split in SPLITS if split in settings.splits)
    if (settings.sample, settings.seed) != (SAMPLE, 0):
        name += f"-{settings.sample}-{settings.seed}"
    return f"{name}.json"


def read_audit(manifest: Manifest, storage: Storage, settings: Settings | None = None) -> Audit | None:
    """The kept audit of exactly these images, None where there is none."""
    try:
        data = storage.get(audit_key(manifest.version, settings))
        audit = Audit.model_validate_json(data)
    except (ObjectNotFound, ValidationError):
        return None
    # The hash leaves formats and sizes out, but the sha256 that it holds fixes both.
    fits = (audit.format, audit.dataset_hash) == (FORMAT, manifest.hash)
    return audit.model_copy(update={"url": manifest.url}) if fits else None


def audit_dataset(
    manifest: Manifest, storage: Storage, settings: Settings | None = None, workers: int | None = None
) -> Audit:
    """Probe what predicts the labels of `manifest`, whose originals are read from `storage`.

    workers: threads that read and decode; one picture each is in memory at a time. Raises AuditError where a label
    is missing in the splits or no image can be read.
    """
    settings = settings or Settings()
    rows = [row for row in manifest.rows() if row.split in settings.splits]
    for label in ("real", "fake"):
        if not any(row.label == label for row in rows):
            raise AuditError(
                f"{manifest.url}: no {label} images in {', '.join(settings.splits)}: nothing to tell apart"
            )
    sample = draw_sample(rows, settings.sample, settings.seed)
    measured: list[Measured] = []
    kept: list[ManifestRow] = []
    unreadable: list[tuple[str, str]] = []
    with progress("auditing", len(sample)) as advance:
        for row, outcome in _measure_all(storage, sample, workers or max(4, os.cpu_count() or 1)):
            if isinstance(outcome, str):
                unreadable.append((row.key, outcome))
            else:
                kept.append(row)
                measured.append(outcome)
            advance()
    if not kept:
        raise AuditError(f"{manifest.url}: none of {len(sample)} images can be read; {'; '.join(unreadable[0])}")
    return Audit(
        format=FORMAT,
        url=manifest.url,
        version=manifest.version,
        dataset_hash=manifest.hash,
        splits=settings.splits,
        sample=settings.sample,
        seed=settings.seed,
        images=len(kept),
        of_images=len(rows),
        unreadable=tuple(unreadable),
        groups=tuple(_groups(kept, measured, settings.seed)),
    )


def draw_sample(rows: Sequence[ManifestRow], at_most: int, seed: int) -> list[ManifestRow]:
    """At most so many rows, half of each label, the fakes evenly by generator; the same for the same images."""
    kinds: defaultdict[tuple[str, str | None], list[ManifestRow]] = defaultdict(list)
    for row in rows:
        kinds[row.label, row.generator if row.label == "fake" else None].append(row)
    drawn: list[ManifestRow] = []
    for label in ("real", "fake"):
        # The smallest first: what it leaves of its share is for the others.
        left = at_most // 2
        of_label = sorted((group for (of, _), group in kinds.items() if of == label), key=len)
        for n, group in enumerate(of_label):
            share = min(len(group), left // (len(of_label) - n))
            left -= share
            drawn += sorted(group, key=lambda row: hashlib.sha256(f"{seed}:{row.sha256}".encode()).digest())[:share]
    return sorted(drawn, key=lambda row: row.sha256)


def _measure_all(
    storage: Storage, rows: Sequence[ManifestRow], workers: int
) -> Iterator[tuple[ManifestRow, Measured | str]]:
    """(row, its features, or why there are none), in the order of the rows."""
    under_way: deque[tuple[ManifestRow, Future[Measured | str]]] = deque()
    # Threads: Pillow and sockets let go of the interpreter, and the import has decoded these files once already.
    pool = ThreadPoolExecutor(workers)
    try:
        for row in rows:
            under_way.append((row, pool.submit(_measure_one, storage, row)))
            if len(under_way) >= workers * _WAITING_PER_WORKER:
                done, future = under_way.popleft()
                yield done, future.result()
        while under_way:
            done, future = under_way.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _measure_one(storage: Storage, row: ManifestRow) -> Measured | str:
    try:
        return measure(row, storage.get(row.key))
    except (ObjectNotFound, ImageRefused) as error:
        return str(error)


def _groups(rows: Sequence[ManifestRow], measured: Sequence[Measured], seed: int) -> Iterator[Group]:
    """All generators together, then each; those that are only held out (`ood`) are no part of the sum."""
    candidates = [SplitCandidate(r.sha256, r.label, r.generator, r.cluster, r.identity) for r in rows]
    independent = np.empty(len(rows), dtype=np.int64)
    for number, component in enumerate(components(candidates)):
        independent[component] = number
    fakes: defaultdict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if row.label == "fake":
            fakes[row.generator or _UNKNOWN_GENERATOR].append(i)
    reals = [i for i, row in enumerate(rows) if row.label == "real"]
    held_out = {name for name, members in fakes.items() if all(rows[i].split == OOD for i in members)}
    learned = sorted(set(fakes) - held_out)

    def group(name: str, members: list[int], out: bool) -> Group:
        chosen = sorted(reals + members)
        labels = np.array([rows[i].label == "fake" for i in chosen], dtype=np.int64)
        units = Units(labels, np.unique(independent[chosen], return_inverse=True)[1].astype(np.int64))
        return _probed(name, out, [measured[i] for i in chosen], units, seed)

    if len(learned) != 1:
        everything = [i for name in learned or sorted(held_out) for i in fakes[name]]
        yield group(ALL_GENERATORS, everything, not learned)
    for name in [*learned, *sorted(held_out)]:
        yield group(name, fakes[name], name in held_out)


def _probed(name: str, held_out: bool, measured: Sequence[Measured], units: Units, seed: int) -> Group:
    fakes = int(units.labels.sum())
    reals = len(measured) - fakes
    if min(reals, fakes) < MIN_IMAGES or units.smaller_class() < 2:
        why = f"too few independent images of a label to tell anything ({MIN_IMAGES} are needed)"
        return Group(name=name, held_out=held_out, reals=reals, fakes=fakes, too_few=why)
    probes, counted = [], []
    for family in FAMILIES:
        columns = columns_of(family.name, measured)
        probes.append(_probe(family.name, columns, units, seed, family.counted))
        counted += columns if family.counted else []
    after_counted = sum(family.counted for family in FAMILIES)
    probes.insert(after_counted, _probe(TOGETHER, counted, units, seed, counted=True))
    return Group(name=name, held_out=held_out, reals=reals, fakes=fakes, probes=tuple(probes))


def _probe(family: str, columns: Sequence[Column], units: Units, seed: int, counted: bool) -> Probe:
    table = np.column_stack([column.numbers for column in columns]) if columns else np.empty((0, 0))
    score = cross_validate(table, units, seed)
    words = strongest_in_words(columns, units.labels)
    return Probe(
        family=family, auc=score.auc, low=score.low, high=score.high, p_value=score.p_value, chance=score.chance,
        counted=counted, words=words,
    )  # fmt: skip
