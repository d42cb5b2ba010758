"""What a crawl has to do and has done, in a SQLite file: killed at any moment, it goes on from here.

An item is a page or an image to ask for (or one draw from an endpoint). Its way:

    pending ─▶ done                          a page whose links were read
            ─▶ intended ─▶ stored            an image: written here *before* it is uploaded, so that no object can be
                                             in the store that the journal does not know
            ─▶ aside | duplicate | refused   set aside for review; the same bytes again; no good
            ─▶ failed                        not got; tried again with --retry-failed
            ─▶ lost                          a draw that was stopped between intended and stored
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from crawler.facts import ImageFacts
from crawler.journal_file import JournalError, JournalFile

Kind = Literal["page", "image", "draw", "file"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to ask for. about: what the source says of this image alone (licence, author, identity, md5).

    id: its number in the journal, 0 before it is there.
    """

    source: str
    kind: Kind
    host: str
    url: str
    depth: int = 0
    about: dict[str, str] | None = None
    id: int = 0


class Journal(JournalFile):
    """The items and sources of a crawl; every method is one transaction. To be used by one thread at a time."""

    def claim(self, into: str) -> None:
        """Make this the journal of the dataset at `into`. Raises JournalError where it is that of another."""
        with self._transaction() as db:
            is_empty = db.execute("SELECT 1 FROM items LIMIT 1").fetchone() is None
            db.execute(f"INSERT OR {'REPLACE' if is_empty else 'IGNORE'} INTO meta VALUES ('into', ?)", (into,))
            (belongs,) = db.execute("SELECT value FROM meta WHERE key = 'into'").fetchone()
        if belongs != into:
            raise JournalError(
                f"the crawl in {self.path.parent} fills {belongs}, the params say {into}; give the new one another name"
            )

    def add_seconds(self, seconds: float) -> None:
        """So much longer was fetched."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO meta VALUES ('seconds', '0')")
            db.execute("UPDATE meta SET value = value + ? WHERE key = 'seconds'", (seconds,))

    def seconds(self) -> float:
        """How long was fetched, in all runs together."""
        return float(self._value("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'seconds'"))

    def together(self, writes: Sequence[Callable[[], Any]]) -> list[Any]:
        """Call methods of this journal as one transaction; their results, or for all of them the error."""
        try:
            with self._transaction():
                return [write() for write in writes]
        except Exception as error:
            return [error] * len(writes)

    def listed(self, source: str) -> str | None:
        """The mark of the list that was read to its end for `source`."""
        return self._of_source(source, "listed")

    def ended(self, source: str, params: str) -> tuple[str, dict[str, int] | None] | None:
        """Why `source` ended for good and its estimate, None where it did not, or its params have changed since."""
        if self._of_source(source, "params") != params:
            return None
        reason, estimate = self._of_source(source, "ended"), self._of_source(source, "estimate")
        return None if reason is None else (reason, json.loads(estimate) if estimate else None)

    def write_listed(self, source: str, mark: str) -> None:
        """The list of `source` is in the journal to its end."""
        with self._transaction() as db:
            self._source_row(db, source)
            db.execute("UPDATE sources SET listed = ? WHERE name = ?", (mark, source))

    def write_ended(self, source: str, params: str, reason: str, estimate: dict[str, int] | None) -> None:
        """`source` has nothing more to give."""
        with self._transaction() as db:
            self._source_row(db, source)
            db.execute(
                "UPDATE sources SET params = ?, ended = ?, estimate = ? WHERE name = ?",
                (params, reason, None if estimate is None else json.dumps(estimate), source),
            )

    def add(self, items: Iterable[Item]) -> int:
        """Add what is not there already; how many that were."""
        before = self._db.total_changes
        with self._transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO items (source, kind, host, url, depth, about) VALUES (?, ?, ?, ?, ?, ?)",
                ((i.source, i.kind, i.host, i.url, i.depth, _json(i.about)) for i in items),
            )
        return self._db.total_changes - before

    def add_found(self, images: Iterable[Item], pages: Iterable[Item], source: str, max_pages: int) -> int:
        """Add what a page leads to, no more pages than `max_pages` of the source in all; how many there are now."""
        with self._transaction():
            self.add(images)
            known = self.pages(source)
            for page in pages:
                if known >= max_pages:
                    break
                known += self.add([page])
        return known

    def add_draws(self, source: str, host: str, url: str, count: int) -> list[Item]:
        """`count` new draws from an endpoint. They are written when they come to something."""
        first = int(self._value("SELECT coalesce(max(id), 0) FROM items")) + 1
        # A number is taken for good by a row; a draw that comes to nothing frees it again at the next start.
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO items (id, source, kind, host, url, status) VALUES (?, ?, 'draw', ?, ?, 'drawing')",
                ((first + n, source, host, url) for n in range(count)),
            )
        return [Item(source, "draw", host, url, id=first + n) for n in range(count)]

    def queues(self, sources: Sequence[str]) -> list[tuple[str, str, int]]:
        """(source, host, how many pending items) of the sources named."""
        marks = ",".join("?" * len(sources))
        rows = self.rows(
            f"SELECT source, host, count(*) FROM items WHERE status = 'pending' AND source IN ({marks})"
            " GROUP BY source, host",
            *sources,
        )
        return [(str(source), str(host), int(count)) for source, host, count in rows]

    def pending(self, source: str, host: str, after: int, limit: int) -> list[Item]:
        """The next pending items of a source on a host with a number above `after`."""
        rows = self.rows(
            "SELECT id, source, kind, host, url, depth, about FROM items"
            " WHERE status = 'pending' AND source = ? AND host = ? AND id > ? ORDER BY id LIMIT ?",
            source, host, after, limit,
        )  # fmt: skip
        return [_item(row) for row in rows]

    def intend(
        self, images: Sequence[tuple[Item, ImageFacts, str | None, datetime | None]], same_label: dict[str, list[str]]
    ) -> list[bool]:
        """Write down what is about to be uploaded; False for an image that is there already, which becomes a duplicate.

        same_label: for each source the sources with its label. The same picture under the other label is no duplicate
        but a conflict, which the merge sees.
        """
        news = []
        with self._transaction() as db:
            for item, facts, final_url, fetched_at in images:
                sources = same_label[item.source]
                marks = ",".join("?" * len(sources))
                known = db.execute(
                    f"SELECT 1 FROM items WHERE sha256 = ? AND id <> ? AND status IN ('intended', 'stored')"
                    f" AND source IN ({marks}) LIMIT 1",
                    (facts.sha256, item.id, *sources),
                ).fetchone()
                db.execute(
                    "UPDATE items SET status = ?, sha256 = ?, facts = ?, final_url = ?, fetched_at = ?,"
                    " error = NULL, detail = NULL WHERE id = ?",
                    ("duplicate" if known else "intended", facts.sha256, _facts_json(facts), final_url,
                     None if fetched_at is None else fetched_at.isoformat(), item.id),
                )  # fmt: skip
                news.append(not known)
        return news

    def stored(self, ids: Iterable[int]) -> None:
        """Images that were intended are in the store, for good."""
        with self._transaction() as db:
            db.executemany("UPDATE items SET status = 'stored' WHERE id = ?", ((n,) for n in ids))

    def finish(self, outcomes: Iterable[tuple[int, str, str | None, str | None]]) -> None:
        """(item, status, error class, detail) of items that came to an end otherwise."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE items SET status = ?, error = ?, detail = ? WHERE id = ?",
                ((status, error, detail, n) for n, status, error, detail in outcomes),
            )

    def unsettled(self, only: Collection[int] | None = None) -> list[tuple[Item, ImageFacts]]:
        """Images that were intended when their worker stopped: uploaded or not, the store knows. only: of these."""
        rows = self.rows("SELECT id, source, kind, host, url, depth, about, facts FROM items WHERE status = 'intended'")
        return [(_item(row), facts_of(row[7])) for row in rows if only is None or row[0] in only]

    def settle(self, there: Iterable[int], absent: Iterable[int], draws: Collection[int] | None = None) -> None:
        """What became of the unsettled: those in the store are stored, the others are asked for again or lost.

        draws: those that came to nothing; None: all that were begun.
        """
        with self._transaction() as db:
            db.executemany("UPDATE items SET status = 'stored' WHERE id = ?", ((n,) for n in there))
            db.executemany(
                "UPDATE items SET status = CASE kind WHEN 'draw' THEN 'lost' ELSE 'pending' END,"
                " error = CASE kind WHEN 'draw' THEN 'stopped before it was stored' END WHERE id = ?",
                ((n,) for n in absent),
            )
            if draws is None:
                db.execute("DELETE FROM items WHERE status = 'drawing'")
            else:
                db.executemany("DELETE FROM items WHERE status = 'drawing' AND id = ?", ((n,) for n in draws))

    def retry_failed(self, sources: Sequence[str]) -> int:
        """Make what failed pending again, and open sources that ended because they failed; how many items."""
        with self._transaction() as db:
            marks = ",".join("?" * len(sources))
            changed = db.execute(
                f"UPDATE items SET status = 'pending', error = NULL, detail = NULL WHERE status = 'failed'"
                f" AND kind <> 'draw' AND source IN ({marks})",
                tuple(sources),
            ).rowcount
            db.execute("UPDATE sources SET ended = NULL WHERE ended LIKE 'gave up:%'")
        return int(changed)

    def draws(self, source: str) -> Iterator[tuple[str, str]]:
        """(sha256, perceptual hash) of every image drawn from an endpoint, in order."""
        rows = self.each(
            "SELECT sha256, json_extract(facts, '$.phash') FROM items"
            " WHERE source = ? AND kind = 'draw' AND facts IS NOT NULL AND status <> 'lost' ORDER BY id",
            source,
        )
        yield from ((str(sha256), str(phash)) for sha256, phash in rows)

    def pages(self, source: str) -> int:
        """How many pages of a gallery are known."""
        return int(self._value("SELECT count(*) FROM items WHERE source = ? AND kind = 'page'", source))

    def _source_row(self, db: sqlite3.Connection, source: str) -> None:
        db.execute("INSERT OR IGNORE INTO sources (name) VALUES (?)", (source,))

    def _of_source(self, source: str, column: str) -> str | None:
        for (found,) in self.rows(f"SELECT {column} FROM sources WHERE name = ?", source):
            return None if found is None else str(found)
        return None


def _item(row: Sequence[Any]) -> Item:
    number, source, kind, host, url, depth, about = row[:7]
    return Item(source, kind, host, url, depth, json.loads(about) if about else None, number)


def _json(about: dict[str, str] | None) -> str | None:
    return json.dumps(about, ensure_ascii=False) if about else None


def _facts_json(facts: ImageFacts) -> str:
    return json.dumps(asdict(facts), ensure_ascii=False)


def facts_of(text: str) -> ImageFacts:
    content = json.loads(text)
    for name in ("ai_markers", "face_box"):
        if content.get(name) is not None:
            content[name] = tuple(content[name])
    return ImageFacts(**content)
