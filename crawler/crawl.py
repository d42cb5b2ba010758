"""A crawl from its params to the next version of the dataset; the same call goes on where the last one stopped."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from crawler.crawl_progress import show_progress
from crawler.engine import Engine
from crawler.isolation import end_idle_servers
from crawler.journal import Journal
from crawler.ledger import Ledger, settle
from crawler.listing import list_sources
from crawler.params import CrawlParams
from crawler.uploads import Uploads
from crawler.workplace import is_in, open_workplace
from infra.allocator import give_back_freed_memory, keep_freed_memory
from infra.arrow import use_lean_arrow
from infra.locks import exclusive_lock
from infra.storage import absolute_url, open_storage

if TYPE_CHECKING:
    from crawler.crawl_report import CrawlReport

_KEPT_BYTES = 4 * 2**20
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
    fetch: bool = True,
    decoders: int | None = None,
    on_ray: bool = False,
    alone: bool = False,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Run the crawl, or go on with it.

    retry_failed: try again what failed in earlier runs. fetch: False asks the web for nothing, and writes the manifest
    from what is there. decoders: processes, by default one a core. on_ray: spread the hosts over a Ray cluster.
    alone: this process does nothing else, and nothing after it, with Arrow and pools of processes; saves 60 MB.
    say: told what a person should know, a line at a time. Raises UserError: params, journal, storage.
    """
    if alone:
        keep_freed_memory(_KEPT_BYTES)
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)
    folder = Path(params.work).expanduser() / params.name
    with exclusive_lock(folder / "lock", f"the crawl '{params.name}'", "wait for it, or take another name"):
        journal = Journal(folder / "journal.db")
        try:
            storage = open_storage(params.into)
            journal.claim(absolute_url(params.into))
            settle(journal, is_in(storage))
            names = [source.name for source in params.parsed_sources]
            if fetch:
                list_sources(params, journal)
            if retry_failed:
                say(f"trying again: {journal.retry_failed(names)} that failed")
            began = time.monotonic()
            signum = None
            if fetch and on_ray:
                from crawler.distributed import fetch_on_ray

                signum = fetch_on_ray(params, journal, decoders, say)
            elif fetch:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    signum = runner.run(_fetch(params, journal, decoders, say))
            if signum is not None:
                return Outcome(None, signum)
            if alone:
                end_idle_servers()
                gc.unfreeze()
                gc.collect()
                give_back_freed_memory()
                use_lean_arrow()
            # Here, since Arrow takes 40 MB that fetching does not need.
            from crawler.crawl_report import finish

            return Outcome(finish(params, journal, time.monotonic() - began), None)
        finally:
            journal.close()


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
