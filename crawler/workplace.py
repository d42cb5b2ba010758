"""What an engine works with (decoders, the web, uploads, the list of takedowns), opened and closed together."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from crawler.decoders import DecoderPool
from crawler.engine import Blocklist, Engine, Ledger
from crawler.facts import Checks
from crawler.journal import Item
from crawler.labels import TAKEDOWNS_KEY
from crawler.params import CrawlParams
from crawler.uploads import Uploads
from crawler.web import PoliteWeb
from infra.storage import Storage, open_storage
from infra.storage.bulk import open_bulk_writer

_PUT_TIMEOUT_S = 20.0  # of one request to an S3 server; a thread that waits for it holds up the end of the process


class Bookkeeper(Ledger, Protocol):
    """A ledger that also learns what has been stored."""

    async def stored(self, items: Sequence[Item]) -> None: ...


@asynccontextmanager
async def open_workplace(
    params: CrawlParams, ledger: Bookkeeper, decoders: int | None, say: Callable[[str], None]
) -> AsyncIterator[tuple[Engine, Uploads]]:
    """An engine for the crawl of `params`, fed by `ledger`, and its uploads.

    decoders: processes, None for one a core. Raises UserError: params that only now prove wrong, a missing detector.
    """
    storage = open_storage(params.into)
    checks = Checks(
        min_side=params.checks.min_side,
        max_bytes=params.network.max_bytes,
        one_face=params.checks.one_face,
        min_face=params.checks.min_face,
    )
    with open_bulk_writer(params.into, timeout_s=_PUT_TIMEOUT_S) as writer:
        async with (
            DecoderPool(checks, decoders or os.cpu_count() or 1) as pool,
            PoliteWeb(params.network, params.contact) as web,
        ):
            uploads = Uploads(writer, ledger.stored, say)
            blocklist = blocklist_of(storage)
            yield Engine(params.parsed_sources, params.network, ledger, web, pool, uploads, blocklist), uploads


class _Nothing:
    """No image was ever taken down."""

    def refuses(self, sha256: str, phash: str) -> bool:
        """Nothing is refused."""
        return False


def blocklist_of(storage: Storage) -> Blocklist:
    """The images that may not come (back) into the dataset in `storage`."""
    if not storage.exists(TAKEDOWNS_KEY):
        return _Nothing()
    from crawler.takedown import taken_down  # with Arrow, which most crawls need not have in memory

    return taken_down(storage)
