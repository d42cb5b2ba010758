"""Crawls of the loopback sites, for tests: params written to a file, run in this process or as the command itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crawler.crawl import Outcome, crawl
from crawler.manifest import ManifestRow, read_manifest
from crawler.params import CrawlParams, load_crawl_params
from tests.sites import Site

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Crawl:
    """The params file of one crawl in `folder`, and its dataset."""

    folder: Path
    sources: Sequence[Mapping[str, Any]]
    allow: Sequence[str] = ("127.0.0.1",)
    into: str = ""
    network: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Any] = field(default_factory=dict)
    name: str = "crawl"

    def __post_init__(self) -> None:
        self.into = self.into or f"file://{self.folder}/data"
        content = {
            "name": self.name,
            "into": self.into,
            "contact": "test@example.org",
            "work": str(self.folder / "work"),
            "sources": [dict(source) for source in self.sources],
            "network": {"allow": list(self.allow), "per_host": 8, "timeout_s": 10, "retries": 2, **self.network},
            "checks": {"min_side": 48, **self.checks},
        }
        self.file = self.folder / f"{self.name}.yaml"
        self.file.write_text(yaml.safe_dump(content), encoding="utf-8")

    @property
    def params(self) -> CrawlParams:
        """The file, validated."""
        return load_crawl_params(self.file, [])

    def run(self, **options: Any) -> Outcome:
        """Crawl in this process, one decoder."""
        return crawl(self.params, decoders=1, **options)

    def report(self, **options: Any) -> dict[str, Any]:
        """Crawl to the end; the content of the report."""
        outcome = self.run(**options)
        assert outcome.report is not None
        return outcome.report.content

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command itself."""
        command = [sys.executable, "-m", "crawler", "run", "--params", str(self.file), "--workers", "1", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def rows(self) -> list[ManifestRow]:
        """The newest manifest."""
        return read_manifest(self.into).rows()


def url_list(folder: Path, urls: Sequence[str], name: str = "list", **source: Any) -> dict[str, Any]:
    """A source that lists `urls`, real by default."""
    path = folder / f"{name}.txt"
    path.write_text("\n".join(urls) + "\n", encoding="utf-8")
    return {"type": "urllist", "name": name, "label": "real", "list": str(path), "licence": "CC0 1.0", **source}


def allowed(site: Site) -> str:
    """The entry of `network.allow` for a site, and for no other port of the machine."""
    return f"{site.host}:{site.port}"
