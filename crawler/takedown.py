"""Taking images out of a dataset for good: who asks for a face to go must not meet it again.

`manifest/takedowns.json` lists what was taken down: {"takedowns": [{sha256, phash, reason, date, note}, …]}; entries
are only ever added. A takedown works in an order that can stop anywhere and be run again:

1. the list: from here on nothing on it comes back, whoever imports or crawls it (:meth:`Takedowns.refuses`);
2. a new version of the manifest without the rows;
3. the objects are deleted, so the newest manifest never names one that is gone.

Steps 2 and 3 go by the whole list, and so finish what an earlier, interrupted takedown left. Older versions of the
manifest, which never change, go on naming the deleted objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crawler.fingerprint import FLAT, MAX_DISTANCE
from crawler.labels import TAKEDOWNS_KEY
from crawler.manifest import Manifest, read_manifest, update_manifest
from infra.errors import UserError
from infra.storage import ObjectNotFound, Storage, open_storage

SHORTEST_PREFIX = 12  # digits; two of 100,000 images share that many with a chance of 2e-5

_NAME = re.compile(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}")
_ATTEMPTS = 10


class TakedownError(UserError):
    """A takedown that cannot be carried out; the message says what to do."""


@dataclass(frozen=True)
class Taken:
    """One image that must not come back. phash: None where the picture was never seen."""

    sha256: str
    phash: str | None
    reason: str | None
    date: str  # when it was asked for, ISO 8601
    note: str | None = None


@dataclass(frozen=True)
class Takedowns:
    """Everything that was taken down from a dataset, in the order in which that was asked for."""

    entries: tuple[Taken, ...] = ()

    @cached_property
    def sha256s(self) -> frozenset[str]:
        return frozenset(entry.sha256 for entry in self.entries)

    def refuses(self, sha256: str, phash: str | None = None) -> bool:
        """Whether a newcomer is, or is a near-duplicate of, what was taken down.

        phash: 16 hex digits; near is what :mod:`crawler.fingerprint` calls near, so that a re-encoded copy does not
        come back. Not meant for images that are in the dataset already: near-duplicates may have been left there.
        """
        if sha256 in self.sha256s:
            return True
        if phash is None or phash == FLAT or not len(self._phashes):
            return False
        return bool((np.bitwise_count(self._phashes ^ np.uint64(int(phash, 16))) <= MAX_DISTANCE).any())

    def left_of(self, table: pa.Table) -> pa.Table:
        """The rows of a manifest table that were not taken down."""
        return table.filter(pc.invert(_is_in(table["sha256"], self.sha256s)))

    @cached_property
    def _phashes(self) -> Any:
        return np.array([int(e.phash, 16) for e in self.entries if e.phash and e.phash != FLAT], dtype=np.uint64)


@dataclass(frozen=True)
class TakedownPlan:
    """What a takedown would do. Every tuple is sorted.

    rows: the sha256 of the images that leave the newest version; more than was asked for where derived copies or
    near-duplicates go with it. phashes: by sha256, of all that gets on the list. unknown: asked for and never seen
    here. near_left: near-duplicates that stay, because nobody asked for them.
    """

    manifest: Manifest
    rows: tuple[str, ...]
    phashes: dict[str, str | None]
    unknown: tuple[str, ...]
    near_left: tuple[str, ...]


@dataclass(frozen=True)
class TakedownReport:
    """What a takedown did: newly listed images, rows that left, objects that were deleted."""

    manifest: Manifest
    listed: int
    removed: int
    deleted: int


def taken_down(storage: Storage) -> Takedowns:
    """What was taken down from the dataset in `storage`. Raises TakedownError for a list that cannot be read.

    Unreadable means refused: to go on without the list would bring back what somebody wanted gone.
    """
    try:
        content = json.loads(storage.get(TAKEDOWNS_KEY))
        return Takedowns(tuple(Taken(**entry) for entry in content["takedowns"]))
    except ObjectNotFound:
        return Takedowns()
    except (ValueError, TypeError, KeyError) as error:
        raise TakedownError(
            f"{TAKEDOWNS_KEY} in {storage.url} is damaged ({type(error).__name__}): put it back from a copy"
        ) from None


def plan_takedown(url: str, names: Iterable[str], near: bool = False) -> TakedownPlan:
    """Find what `names` (sha256 in hex, or its first 12 digits or more) stand for in the dataset at `url`.

    A name may also be that of an original whose derived copies are here. The copies and the original go together.
    near: also everything in the same near-duplicate clusters. Changes nothing. Raises TakedownError, ManifestError.
    """
    newest = read_manifest(url)
    listed = taken_down(open_storage(url))
    wanted = dict.fromkeys(_checked(name) for name in names)
    chosen: dict[str, str | None] = {}
    version = newest.version
    while wanted:
        table = newest.table if version == newest.version else read_manifest(url, version).table
        found = {name: images for name in wanted if (images := _called(name, table))}
        for name, images in found.items():
            if len(images) > 1:
                raise TakedownError(f"{name} is the beginning of {len(images)} images in {url}; give more digits")
            del wanted[name]
            chosen |= _family(images, table, near)
        version -= 1
        if version == 0:
            break
    for entry in listed.entries:
        for name in [name for name in wanted if entry.sha256.startswith(name)]:
            del wanted[name]
            chosen.setdefault(entry.sha256, entry.phash)
    unknown = tuple(sorted(wanted))
    short = [name for name in unknown if len(name) < 64]
    if short:
        raise TakedownError(f"no image in {url} begins with {short[0]}; give all 64 digits to keep an image out")
    chosen |= dict.fromkeys(unknown)
    rows = newest.table.filter(_is_in(newest.table["sha256"], chosen))
    in_clusters = newest.table.filter(pc.is_in(newest.table["cluster"], value_set=rows["cluster"].combine_chunks()))
    near_left = set(in_clusters["sha256"].to_pylist()) - set(chosen)
    leaving = tuple(sorted(rows["sha256"].to_pylist()))
    return TakedownPlan(newest, leaving, dict(sorted(chosen.items())), unknown, tuple(sorted(near_left)))


def take_down(url: str, plan: TakedownPlan, reason: str | None, now: datetime) -> TakedownReport:
    """Carry out `plan`; see the top of this file for the order. now: what the list will say, with its time zone."""
    storage = open_storage(url)
    date = now.isoformat(timespec="seconds")
    entries = [
        Taken(sha256, phash, reason, date, "was not in the dataset" if sha256 in plan.unknown else None)
        for sha256, phash in plan.phashes.items()
    ]
    before = taken_down(storage).sha256s
    listed = _list(storage, entries)
    counts: list[int] = []

    def change(current: Manifest | None) -> pa.Table:
        assert current is not None  # plan_takedown has read it, and no version ever goes away
        left = taken_down(storage).left_of(current.table)
        counts[:] = [len(current) - left.num_rows]
        return left

    manifest = update_manifest(url, change)
    deleted = 0
    for sha256 in sorted(listed.sha256s):
        for key in list(storage.list(f"images/{sha256[:2]}/{sha256}.")):
            storage.delete(key)
            deleted += 1
    _list(storage, entries)  # two takedowns at once: what the other one overwrote is added again
    return TakedownReport(manifest, len(set(plan.phashes) - before), counts[0], deleted)


def _list(storage: Storage, entries: Sequence[Taken]) -> Takedowns:
    """Put on the list whichever of `entries` is not there; the list as it is then."""
    for _ in range(_ATTEMPTS):
        there = taken_down(storage)
        missing = [entry for entry in entries if entry.sha256 not in there.sha256s]
        if not missing:
            return there
        everything = [asdict(entry) for entry in (*there.entries, *missing)]
        text = json.dumps({"takedowns": everything}, indent=1, ensure_ascii=False) + "\n"
        storage.put(TAKEDOWNS_KEY, text.encode())
    raise TakedownError(f"{TAKEDOWNS_KEY} in {storage.url} does not keep what is written to it; try again")


def _checked(name: str) -> str:
    lower = name.strip().lower()
    if not _NAME.fullmatch(lower):
        raise TakedownError(
            f"'{name[:80]}' is not a sha256: 64 hex digits, or the first {SHORTEST_PREFIX} of them or more"
        )
    return lower


def _called(name: str, table: pa.Table) -> set[str]:
    """The images, or originals of images, in `table` whose sha256 begins with `name`."""
    found: set[str] = set()
    for column in ("sha256", "derived_from"):
        found.update(table[column].filter(pc.starts_with(table[column], name)).to_pylist())
    return found


def _family(sha256s: Collection[str], table: pa.Table, near: bool) -> dict[str, str | None]:
    """`sha256s` with the originals and the derived copies of the same pictures, and near-duplicates if `near`.

    The value is the perceptual hash where the table has the image.
    """
    members = set(sha256s)
    size = 0
    while size != len(members):
        size = len(members)
        rows = table.filter(pc.or_kleene(_is_in(table["sha256"], members), _is_in(table["derived_from"], members)))
        if near:
            rows = table.filter(pc.is_in(table["cluster"], value_set=rows["cluster"].combine_chunks()))
        members.update(rows["sha256"].to_pylist())
        members.update(original for original in rows["derived_from"].to_pylist() if original)
    phashes = dict(zip(rows["sha256"].to_pylist(), rows["phash"].to_pylist(), strict=True))
    return {member: phashes.get(member) for member in members}


def _is_in(column: Any, values: Collection[str]) -> Any:
    return pc.is_in(column, value_set=pa.array(sorted(values), pa.string()))
