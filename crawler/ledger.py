"""Who fetches what next: hands out the items of a crawl, keeps the targets, and writes every outcome to the journal.

Lives in one event loop; the journal is only touched by one thread of its own, where writes that arrive while another
is under way become one transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from crawler.crawl_folder import settle
from crawler.facts import ImageFacts
from crawler.journal import Item, Journal
from crawler.journal_summary import counts
from crawler.params import AnySource, EndpointSource, GallerySource
from crawler.politeness import host_of
from crawler.source_state import SourceState
from infra.http import UnsafeUrl

T = TypeVar("T")

LOCAL_HOST = ""  # of files on disk
# Draws in a row that come to nothing, each after its retries: an endpoint that is gone, or gives no images.
MAX_FRUITLESS_DRAWS = 20
_TARGET_REACHED = "target reached"


@dataclass
class _Queue:
    """The items of one source on one host. after: the last number handed out."""

    state: SourceState
    host: str
    after: int = 0
    may_have_more: bool = True
    leased: int = 0


@dataclass
class _Host:
    """claimed: somebody works on it. changed: set when there may be more to hand out, or nothing more will come."""

    queues: dict[str, _Queue] = field(default_factory=dict)
    claimed: bool = False
    taken: dict[int, Item] = field(default_factory=dict)
    intended: set[int] = field(default_factory=set)  # of those, the ones that are on their way into the store
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        return all(
            queue.leased == 0 and (queue.state.ended or not queue.may_have_more) for queue in self.queues.values()
        )


class Ledger:
    """The items of a crawl, handed out host by host: who claims one has it alone until nothing more will come of it."""

    def __init__(self, journal: Journal, sources: Sequence[AnySource]) -> None:
        self._journal = journal
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._writes: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._hosts: dict[str, _Host] = {}
        self._open: set[str] = set()  # hosts that something is left to do for
        self._unclaimed: deque[str] = deque()
        self._changed = asyncio.Event()
        self.states = {source.name: SourceState(source) for source in sources}
        labels = {source.name: source.label for source in sources}
        self._same_label = {a: [b for b in labels if labels[b] == labels[a]] for a in labels}

    async def open(self) -> None:
        """Take up what the journal knows of the sources."""
        names = list(self.states)
        counted = await self._read(counts, self._journal)
        for name, state in self.states.items():
            of = counted.get(name, {})
            state.good, state.failed = of.get("stored", 0), of.get("failed", 0)
            state.refused = of.get("refused", 0) + of.get("aside", 0)
            await self._take_up_end(state)
            if isinstance(state.source, EndpointSource):
                self._queue(state, host_key(state.source.url))
        for name, host, _ in await self._read(self._journal.queues, names):
            self._queue(self.states[name], host)

    async def close(self) -> None:
        """Write what is still to be written."""
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()

    @property
    def finished(self) -> bool:
        """Whether nothing is under way and nothing is left to hand out."""
        return not self._open

    @property
    def open_hosts(self) -> int:
        """How many hosts something is left to do for."""
        return len(self._open)

    async def changed(self) -> None:
        """Wait until a host may be claimed, or all is finished."""
        await self._changed.wait()
        self._changed.clear()

    async def claim(self, but: Collection[str] = ()) -> str | None:
        """A host to work on, for the caller alone until it calls :meth:`done_with`; None when there is none now.

        but: hosts that the caller cannot work on.
        """
        for _ in range(len(self._unclaimed)):
            host = self._unclaimed.popleft()
            if host not in self._open or self._hosts[host].claimed:
                continue
            if host in but:
                self._unclaimed.append(host)
                continue
            self._hosts[host].claimed = True
            return host
        return None

    async def done_with(self, host: str) -> None:
        """The caller of :meth:`claim` lets go of `host`."""
        self._hosts[host].claimed = False
        self._look_at(host)

    async def more(self, host: str) -> bool:
        """Wait until :meth:`take` may give something again; False when nothing more will come of `host`."""
        state = self._hosts[host]
        if not state.over:
            await state.changed.wait()
            state.changed.clear()
        return not state.over

    async def take(self, host: str, limit: int) -> list[Item]:
        """Up to `limit` items of `host`, for the caller alone until it says what became of them."""
        taken: list[Item] = []
        # In turn, so that the sources of a host all get on.
        queues = self._hosts[host].queues
        for name in list(queues):
            queue = queues.pop(name)
            queues[name] = queue
            if len(taken) < limit:
                taken += await self._take_from(queue, limit - len(taken))
        self._hosts[host].taken.update((item.id, item) for item in taken)
        return taken

    async def intend(self, item: Item, facts: ImageFacts, final_url: str | None, fetched_at: datetime | None) -> bool:
        """Write down an image that is about to be uploaded; False when it is there already and need not be."""
        news = await self._write(lambda: self._journal.intend([(item, facts, final_url, fetched_at)], self._same_label))
        is_new: bool = news[0]
        state = self.states[item.source]
        if state.watch is not None and item.kind == "draw":
            state.watch.draw(facts.sha256, facts.phash)
            state.fruitless = 0
        if is_new:
            self._hosts[item.host].intended.add(item.id)
            state.good = state.good + 1 if state.watch is None else state.watch.distinct
            self._end_if_reached(state)
            self._return_lease(item)
        await self._end_if_exhausted(state)
        if not is_new:
            self._release(item)
        return is_new

    async def stored(self, items: Sequence[Item]) -> None:
        """The images of `items` are in the store for good."""
        ids = [item.id for item in items]
        await self._write(lambda: self._journal.stored(ids))
        for item in items:
            self._release(item)

    async def finish(self, item: Item, status: str, error: str | None = None, detail: str | None = None) -> None:
        """`item` came to an end as `status`: done, refused, failed, aside."""
        outcome = (item.id, status, error, None if detail is None else detail[:500])
        await self._write(lambda: self._journal.finish([outcome]))
        state = self.states[item.source]
        if status == "failed":
            state.failed += 1
        elif status in ("refused", "aside"):
            state.refused += 1
        if item.kind == "draw":
            state.fruitless += 1
            if state.fruitless >= MAX_FRUITLESS_DRAWS and state.ended is None:
                await self._end(state, f"gave up: {state.fruitless} draws in a row came to nothing ({error})")
        self._release(item)

    async def found(self, page: Item, images: Sequence[str], pages: Iterable[tuple[str, int]]) -> None:
        """What a gallery page leads to: images, and (URL, depth) of further pages."""
        state = self.states[page.source]
        assert isinstance(state.source, GallerySource)
        limit = state.source.max_pages
        new_images = [Item(page.source, "image", host_key(url), url, page.depth) for url in images]
        new_pages = [Item(page.source, "page", host_key(url), url, depth) for url, depth in pages]
        await self._write(lambda: self._journal.add_found(new_images, new_pages, page.source, limit))
        for host in {item.host for item in (*new_images, *new_pages)}:
            self._queue(state, host)
        await self.finish(page, "done")

    async def give_back(self, items: Iterable[Item]) -> None:
        """Items that were taken and will not be worked on in this run; they stay pending."""
        for item in items:
            self._release(item)

    async def recover(self, host: str, is_there: Callable[[ImageFacts], bool]) -> None:
        """Who had claimed `host` is gone, and what it was at with it; everything is as if it had not begun.

        is_there: whether an image is in the store, whole.
        """
        taken = dict(self._hosts[host].taken)
        stored = await self._read(lambda: settle(self._journal, is_there, taken))
        lost = [item for item in taken.values() if item.id in self._hosts[host].intended and item.id not in stored]
        for item in lost:
            self.states[item.source].good -= 1
        for item in taken.values():
            self._release(item)
        for queue in self._hosts[host].queues.values():
            queue.after, queue.may_have_more = 0, True
        for name in {item.source for item in lost}:
            await self._go_on(self.states[name])
        await self.done_with(host)

    async def _take_from(self, queue: _Queue, limit: int) -> list[Item]:
        state = queue.state
        self._end_if_reached(state)
        wanted = state.wanted
        limit = limit if wanted is None else min(limit, wanted)
        if state.ended is not None or limit == 0:
            return []
        source = state.source
        if isinstance(source, EndpointSource):
            limit = min(limit, source.concurrency - state.leased)
            if limit <= 0:
                return []
            state.leased, queue.leased = state.leased + limit, queue.leased + limit
            return list(await self._write(lambda: self._journal.add_draws(source.name, queue.host, source.url, limit)))
        if not queue.may_have_more:
            return []
        # Before the read, so that two lanes that ask at once do not both get the whole allowance.
        state.leased, queue.leased = state.leased + limit, queue.leased + limit
        queue.may_have_more = False
        items = await self._read(lambda: self._advance(queue, limit))
        state.leased -= limit - len(items)
        queue.leased -= limit - len(items)
        if len(items) == limit:
            queue.may_have_more = True
        self._look_at(queue.host)
        return items

    def _advance(self, queue: _Queue, limit: int) -> list[Item]:
        items = self._journal.pending(queue.state.source.name, queue.host, queue.after, limit)
        if items:
            queue.after = items[-1].id
        return items

    def _end_if_reached(self, state: SourceState) -> None:
        if state.ended is None and state.reached:
            state.ended = _TARGET_REACHED

    async def _take_up_end(self, state: SourceState) -> None:
        source = state.source
        ended = await self._read(self._journal.ended, source.name, source.model_dump_json())
        await self._watch(state)
        if ended is not None:
            state.ended = ended[0]

    async def _watch(self, state: SourceState) -> None:
        """Follow the draws of an endpoint, those in the journal first."""
        source = state.source
        if isinstance(source, EndpointSource):
            from crawler.repeats import RepeatWatch  # with NumPy, which a crawl of lists need not have in memory

            draws = await self._read(lambda: list(self._journal.draws(source.name)))
            state.watch = RepeatWatch(source.concurrency, source.stop_below)
            for sha256, phash in draws:
                state.watch.draw(sha256, phash)
            state.good = state.watch.distinct

    async def _go_on(self, state: SourceState) -> None:
        """Images that counted are not there: a source whose target they had reached goes on, on all its hosts."""
        await self._watch(state)
        if state.ended == _TARGET_REACHED and not state.reached:
            state.ended = None
            for name, host in self._hosts.items():
                if state.source.name in host.queues:
                    self._queue(state, name)

    async def _end_if_exhausted(self, state: SourceState) -> None:
        if state.watch is not None and state.watch.exhausted and state.ended is None and not state.reached:
            about = state.watch.estimate
            await self._end(
                state,
                f"repeats itself: {state.watch.distinct} different images seen, about {about.images} there "
                f"(95% {about.low} to {about.high})",
                asdict(about),
            )

    async def _end(self, state: SourceState, reason: str, estimate: dict[str, int] | None = None) -> None:
        state.ended = reason
        source = state.source
        await self._write(lambda: self._journal.write_ended(source.name, source.model_dump_json(), reason, estimate))

    def _queue(self, state: SourceState, host: str) -> None:
        """There is something new for `state` on `host`."""
        queues = self._hosts.setdefault(host, _Host()).queues
        queues.setdefault(state.source.name, _Queue(state, host)).may_have_more = True
        self._look_at(host)

    def _release(self, item: Item) -> None:
        """Nothing more comes of `item`."""
        host = self._hosts[item.host]
        host.taken.pop(item.id, None)
        host.queues[item.source].leased -= 1
        if item.id in host.intended:
            host.intended.remove(item.id)
            self._look_at(item.host)
        else:
            self._return_lease(item)

    def _return_lease(self, item: Item) -> None:
        """`item` is no longer being asked for."""
        state = self.states[item.source]
        was_full = state.wanted == 0
        state.leased -= 1
        self._look_at(item.host)
        if was_full:
            # What one host did not yield after all, or made unnecessary, concerns the other hosts of the source.
            for name in [name for name in self._open if item.source in self._hosts[name].queues]:
                self._look_at(name)

    def _look_at(self, name: str) -> None:
        """Tell those who wait what has become of a host."""
        host = self._hosts[name]
        host.changed.set()
        if not host.over:
            self._open.add(name)
            if not host.claimed:
                self._unclaimed.append(name)
                self._changed.set()
        elif name in self._open:
            self._open.remove(name)
            if not self._open:
                self._changed.set()

    async def _read(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def _write(self, function: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._writes.append((function, future))
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._write_all())
        return await future

    async def _write_all(self) -> None:
        while self._writes:
            batch, self._writes = self._writes, []
            results = await self._read(self._journal.together, [function for function, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)


def host_key(url: str) -> str:
    """The host that a URL is queued under; what is no URL gets one of its own, for the fetcher to say what is wrong."""
    try:
        return host_of(url)
    except UnsafeUrl:
        return "?"
