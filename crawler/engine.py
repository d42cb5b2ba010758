"""The crawl itself: hosts ▶ lanes ▶ fetch ▶ check ▶ journal ▶ upload.

Each host has lanes, as many as it may be asked at once. A lane fetches one item after another and hands what it got to
a task that decodes, writes the journal and uploads, so that a slow host, a large picture and a distant store do not
wait for each other. What is under way, and so the memory, is bounded.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import deque
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from crawler.decoders import DecoderPool
from crawler.facts import ImageFacts, Refusal
from crawler.journal import Item
from crawler.ledger import host_key
from crawler.params import AnySource, EndpointSource, GallerySource, NetworkParams
from crawler.politeness import USER_AGENT_TOKEN, OptedOut, RetryPolicy, page_opted_out
from crawler.politeness import Refusal as PoliteRefusal
from crawler.sources.page import NoImageNamedError, Page, parse_html, pick_image, read_page
from crawler.uploads import Uploads
from crawler.web import PoliteWeb
from infra.errors import UserError
from infra.http import ConnectionFailed, HttpError, Response, StatusError, TooManyRedirects

ASIDE_PREFIX = "set-aside/"  # objects kept out of the dataset, for a person to look at

_PAGE_TYPES = "text/html,application/xhtml+xml,*/*;q=0.5"
_CHECKED_AT_ONCE = 64  # images between fetch and store
_CHECKED_BYTES = 96 * 2**20


class Ledger(Protocol):
    """Hands out items and learns what became of them: :class:`crawler.ledger.Ledger`, here or on another machine."""

    @property
    def finished(self) -> bool: ...
    async def changed(self) -> None: ...
    async def claim(self) -> str | None: ...
    async def done_with(self, host: str) -> None: ...
    async def more(self, host: str) -> bool: ...
    async def take(self, host: str, limit: int) -> list[Item]: ...
    async def give_back(self, items: Sequence[Item]) -> None: ...
    async def intend(self, item: Item, facts: ImageFacts, final_url: str | None, at: datetime | None, /) -> bool: ...
    async def finish(self, item: Item, status: str, error: str | None = None, detail: str | None = None) -> None: ...
    async def found(self, page: Item, images: Sequence[str], pages: Sequence[tuple[str, int]]) -> None: ...


class Blocklist(Protocol):
    """Images that may not come in again (:mod:`crawler.takedown`)."""

    def refuses(self, sha256: str, phash: str) -> bool: ...


@dataclass(slots=True)
class Traffic:
    """What came over the wire so far, for the progress line."""

    fetched: int = 0
    bytes: int = 0


@dataclass
class _Host:
    """What lies ready for the lanes of a host."""

    name: str
    ready: deque[Item] = field(default_factory=deque)
    lanes: int = 0


@dataclass(frozen=True)
class _Got:
    """What an item gave. `response` is None for a file on disk."""

    body: bytes
    at: datetime
    response: Response | None = None


class NotGotError(UserError):
    """A file on disk that cannot be used."""

    error_class = "unreadable"
    retriable = False


class Engine:
    """One crawl's work on one machine."""

    def __init__(
        self,
        sources: Collection[AnySource],
        network: NetworkParams,
        ledger: Ledger,
        web: PoliteWeb,
        decoders: DecoderPool,
        uploads: Uploads,
        blocklist: Blocklist,
        rng: random.Random | None = None,
    ) -> None:
        self._sources = {source.name: source for source in sources}
        self._network = network
        self._ledger = ledger
        self._web = web
        self._decoders = decoders
        self._uploads = uploads
        self._blocklist = blocklist
        self._rng = rng or random.Random()
        self._retry = RetryPolicy(attempts=network.retries + 1)
        self._hosts: dict[str, _Host] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # What waits for a distant store waits long; for a folder half of it keeps every core busy.
        self._room = _Room(_CHECKED_AT_ONCE // 2 if uploads.is_quick else _CHECKED_AT_ONCE, _CHECKED_BYTES)
        self._stopped = asyncio.Event()
        self._failure: BaseException | None = None
        self._attention = asyncio.Event()
        self.traffic = Traffic()

    async def run(self) -> None:
        """Work until nothing is left to do, or :meth:`stop`. Raises what makes going on impossible."""
        watcher = asyncio.ensure_future(self._watch_ledger())
        try:
            while not (self._stopping or self._failure or self._ledger.finished):
                # A host that is waited for holds no connection, so there may be more hosts than connections.
                while len(self._hosts) < 2 * self._network.concurrency:
                    host = await self._ledger.claim()
                    if host is None:
                        break
                    self._hosts[host] = _Host(host)
                    self._add_lane(self._hosts[host])
                await self._attention.wait()
                self._attention.clear()
            self._stopped.set()
            while self._tasks and self._failure is None:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watcher.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(watcher, *self._tasks, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Begin nothing new; what was fetched is still checked and stored."""
        self._stopped.set()
        self._attention.set()

    @property
    def _stopping(self) -> bool:
        return self._stopped.is_set()

    async def _watch_ledger(self) -> None:
        while True:
            await self._ledger.changed()
            self._attention.set()

    def _add_lane(self, host: _Host) -> None:
        host.lanes += 1
        self._spawn(self._lane(host))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and self._failure is None:
            self._failure = task.exception()
            self._attention.set()

    async def _lane(self, host: _Host) -> None:
        while not self._stopping:
            await self._uploads.ready.wait()
            if not host.ready:
                host.ready.extend(await self._ledger.take(host.name, self._network.per_host))
            if not host.ready:
                if await self._ledger.more(host.name):
                    continue
                break
            item = host.ready.popleft()
            if host.ready and host.lanes < self._network.per_host:
                self._add_lane(host)
            await self._work_on(item)
        host.lanes -= 1
        if host.lanes == 0:
            left = list(host.ready)
            host.ready.clear()
            del self._hosts[host.name]
            await self._ledger.give_back(left)
            await self._ledger.done_with(host.name)
            self._attention.set()

    async def _work_on(self, item: Item, attempt: int = 0) -> None:
        """Fetch an item, and leave what it gave to a task of its own."""
        try:
            got = await self._fetch(item)
        except (HttpError, PoliteRefusal, NoImageNamedError, NotGotError) as error:
            await self._not_got(item, attempt, error)
            return
        self.traffic.fetched += 1
        self.traffic.bytes += len(got.body)
        # Here and not in the task, so that lanes fetch no faster than what they fetch is dealt with.
        await self._room.take(len(got.body))
        self._spawn(self._deal_with(item, got))

    async def _not_got(
        self, item: Item, attempt: int, error: HttpError | PoliteRefusal | NoImageNamedError | NotGotError
    ) -> None:
        wait_s = self._retry.wait_s(attempt, error, self._rng)
        if wait_s is not None:
            self._spawn(self._again(item, attempt + 1, wait_s))
            return
        may_pass = error.retriable or isinstance(error, (StatusError, TooManyRedirects, ConnectionFailed, NotGotError))
        await self._ledger.finish(item, "failed" if may_pass else "refused", error.error_class, str(error))

    async def _again(self, item: Item, attempt: int, wait_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), wait_s)
            await self._ledger.give_back([item])
            return
        await self._uploads.ready.wait()
        await self._work_on(item, attempt)

    async def _fetch(self, item: Item) -> _Got:
        if item.kind == "file":
            return _Got(await asyncio.to_thread(_read_file, Path(item.url), self._network.max_bytes), _now())
        source = self._sources[item.source]
        response = await self._web.get(item.url, accept=_PAGE_TYPES if item.kind == "page" else None)
        if isinstance(source, EndpointSource) and source.pick is not None:
            content_type = response.headers.get("Content-Type", "")
            named = await asyncio.to_thread(pick_image, response.body, content_type, response.final_url, source.pick)
            response = await self._web.get(named)
        return _Got(response.body, _now(), response)

    async def _deal_with(self, item: Item, got: _Got) -> None:
        try:
            if item.kind == "page":
                await self._read_page(item, got)
            else:
                await self._judge(item, got)
        finally:
            self._room.give(len(got.body))

    async def _read_page(self, item: Item, got: _Got) -> None:
        source, response = self._sources[item.source], got.response
        assert isinstance(source, GallerySource) and response is not None
        content_type = response.headers.get("Content-Type", "")
        if content_type.startswith(("image/", "video/", "audio/")):
            await self._ledger.finish(item, "refused", "not a page", f"{item.url} is {content_type[:40]}, not a page")
            return
        reason, page = await asyncio.to_thread(_links_of, got.body, content_type, response.final_url, source)
        if reason is not None and self._network.opt_outs:
            error = OptedOut(item.url, reason)
            await self._ledger.finish(item, "refused", error.error_class, str(error))
            return
        hosts = {host_key(url) for url in source.start} | set(source.hosts)
        pages = [(url, item.depth) for url in page.next]
        if item.depth < source.depth:
            pages += [(url, item.depth + 1) for url in page.deeper]
        await self._ledger.found(item, page.images, [(u, d) for u, d in pages if _is_of(u, hosts)])

    async def _judge(self, item: Item, got: _Got) -> None:
        source = self._sources[item.source]
        md5 = (item.about or {}).get("md5")
        if md5 and hashlib.md5(got.body, usedforsecurity=False).hexdigest() != md5:
            await self._ledger.finish(item, "refused", "wrong checksum", f"{item.url}: its md5 is not {md5}")
            return
        facts = await self._decoders.examine(got.body)
        if isinstance(facts, Refusal):
            status = "failed" if facts.may_pass else "refused"
            await self._ledger.finish(item, status, facts.reason, f"{item.url}: {facts.detail}")
        elif self._blocklist.refuses(facts.sha256, facts.phash):
            await self._ledger.finish(item, "refused", "taken down", f"{item.url}: {facts.sha256} was taken down")
        elif source.label == "real" and _says_generated(facts):
            key = ASIDE_PREFIX + facts.key.rpartition("/")[2]
            await self._uploads.put(None, key, got.body)
            markers = ", ".join(facts.ai_markers)
            await self._ledger.finish(item, "aside", "says it is generated", f"{item.url}: {markers}; kept as {key}")
        else:
            final_url = None if got.response is None else got.response.final_url
            if await self._ledger.intend(item, facts, final_url, got.at):
                await self._uploads.put(item, facts.key, got.body)


class _Room:
    """So many bytes and images may be between fetch and store; one that is larger than all the room goes alone."""

    def __init__(self, images: int, size: int) -> None:
        self._images, self._size = images, size
        self._held_images = self._held_bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, size: int) -> None:
        """Wait for room for one image of `size` bytes."""
        while self._held_images and (self._held_images >= self._images or self._held_bytes + size > self._size):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        self._held_images += 1
        self._held_bytes += size

    def give(self, size: int) -> None:
        """Give the room back."""
        self._held_images -= 1
        self._held_bytes -= size
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break


def _says_generated(facts: ImageFacts) -> bool:
    if not facts.ai_markers:
        return False
    from crawler.markers import says_generated  # with Pillow, which most crawls need not have in this process

    return says_generated(facts.ai_markers)


def _now() -> datetime:
    return datetime.now(UTC)


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        # Before reading: a pipe would wait for ever.
        if not path.is_file():
            raise NotGotError(f"{path} is not a file" if path.exists() else f"{path} is not there")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise NotGotError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > max_bytes:
        raise NotGotError(f"{path} has more than the {max_bytes:,} bytes allowed")
    return data


def _links_of(body: bytes, content_type: str, url: str, source: GallerySource) -> tuple[str | None, Page]:
    tree = parse_html(body, content_type)
    return page_opted_out(tree, USER_AGENT_TOKEN), read_page(tree, url, source)


def _is_of(url: str, hosts: Collection[str]) -> bool:
    """Whether a page is on one of the hosts, which may be given with or without their port."""
    key = host_key(url)
    return key in hosts or key.rpartition(":")[0] in hosts
