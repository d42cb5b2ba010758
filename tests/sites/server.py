"""The site itself: an aiohttp server in a thread of its own, with its log, its switches and its table of truth.

with site() as s:
    ...                                     # a crawl of s.url("/img/00000.jpg"), in this process or another
    s.requests("/img/")                     # what came, with times and headers
    s.truth()[s.url("/img/00000.jpg")]      # what should have become of it
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from aiohttp import web

from tests.sites import lists, pictures
from tests.sites.catalogue import Entry, catalogue
from tests.sites.expected import Expected, kept, refused
from tests.sites.journal import Journal, Request, high_water
from tests.sites.pages import Gallery, galleries
from tests.sites.robots import ROBOTS, Robots
from tests.sites.routes import Router, answer_robots

T = TypeVar("T")


@dataclass
class _Failure:
    prefix: str
    left: int
    status: int
    headers: dict[str, str] = field(default_factory=dict)


class Site:
    """A running site. Its methods may be called from any thread."""

    def __init__(self, host: str, images: int, robots: str | Robots, delay_s: float) -> None:
        self.host = host
        self.port = 0
        self.trap_port = 0
        self.images = images  # how many numbered faces the table of truth lists
        self.robots: Robots = ROBOTS[robots] if isinstance(robots, str) else robots
        self.delay_s = delay_s  # waited before every answer but robots.txt
        self.entries: dict[str, Entry] = {}
        self.galleries: dict[str, Gallery] = {}
        self._journal, self._trapped = Journal(), Journal()
        self._failures: list[_Failure] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._runners: list[web.ServerRunner] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"site {host}", daemon=True)

    # Addresses

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}:{self.port}"

    def url(self, path: str) -> str:
        """The address of `path` (which may have a query), percent-encoded as a URL must be."""
        return self.origin + quote(path, safe="/?=&;:@,+~!*'()%")

    def image_urls(self, count: int, start: int = 0) -> list[str]:
        """The addresses of numbered faces, each of which is a picture of its own."""
        return [self.url(f"/img/{number:05d}.jpg") for number in range(start, start + count)]

    def url_list(self, kind: str, urls: Iterable[str] | None = None) -> bytes:
        """`urls` (default: the numbered faces) as a file of `kind`: txt, csv or parquet."""
        writer = {"txt": lists.as_text, "csv": lists.as_csv, "parquet": lists.as_parquet}[kind]
        return writer(list(urls) if urls is not None else self.image_urls(self.images))

    def ffhq_json(self, count: int, wrong_md5: Iterable[int] = ()) -> bytes:
        """`ffhq-dataset-v2.json` of the first faces; those numbered in `wrong_md5` do not match their checksum."""
        files = {url: pictures.face(number) for number, url in enumerate(self.image_urls(count))}
        return lists.as_ffhq(files, tuple(wrong_md5))

    # What came

    def requests(self, prefix: str = "") -> list[Request]:
        """The requests so far whose path begins with `prefix`, in the order in which they came."""
        return self._journal.snapshot(prefix)

    def trapped(self) -> list[Request]:
        """The requests that reached the second server, to which only forbidden redirects lead: there must be none."""
        return self._trapped.snapshot()

    def high_water(self, prefix: str = "") -> int:
        """The most requests below `prefix` that were under way at one moment."""
        return high_water(self.requests(prefix))

    def served(self, prefix: str = "") -> list[str]:
        """The sha256 of every whole image that was sent from below `prefix`, one for each answer."""
        return [request.sha256 for request in self.requests(prefix) if request.sha256 and request.ended]

    def wait_for(self, count: int, prefix: str = "", timeout_s: float = 30) -> None:
        """Return as soon as `count` requests below `prefix` have been answered. Raises TimeoutError."""

        def enough(requests: list[Request]) -> bool:
            return sum(r.ended is not None and r.path.startswith(prefix) for r in requests) >= count

        self._journal.wait_until(enough, timeout_s)

    def truth(self, prefix: str = "") -> dict[str, Expected]:
        """URL ▶ what to expect of it, under the robots.txt of this moment, for everything but the endless endpoints.

        For a crawl as real photos with a minimum side of at most 48 pixels and an allow list that holds this site's
        host alone: what the traps of a site on 127.0.0.1 are worth depends on whether the list names ports.
        """
        table = {f"/img/{number:05d}.jpg": kept(pictures.face(number)) for number in range(self.images)}
        table |= {path: entry.expected for path, entry in self.entries.items()}
        for gallery in self.galleries.values():
            table |= gallery.images
        for path in table:
            entry = self.entries.get(path)
            behind = entry.lands_on if entry else ""
            if self.robots.forbids(path) or (behind and self.robots.forbids(behind)):
                table[path] = refused("robots")
        return {self.url(path): expected for path, expected in table.items() if path.startswith(prefix)}

    # Switches

    def set_robots(self, robots: str | Robots) -> None:
        """From now on answer for /robots.txt like this."""
        self.robots = ROBOTS[robots] if isinstance(robots, str) else robots

    def fail_next(self, prefix: str, count: int, status: int = 503, **headers: str) -> None:
        """Answer the next `count` requests below `prefix` with `status`; `Retry_After="1"` gives that header."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        with self._lock:
            self._failures.append(_Failure(prefix, count, status, fields))

    def take_failure(self, path: str) -> web.Response | None:
        """The failure that a request for `path` is to get, if any."""
        with self._lock:
            for failure in self._failures:
                if failure.left and path.startswith(failure.prefix):
                    failure.left -= 1
                    return web.Response(status=failure.status, headers=failure.headers, text="try again later")
        return None

    def pause(self) -> None:
        """Take requests, and answer none of them until `resume`."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def resume(self) -> None:
        """Answer again, first of all what has been waiting."""
        self._loop.call_soon_threadsafe(self._open.set)

    def die(self) -> None:
        """Reset every connection and close the port, as a machine that loses its server does."""
        self._call(self._die())

    def revive(self) -> None:
        """Listen on the same port again."""
        self._call(self._listen(self._runners[0], self.host, self.port))

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Dead inside the block, alive again behind it."""
        self.die()
        try:
            yield
        finally:
            self.revive()

    # The server

    def start(self) -> None:
        """Bind free ports and serve."""
        self._thread.start()
        self._call(self._start())

    def stop(self) -> None:
        """Close everything and end the thread."""
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _start(self) -> None:
        self._open.set()
        self._runners = [
            web.ServerRunner(web.Server(handler, access_log=None, handler_cancellation=True))
            for handler in (self._answer, self._answer_trap)
        ]
        for runner in self._runners:
            await runner.setup()
        self.trap_port = await self._listen(self._runners[1], "127.0.0.1", 0)
        self.entries, self.galleries = catalogue(self.trap_port), galleries(self.trap_port)
        self._route = Router(self.entries, self.galleries).route
        self.port = await self._listen(self._runners[0], self.host, 0)

    async def _listen(self, runner: web.ServerRunner, host: str, port: int) -> int:
        listener = web.TCPSite(runner, host, port, backlog=1024, reuse_address=True)
        await listener.start()
        return listener.port

    async def _die(self) -> None:
        runner = self._runners[0]
        for listener in list(runner.sites):
            await listener.stop()
        for connection in list(runner.server.connections if runner.server else ()):
            if connection.transport is not None:
                connection.transport.abort()

    async def _stop(self) -> None:
        await self._die()
        for runner in self._runners:
            await runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        number = _begin(self._journal, request)
        status, sha256 = None, None
        try:
            await self._open.wait()
            response = await self._respond(request, _decoded(request))
            if not response.prepared and request.transport is not None:
                await response.prepare(request)
                await response.write_eof()
            status, sha256 = response.status, _sha256_of(response)
            return response
        finally:
            self._journal.end(number, status=status, sha256=sha256)

    async def _respond(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if path == "/robots.txt":
            return await answer_robots(request, self.robots)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return self.take_failure(path) or await self._route(request, path)

    async def _answer_trap(self, request: web.BaseRequest) -> web.StreamResponse:
        self._trapped.end(_begin(self._trapped, request), status=200)
        return web.Response(body=pictures.face(9999), content_type="image/jpeg")


@contextmanager
def site(
    host: str = "127.0.0.1", *, images: int = 100, robots: str | Robots = "allow", delay_s: float = 0.0
) -> Iterator[Site]:
    """A site on a free port of `host`, which may be any address of 127.0.0.0/8; so there can be several hosts."""
    server = Site(host, images, robots, delay_s)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _begin(journal: Journal, request: web.BaseRequest) -> int:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return journal.begin(_decoded(request), request.host, request.method, headers)


def _decoded(request: web.BaseRequest) -> str:
    query = request.rel_url.query_string
    return request.rel_url.path + ("?" + query if query or request.raw_path.endswith("?") else "")


def _sha256_of(response: web.StreamResponse) -> str | None:
    if not isinstance(response, web.Response) or response.status != 200 or "Content-Encoding" in response.headers:
        return None
    if not response.content_type.startswith("image/"):
        return None
    return hashlib.sha256(response.body).hexdigest() if isinstance(response.body, bytes) else None
