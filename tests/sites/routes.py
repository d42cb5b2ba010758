"""Which answer belongs to which path."""

from __future__ import annotations

import itertools
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate

from aiohttp import web

from tests.sites import faults, pictures
from tests.sites.catalogue import TDMREP, Entry, hops, serve
from tests.sites.pages import Gallery, calendar
from tests.sites.robots import MOVED, MOVED_BODY, Robots

FIFTY = range(50_000, 50_050)  # the faces of the endpoint that has only these
_PERSON, _PAGE_PERSON, _JSON_PERSON = 20_000, 30_000, 40_000  # first faces of the endpoints that never end


class Router:
    """The answers of one site; keeps the counters of the endpoints, so that two sites do not share them."""

    def __init__(self, entries: dict[str, Entry], galleries: dict[str, Gallery]) -> None:
        self._fixed = {path: entry.handler for path, entry in entries.items()}
        for gallery in galleries.values():
            self._fixed |= {path: serve(page.body, page.content_type) for path, page in gallery.pages.items()}
            self._fixed |= {path: serve(body) for path, body in gallery.files.items()}
        self._fixed |= {
            "/.well-known/tdmrep.json": serve(json.dumps(TDMREP).encode(), "application/json"),
            "/logo.png": serve(pictures.png_dot(), "image/png"),
            MOVED: serve(MOVED_BODY.encode(), "text/plain"),
        }
        self._person = itertools.count(_PERSON)
        self._page_person = itertools.count(_PAGE_PERSON)
        self._json_person = itertools.count(_JSON_PERSON)
        self._dice = random.Random(7)
        self._tries: Counter[str] = Counter()
        self._families: list[tuple[re.Pattern[str], Callable[[re.Match[str], web.BaseRequest], faults.Handler]]] = [
            (re.compile(r"/(?:img|g|face)/(\d{5,})\.jpg"), lambda match, _: self._face(int(match[1]))),
            (re.compile(r"/redirect/hops-(\d+)\.jpg"), lambda match, _: hops(int(match[1]))),
            (re.compile(r"/album/calendar/(\d+)"), lambda match, _: self._html(calendar(int(match[1])).body)),
            (re.compile(r"/throttled/(seconds|date)/(\d+)\.jpg"), self._throttled),
            (re.compile(r"/flaky/(503|reset|truncated)/(\d+)\.jpg"), self._flaky),
        ]
        self._endpoints: dict[str, Callable[[web.BaseRequest], faults.Handler]] = {
            "/person": lambda _: self._face(next(self._person)),
            "/fifty": lambda _: self._face(self._dice.choice(FIFTY)),
            "/person.html": lambda _: self._html(_person_page(next(self._page_person))),
            "/api/person": self._person_json,
        }

    async def route(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """The answer for `path`, which is decoded and has its query."""
        return await self._handler(request, path)(request)

    def _handler(self, request: web.BaseRequest, path: str) -> faults.Handler:
        bare = path.partition("?")[0]
        fixed = self._fixed.get(path) or self._fixed.get(bare)
        if fixed:
            return fixed
        if bare in self._endpoints:
            return self._endpoints[bare](request)
        for pattern, answer in self._families:
            if match := pattern.fullmatch(bare):
                return answer(match, request)
        return serve(b"<h1>Not Found</h1>", "text/html", 404)

    def _face(self, number: int) -> faults.Handler:
        return serve(pictures.face(number), headers={"Cache-Control": "no-store"})

    def _html(self, body: bytes) -> faults.Handler:
        return serve(body, "text/html; charset=utf-8")

    def _person_json(self, request: web.BaseRequest) -> faults.Handler:
        url = f"http://{request.host}/face/{next(self._json_person):05d}.jpg"
        return serve(json.dumps({"data": {"image": {"url": url}}, "ok": True}).encode(), "application/json")

    def _throttled(self, match: re.Match[str], request: web.BaseRequest) -> faults.Handler:
        """429 at the first try of each address, with the seconds or the date of when to come back."""
        self._tries[match[0]] += 1
        if self._tries[match[0]] > 1:
            return self._face(int(match[2]))
        # A date has whole seconds: two ahead is at least one.
        wait = "1" if match[1] == "seconds" else formatdate(int(time.time()) + 2, usegmt=True)
        return serve(b"slow down", "text/plain", 429, {"Retry-After": wait})

    def _flaky(self, match: re.Match[str], request: web.BaseRequest) -> faults.Handler:
        """Bad at the first try of each address, good from then on."""
        self._tries[match[0]] += 1
        body = pictures.face(int(match[2]))
        if self._tries[match[0]] > 1:
            return serve(body)
        first = {
            "503": serve(b"busy", "text/plain", 503),
            "reset": faults.reset(body),
            "truncated": faults.incomplete(body),
        }
        return first[match[1]]


async def answer_robots(request: web.BaseRequest, robots: Robots) -> web.StreamResponse:
    """The answer for /robots.txt."""
    body = robots.body.encode()
    if robots.fault == "drip":
        return await faults.drip(body, robots.content_type)(request)
    if robots.fault == "reset":
        return await faults.reset(body, robots.content_type)(request)
    headers = {"Content-Type": robots.content_type, **robots.headers}
    return web.Response(body=body, status=robots.status, headers=headers)


def _person_page(number: int) -> bytes:
    return (
        f'<!DOCTYPE html><title>This person is not there</title><img src="/logo.png"><div><img id="face" '
        f'src="face/{number:05d}.jpg" alt="a person"></div><a href="/person.html">another</a>'
    ).encode()
