"""The end of a crawl: journal ▶ the next version of the manifest, and a report of everything that did not get in."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from crawler.crawl_folder import open_crawl
from crawler.journal import Journal
from crawler.journal_summary import counts, images, per_host, set_aside, troubles
from crawler.manifest import Manifest, update_manifest
from crawler.merge import Arrival, Merge, merge
from crawler.params import AnySource, CrawlParams
from crawler.sources import Origin, SourceError
from crawler.takedown import taken_down
from infra.storage import open_storage

_EXAMPLES = 1000  # lines of images set aside, conflicts and moves in the report; the counts are of all


@dataclass(frozen=True)
class CrawlReport:
    """`content` is what `manifest/crawl-<name>.json` holds."""

    manifest: Manifest
    key: str
    content: dict[str, Any]


def report_key(name: str) -> str:
    """Where the report of a crawl lies in its dataset."""
    return f"manifest/crawl-{name}.json"


def finish(params: CrawlParams) -> CrawlReport:
    """Merge what the crawl has stored into the dataset, and write the report beside it.

    Raises SourceError where there is not a single image, and the errors of the journal, the storage and the manifest.
    """
    with open_crawl(params) as journal:
        return _finish(params, journal)


def _finish(params: CrawlParams, journal: Journal) -> CrawlReport:
    sources = {source.name: source for source in params.parsed_sources}
    storage = open_storage(params.into)
    blocked = taken_down(storage)
    merges: list[Merge] = []

    def change(current: Manifest | None) -> pa.Table:
        # Here and not outside: a million of them need not be there any more when the table is written.
        arrivals = [a for a in _arrivals(journal, sources) if a.facts.sha256 not in blocked.sha256s]
        if not arrivals:
            raise SourceError(_nothing_to_show(params, journal))
        merged = merge(current, arrivals, params.seed, params.split.fractions)
        merges[:] = [replace(merged, table=None)]
        return merged.table

    manifest = update_manifest(params.into, change)
    content = _content(params, journal, sources, manifest, merges[0])
    key = report_key(params.name)
    storage.put(key, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    return CrawlReport(manifest, key, content)


def _arrivals(journal: Journal, sources: dict[str, AnySource]) -> Iterator[Arrival]:
    for image in images(journal, list(sources)):
        source = sources[image.source]
        is_file = image.kind == "file"
        origin = Origin(
            name=image.url,
            label=source.label,
            source=source.name,
            generator=source.generator,
            split=source.split,
            licence=image.about.get("licence") or source.licence,
            identity=image.about.get("identity"),
            author=image.about.get("author"),
            url=None if is_file else image.url,
            final_url=None if is_file else image.final_url,
            fetched_at=image.fetched_at,
        )
        yield Arrival(origin, image.facts)


def _content(
    params: CrawlParams,
    journal: Journal,
    sources: dict[str, AnySource],
    manifest: Manifest,
    merged: Merge,
) -> dict[str, Any]:
    counted = counts(journal)
    errors, by_source = _errors(journal)
    return {
        "crawl": params.name,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(journal.seconds(), 1),
        "dataset": {"url": params.into, "version": manifest.version, "hash": manifest.hash, "images": len(manifest)},
        "added": merged.added,
        "already_there": merged.already_there,
        "same_file_twice": merged.same_file_twice,
        "conflicts": len(merged.conflicts),
        "moves": len(merged.moves),
        "sources": {name: _of_source(source, counted, journal, by_source) for name, source in sources.items()},
        "errors": errors,
        "hosts": _hosts(journal),
        "set_aside": [
            {"source": source, "url": url, "why": why} for source, url, why in set_aside(journal)[:_EXAMPLES]
        ],
        "conflicting": [
            {"sha256": c.sha256, "names": c.names, "in_dataset": c.in_dataset} for c in merged.conflicts[:_EXAMPLES]
        ],
        "moved": [{"sha256": m.sha256, "from": m.given, "to": m.split} for m in merged.moves[:_EXAMPLES]],
    }


def _of_source(
    source: AnySource, counted: dict[str, dict[str, int]], journal: Journal, errors: dict[str, dict[str, int]]
) -> dict[str, Any]:
    of = counted.get(source.name, {})
    ended = journal.ended(source.name, source.model_dump_json())
    reason, estimate = ended or (None, None)
    if reason is None and source.target is not None and of.get("stored", 0) >= source.target:
        reason = "target reached"
    return {
        "label": source.label,
        "generator": source.generator,
        "target": source.target,
        **{name: of.get(name, 0) for name in ("stored", "duplicate", "refused", "aside", "failed", "lost", "pending")},
        "errors": errors.get(source.name, {}),
        "ended": reason,
        "estimated_images": estimate,
    }


def _errors(journal: Journal) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
    """Error classes with counts and an example, most frequent first; and the counts by source."""
    total: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], str] = {}
    by_source: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for source, status, error, detail, count in troubles(journal):
        total[status, error] += count
        example.setdefault((status, error), detail)
        by_source[source][error] += count
    listed = [
        {"error": error, "status": status, "count": count, "example": example[status, error]}
        for (status, error), count in total.most_common()
    ]
    return listed, {source: dict(of.most_common()) for source, of in by_source.items()}


def _hosts(journal: Journal) -> dict[str, dict[str, int]]:
    hosts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for host, status, count, size in per_host(journal):
        name = host or "(files)"
        hosts[name][status] = count
        if size:
            hosts[name]["bytes"] = size
    return dict(hosts)


def _nothing_to_show(params: CrawlParams, journal: Journal) -> str:
    errors, _ = _errors(journal)
    if not errors:
        return f"the crawl '{params.name}' found nothing to fetch; check its sources"
    first = errors[0]
    return (
        f"the crawl '{params.name}' brought not one usable image; most often: {first['error']} (×{first['count']}), "
        f"e.g. {first['example']}"
    )
