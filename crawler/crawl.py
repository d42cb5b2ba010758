"""A crawl from its params to the next version of the dataset; the same call goes on where the last one stopped."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop

from crawler.crawl_folder import open_crawl
from crawler.crawl_progress import show_progress
from crawler.engine import Engine
from crawler.journal import Journal
from crawler.ledger import Ledger
from crawler.listing import list_sources
from crawler.params import CrawlParams
from crawler.uploads import Uploads
from crawler.workplace import open_workplace
from infra.allocator import keep_freed_memory

if TYPE_CHECKING:
    from crawler.crawl_report import CrawlReport

_KEPT_BYTES = 4 * 2**20  # of freed memory
GRACE_S = 10.0  # after a signal, for what was fetched to be stored


@dataclass(frozen=True)
class Outcome:
    """What a run did. `report` is None where it was stopped: the manifest is written at the end."""

    report: CrawlReport | None
    signum: int | None


def crawl(
    params: CrawlParams,
    *,
    retry_failed: bool = False,
    decoders: int | None = None,
    on_ray: bool = False,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Run the crawl, or go on with it, and write the manifest: :func:`fetch`, then `crawler.crawl_report.finish`."""
    signum = fetch(params, retry_failed=retry_failed, decoders=decoders, on_ray=on_ray, say=say)
    if signum is not None:
        return Outcome(None, signum)
    from crawler.crawl_report import finish  # with Arrow: 40 MB that fetching does not need

    return Outcome(finish(params), None)


def fetch(
    params: CrawlParams,
    *,
    retry_failed: bool = False,
    decoders: int | None = None,
    on_ray: bool = False,
    say: Callable[[str], None] = print,
) -> int | None:
    """Fetch everything that is left to fetch. Returns the signal that stopped it, None where it came to its end.

    retry_failed: try again what failed in earlier runs. decoders: processes, by default one a core. on_ray: spread the
    hosts over a Ray cluster. say: told what a person should know, a line at a time. Raises UserError: params, journal,
    storage.
    """
    with open_crawl(params) as journal:
        list_sources(params, journal)
        if retry_failed:
            names = [source.name for source in params.parsed_sources]
            say(f"trying again: {journal.retry_failed(names)} that failed")
        began = time.monotonic()
        try:
            if on_ray:
                from crawler.distributed import fetch_on_ray

                return fetch_on_ray(params, journal, decoders, say)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_fetch(params, journal, decoders, say))
        finally:
            journal.add_seconds(time.monotonic() - began)


def tune_process() -> None:
    """Make a process that does nothing but fetch faster: fewer page faults, fewer searches for garbage."""
    keep_freed_memory(_KEPT_BYTES)
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def _fetch(params: CrawlParams, journal: Journal, decoders: int | None, say: Callable[[str], None]) -> int | None:
    """Everything that is left to fetch; the signal that stopped it, None where none did."""
    ledger = Ledger(journal, params.parsed_sources)
    await ledger.open()
    try:
        if ledger.finished:
            return None
        async with open_workplace(params, ledger, decoders, say) as (engine, uploads):
            with show_progress(ledger.states.values, lambda: engine.traffic):
                return await _until_done(engine, uploads)
    finally:
        await ledger.close()


async def _until_done(engine: Engine, uploads: Uploads) -> int | None:
    work = asyncio.ensure_future(engine.run())
    received: list[int] = []

    def on_signal(signum: int) -> None:
        if received or not uploads.ready.is_set():  # the second one, or nothing can be stored now: no grace
            work.cancel()
        else:
            asyncio.get_running_loop().call_later(GRACE_S, work.cancel)
        received.append(signum)
        engine.stop()

    with signals(on_signal):
        try:
            await work
        except asyncio.CancelledError:
            if not received:
                raise
        if uploads.ready.is_set():
            await uploads.close()
    return received[0] if received else None


@contextmanager
def signals(handler: Callable[[int], None]) -> Iterator[None]:
    """SIGINT and SIGTERM go to `handler` while the block runs, inside a running event loop."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        loop.add_signal_handler(number, handler, number)
    try:
        yield
    finally:
        for number, old in zip(numbers, before, strict=True):
            loop.remove_signal_handler(number)
            signal.signal(number, old)
