"""The folder in which a crawl keeps its journal: held by one process at a time, and settled when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from crawler.facts import ImageFacts
from crawler.journal import Journal
from crawler.params import CrawlParams
from infra.locks import exclusive_lock
from infra.storage import Storage, absolute_url, open_storage


@contextmanager
def open_crawl(params: CrawlParams) -> Iterator[Journal]:
    """The journal of the crawl, for this process alone. Raises UserError: busy, of another dataset, no storage."""
    folder = Path(params.work).expanduser() / params.name
    with exclusive_lock(folder / "lock", f"the crawl '{params.name}'", "wait for it, or take another name"):
        journal = Journal(folder / "journal.db")
        try:
            journal.claim(absolute_url(params.into))
            settle(journal, is_in(open_storage(params.into)))
            yield journal
        finally:
            journal.close()


def is_in(storage: Storage) -> Callable[[ImageFacts], bool]:
    """Says of an image whether it is in `storage`, whole."""
    return lambda facts: storage.exists(facts.key) and storage.size(facts.key) == facts.bytes


def settle(journal: Journal, is_there: Callable[[ImageFacts], bool], only: Collection[int] | None = None) -> set[int]:
    """Find out what became of images that were about to be uploaded when their worker stopped.

    only: the items of that worker; None: all of the journal. Returns those that are in the store.
    """
    there: set[int] = set()
    absent: set[int] = set()
    for item, facts in journal.unsettled(only):
        (there if is_there(facts) else absent).add(item.id)
    journal.settle(there, absent, only)
    return there
