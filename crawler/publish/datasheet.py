"""The datasheet: what a stranger must know before training on the images, in figures and in words.

The questions are those of Gebru et al., "Datasheets for Datasets" (CACM 64(12), 2021, arXiv 1803.09010), as far as the
manifest can answer them. `datasheet.json` holds the same figures for machines. Nothing in it depends on when or where
it was written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from crawler.manifest import Manifest
from crawler.publish.datasheet_text import datasheet_text
from crawler.publish.licences import LicenceFigures
from crawler.publish.state import State
from crawler.stats import dataset_stats
from infra.storage import ObjectNotFound, Storage

_HOSTS_SHOWN = 8


def datasheet_figures(
    manifest: Manifest,
    state: State,
    licences: Sequence[LicenceFigures],
    audit: Mapping[str, Any] | None,
    taken_down: int,
) -> dict[str, Any]:
    """Every figure of the datasheet, ready for JSON.

    audit: as :func:`read_audit` gives it. taken_down: images of the version that are left out.
    """
    stats = dataset_stats(manifest)
    del stats["url"]  # where the publisher keeps it is nobody's business
    table = manifest.table
    return {
        "title": state.title,
        "contact": state.contact,
        **stats,
        "taken_down": taken_down,
        "licences": [asdict(entry) for entry in licences],
        "sources": _sources(table),
        "fetched": _fetched(table),
        "derived": dict(_counter(table.filter(pc.is_valid(table["derived_from"]))["transform"])),
        "extensions": sorted({key.rpartition(".")[2] for key in table["key"].to_pylist()}),
        "audit": audit,
        "shards": {
            name: {"images": shard.images, "bytes": shard.bytes, "sha256": shard.sha256}
            for name, shard in sorted(state.shards.items())
        },
        "shard_bytes": sum(shard.bytes for shard in state.shards.values()),
    }


def datasheet_json(figures: Mapping[str, Any]) -> str:
    """`datasheet.json`."""
    return json.dumps(figures, indent=1, ensure_ascii=False, default=str) + "\n"


def datasheet_md(figures: Mapping[str, Any]) -> str:
    """`datasheet.md`."""
    return datasheet_text(figures)


def read_audit(storage: Storage, version: int) -> dict[str, Any] | None:
    """What the audit of `version` found: {verdict, limit, families: [{name, auc}]}; None where there is none.

    Read leniently: of an audit that says it otherwise the parts that are missing are None or empty.
    """
    try:
        content = json.loads(storage.get(f"manifest/audit-v{version:04d}.json"))
    except (ObjectNotFound, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    families = content.get("families")
    if isinstance(families, dict):
        families = [{"name": name, **(f if isinstance(f, dict) else {"auc": f})} for name, f in families.items()]
    named = [f for f in families if isinstance(f, dict)] if isinstance(families, list) else []
    return {
        "verdict": _text(content.get("verdict")),
        "limit": _number(content.get("limit")),
        "families": [{"name": _text(f.get("name") or f.get("family")), "auc": _number(f.get("auc"))} for f in named],
    }


def _sources(table: pa.Table) -> list[dict[str, Any]]:
    by_label: dict[str, Counter[str]] = {}
    for group in table.group_by(["source", "label"]).aggregate([("sha256", "count")]).to_pylist():
        by_label.setdefault(group["source"], Counter())[group["label"]] += group["sha256_count"]
    hosts: dict[str, Counter[str]] = {}
    for source, url in zip(table["source"].to_pylist(), table["url"].to_pylist(), strict=True):
        host = _host(url)
        if host:
            hosts.setdefault(source, Counter())[host] += 1
    return [
        {
            "source": source,
            "images": labels.total(),
            "labels": dict(sorted(labels.items())),
            "hosts": dict(_ranked(hosts.get(source, Counter()))[:_HOSTS_SHOWN]),
            "more_hosts": max(0, len(hosts.get(source, Counter())) - _HOSTS_SHOWN),
        }
        for source, labels in sorted(by_label.items(), key=lambda item: (-item[1].total(), item[0]))
    ]


def _fetched(table: pa.Table) -> dict[str, Any]:
    bounds = pc.min_max(table["fetched_at"]).as_py()
    return {
        "first": bounds["min"] and bounds["min"].date().isoformat(),
        "last": bounds["max"] and bounds["max"].date().isoformat(),
        "undated": table["fetched_at"].null_count,
    }


def _host(url: str | None) -> str | None:
    try:
        return urlsplit(url).hostname if url else None
    except ValueError:
        return None


def _counter(column: Any) -> list[tuple[str, int]]:
    return _ranked(Counter(cell or "not said" for cell in column.to_pylist()))


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
