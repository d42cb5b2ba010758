"""What the journal of a crawl says when it is over: the images that are stored, and everything that is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from crawler.facts import ImageFacts
from crawler.journal import Kind, facts_of
from crawler.journal_file import JournalFile


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that is in the store."""

    source: str
    kind: Kind
    url: str
    about: dict[str, str]
    facts: ImageFacts
    final_url: str | None
    fetched_at: datetime | None


def counts(journal: JournalFile) -> dict[str, dict[str, int]]:
    """source ▶ status ▶ how many items, pages left out."""
    counted: dict[str, dict[str, int]] = {}
    for source, status, count in journal.rows(
        "SELECT source, status, count(*) FROM items WHERE kind <> 'page' GROUP BY source, status"
    ):
        counted.setdefault(str(source), {})[str(status)] = int(count)
    return counted


def troubles(journal: JournalFile) -> list[tuple[str, str, str, str, int]]:
    """(source, status, error class, an example, how many) of all that is neither stored nor pending."""
    rows = journal.rows(
        "SELECT source, status, coalesce(error, status), max(coalesce(detail, url)), count(*) FROM items"
        " WHERE status NOT IN ('stored', 'pending', 'done', 'drawing', 'intended')"
        " GROUP BY source, status, coalesce(error, status) ORDER BY count(*) DESC"
    )
    return [(str(a), str(b), str(c), str(d), int(n)) for a, b, c, d, n in rows]


def per_host(journal: JournalFile) -> list[tuple[str, str, int, int]]:
    """(host, status, how many items, bytes stored)."""
    rows = journal.rows(
        "SELECT host, status, count(*), coalesce(sum(CASE WHEN status = 'stored'"
        " THEN json_extract(facts, '$.bytes') END), 0) FROM items GROUP BY host, status"
    )
    return [(str(host), str(status), int(count), int(size)) for host, status, count, size in rows]


def set_aside(journal: JournalFile) -> list[tuple[str, str, str]]:
    """(source, URL, why and where) of the images that are kept out of the dataset for a person to look at."""
    rows = journal.rows("SELECT source, url, detail FROM items WHERE status = 'aside' ORDER BY id")
    return [(str(a), str(b), str(c)) for a, b, c in rows]


def images(journal: JournalFile, sources: Sequence[str]) -> Iterator[StoredImage]:
    """Every stored image of the sources named."""
    marks = ",".join("?" * len(sources))
    for source, kind, url, about, facts, final_url, fetched_at in journal.each(
        "SELECT source, kind, url, about, facts, final_url, fetched_at FROM items"
        f" WHERE status = 'stored' AND source IN ({marks}) ORDER BY id",
        *sources,
    ):
        yield StoredImage(
            source=source,
            kind=kind,
            url=url,
            about=json.loads(about) if about else {},
            facts=facts_of(facts),
            final_url=url if final_url == url else final_url,  # one string for both, nearly always
            fetched_at=None if fetched_at is None else datetime.fromisoformat(fetched_at).astimezone(UTC),
        )
