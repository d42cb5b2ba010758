"""A version of a dataset ▶ shards, table, datasheet and checksums in one place; stopped anywhere it goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import pyarrow as pa

from crawler.fingerprint import sha256_hex
from crawler.manifest import Manifest, ManifestRow, read_manifest
from crawler.publish.documents import documents
from crawler.publish.layout import Shard
from crawler.publish.licences import licence_figures
from crawler.publish.place import CHECKSUMS, held, put_shard, refuse_foreign, shards_there
from crawler.publish.plan import Plan, make_plan, missing_objects, refuse_missing, refuse_unlicensed, rows_in_chunks
from crawler.publish.shard import Written, write_shard
from crawler.publish.state import STATE_KEY, Finished, PublishError, State, read_state
from infra.progress import progress
from infra.storage import ObjectNotFound, Storage, open_storage

DEFAULT_SHARD_MB = 256  # a shard is sent to S3 from memory, so this is what a publication to S3 needs
MAX_SHARD_MB = 4096

_READS = 8  # objects asked for at once; a distant store waits much longer than it works
_AHEAD_BYTES = 32 * 10**6  # of objects that wait to be written


@dataclass(frozen=True)
class PublishOptions:
    """How to publish. None: as the publication at that place was made, else the newest version, the URL's last part,
    no contact, :data:`DEFAULT_SHARD_MB`. A shard has at most `shard_mb` million bytes, unless one image is larger.
    """

    version: int | None = None
    title: str | None = None
    contact: str | None = None
    shard_mb: int | None = None
    allow_unlicensed: bool = False


@dataclass(frozen=True)
class PublishReport:
    """What a run did, or with `dry_run` would do: the names of the shards written, kept from before, removed."""

    manifest: Manifest
    out: str
    written: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    documents: tuple[str, ...]  # the small files that were written
    images: int
    bytes: int  # of all shards, those kept included
    taken_down: int  # images of this version that are left out
    warnings: tuple[str, ...]

    @property
    def nothing_to_do(self) -> bool:
        return not (self.written or self.removed or self.documents)


def publish(url: str, out: str, options: PublishOptions | None = None, dry_run: bool = False) -> PublishReport:
    """Publish a version of the dataset at `url` into `out`, a folder or a storage URL.

    Images that were taken down since are left out. Shards that an earlier run finished are kept where they would
    come out the same. `checksums.sha256` is written last and taken away first. Raises PublishError, ManifestError and
    the errors of the storage; objects that are missing are named before anything is written.
    """
    storage, target = open_storage(url), open_storage(out)
    refuse_foreign(target)
    before = read_state(target)
    asked = options or PublishOptions()
    manifest = read_manifest(url, asked.version)
    state = _state(url, asked, before, manifest.version)
    keep = before.cuts if before is not None and before.shard_mb == state.shard_mb else ()
    plan = make_plan(storage, manifest, state.shard_mb * 10**6, keep)
    if not state.allow_unlicensed:
        refuse_unlicensed(plan.table, url)
    kept = {} if before is None else {n: s for n, s in before.shards.items() if _is_kept(target, n, s, plan)}
    todo = [shard for shard in plan.shards if shard.name not in kept]
    refuse_missing(storage, plan, todo)
    state = replace(state, cuts=tuple((shard.split, shard.start) for shard in plan.shards), shards=kept)
    if dry_run:
        stale = shards_there(target) - set(plan.recipes)
        return _report(plan, out, state.contact, todo, stale, ())
    with held(target):
        if read_state(target) != before:
            raise PublishError(f"another command has just published into {out}; try again")
        return _carried_out(storage, target, plan, state, todo)


def republish(url: str, out: str) -> PublishReport:
    """Bring the publication at `out` up to date with the takedowns of `url`: the same version, the same options."""
    state = read_state(open_storage(out))
    if state is None:
        raise PublishError(f"{out} holds no publication; make one with: python -m crawler publish {url} {out}")
    return publish(url, out, PublishOptions(version=state.version, allow_unlicensed=state.allow_unlicensed))


def _carried_out(storage: Storage, target: Storage, plan: Plan, state: State, todo: Sequence[Shard]) -> PublishReport:
    if todo:
        target.delete(CHECKSUMS)
        # Shards that are about to be replaced leave the state first: what it names is always whole.
        target.put(STATE_KEY, state.to_json())
    with progress("publishing", sum(len(shard.rows) for shard in todo)) as advance:
        for shard in todo:

            def write(file: BinaryIO, shard: Shard = shard) -> Written:
                return write_shard(file, _images(storage, plan.table, shard.rows, advance))

            written = put_shard(target, shard.name, write)
            recipe = plan.recipes[shard.name]
            count = len(shard.rows)
            finished = Finished(shard.split, shard.start, count, written.bytes, written.sha256, recipe)
            state = state.with_shard(shard.name, finished)
            target.put(STATE_KEY, state.to_json())
    shard_of = [shard.name for shard in plan.shards for _ in shard.rows]
    files = documents(storage, plan.manifest, plan.table, shard_of, state, plan.taken_down)
    changed = [name for name, data in files.items() if _stored(target, name) != data]
    stale = shards_there(target) - set(plan.recipes)
    if changed or stale:
        target.delete(CHECKSUMS)
        for name in sorted(stale):
            target.delete(name)
        for name in changed:  # the seal is the last of them
            target.put(name, files[name])
        if CHECKSUMS not in changed:
            target.put(CHECKSUMS, files[CHECKSUMS])
    return _report(plan, target.url, state.contact, todo, stale, changed)


def _state(url: str, asked: PublishOptions, before: State | None, version: int) -> State:
    title = asked.title or (before.title if before else url.rstrip("/").rpartition("/")[2]) or "dataset"
    contact = asked.contact or (before.contact if before else None)
    shard_mb = asked.shard_mb or (before.shard_mb if before else DEFAULT_SHARD_MB)
    if not 1 <= shard_mb <= MAX_SHARD_MB:
        raise PublishError(f"--shard-mb must be 1 to {MAX_SHARD_MB}, not {shard_mb}")
    return State(version, title, contact, shard_mb, asked.allow_unlicensed)


def _is_kept(target: Storage, name: str, shard: Finished, plan: Plan) -> bool:
    try:
        return plan.recipes.get(name) == shard.recipe and target.size(name) == shard.bytes
    except ObjectNotFound:
        return False


def _images(storage: Storage, table: pa.Table, rows: range, advance: Any) -> Iterator[tuple[ManifestRow, bytes]]:
    """The rows with their original bytes, in order; a few are fetched ahead."""
    waiting: deque[tuple[ManifestRow, Future[bytes]]] = deque()
    ahead = 0
    pool = ThreadPoolExecutor(_READS)
    try:
        for row in rows_in_chunks(table.slice(rows.start, len(rows))):
            waiting.append((row, pool.submit(_checked_bytes, storage, row)))
            ahead += row.bytes
            while len(waiting) > 4 * _READS or (ahead > _AHEAD_BYTES and len(waiting) > 1):
                oldest, fetched = waiting.popleft()
                ahead -= oldest.bytes
                yield oldest, fetched.result()
                advance()
        while waiting:
            oldest, fetched = waiting.popleft()
            yield oldest, fetched.result()
            advance()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _checked_bytes(storage: Storage, row: ManifestRow) -> bytes:
    try:
        data = storage.get(row.key)
    except ObjectNotFound:
        raise missing_objects(storage, [row.key]) from None
    if sha256_hex(data) != row.sha256:
        raise PublishError(
            f"'{row.key}' in {storage.url} is damaged: its bytes are not those that its name says; "
            "delete it and import or crawl it again"
        )
    return data


def _stored(target: Storage, name: str) -> bytes | None:
    try:
        return target.get(name)
    except ObjectNotFound:
        return None


def _report(
    plan: Plan, out: str, contact: str | None, todo: Sequence[Shard], stale: set[str], documents_written: Sequence[str]
) -> PublishReport:
    names = tuple(shard.name for shard in todo)
    return PublishReport(
        manifest=plan.manifest,
        out=out,
        written=names,
        kept=tuple(shard.name for shard in plan.shards if shard.name not in names),
        removed=tuple(sorted(stale)),
        documents=tuple(documents_written),
        images=plan.table.num_rows,
        bytes=sum(plan.spaces.values()),
        taken_down=plan.taken_down,
        warnings=_warnings(plan, contact),
    )


def _warnings(plan: Plan, contact: str | None) -> tuple[str, ...]:
    found = [
        f"{entry.images} images under '{entry.licence}': {warning}"
        for entry in licence_figures(plan.table)
        for warning in entry.warnings
    ]
    if contact is None:
        found.append("the datasheet names nobody to ask for a takedown; say whom with --contact")
    return tuple(found)
