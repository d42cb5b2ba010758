"""Bytes ▶ object store, many at once; a storage that is away holds the crawl up and costs it nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from crawler.journal import Item
from infra.storage import StorageUnavailable
from infra.storage.bulk import BulkWriter

THREADS = 32  # a put to a distant server waits much longer than it works
FLUSH_EVERY_S = 0.25
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class Uploads:
    """Puts objects, and says of each item when its object is there for good.

    stored: awaited with the items whose objects have become durable. say: told in a line when the storage goes away
    and when it is back. `ready` is clear while it is away; who fetches waits for it.
    """

    def __init__(
        self,
        writer: BulkWriter,
        stored: Callable[[Sequence[Item]], Awaitable[None]],
        say: Callable[[str], None],
    ) -> None:
        self.ready = asyncio.Event()
        self.ready.set()
        self._writer = writer
        self._stored = stored
        self._say = say
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="upload")
        self._put: list[Item] = []
        self._flushing: asyncio.Task[None] | None = None

    @property
    def is_quick(self) -> bool:
        """Whether a put takes no time worth speaking of."""
        return self._writer.is_quick

    async def put(self, item: Item | None, key: str, data: bytes) -> None:
        """Put `data`, waiting for as long as the storage is away. Raises StorageError where waiting will not help.

        item: is told to `stored` once its object is durable.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                if self.is_quick:
                    self._writer.put(key, data)
                else:
                    await asyncio.get_running_loop().run_in_executor(self._pool, self._writer.put, key, data)
            except StorageUnavailable as error:
                await self._pause(str(error), pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                break
        if not self.ready.is_set():
            self._say(f"{self._writer.url} is back: going on")
            self.ready.set()
        if item is not None:
            self._put.append(item)
            if self._flushing is None or self._flushing.done():
                self._check()
                self._flushing = asyncio.get_running_loop().create_task(self._flush_soon())

    async def close(self) -> None:
        """Make all that was put durable and say so."""
        if self._flushing is not None:
            await self._flushing
        await self._flush()
        self._pool.shutdown()

    async def _pause(self, trouble: str, pause_s: float) -> None:
        if self.ready.is_set():
            self.ready.clear()
            self._say(f"paused, nothing is lost: {trouble}")
            await asyncio.sleep(pause_s)
            return
        # Somebody else found out first; one who waits is enough to find out when it is back.
        if pause_s == FIRST_PAUSE_S:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ready.wait(), LONGEST_PAUSE_S)
        else:
            await asyncio.sleep(pause_s)

    def _check(self) -> None:
        if self._flushing is not None:
            self._flushing.result()

    async def _flush_soon(self) -> None:
        while self._put:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self._flush()

    async def _flush(self) -> None:
        batch, self._put = self._put, []
        if batch:
            # An item stays `intended` in the journal when this raises; the next run looks whether its object is whole.
            await asyncio.get_running_loop().run_in_executor(self._pool, self._writer.flush)
            await self._stored(batch)
