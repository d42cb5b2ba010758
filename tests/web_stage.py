"""The web server of the tests, in this process: a real worker, a real database and real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bot.chat.app import App, open_app
from bot.params import BotParams, WebParams
from bot.web.problems import Problem
from bot.web.security import HEADERS
from bot.web.serve import listening, serving
from tests.bot_bundles import photo, write_small_bundle
from tests.desks import shared_desk

PATIENCE_S = 60.0
MAX_BYTES = 1 << 20


def png(seed: int = 0) -> bytes:
    out = io.BytesIO()
    photo(96, 80, seed).save(out, "PNG")
    return out.getvalue()


@dataclass
class Answered:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int, name: str) -> Problem:
        """Valid, of this kind, and consistent."""
        assert self.status == status, self.body
        assert self.headers["Content-Type"] == "application/problem+json"
        found = Problem.model_validate_json(self.body)
        assert (found.type, found.status) == (f"/docs#{name}", status)
        assert found.detail and "Traceback" not in found.detail and "/" not in found.detail.replace("/…", "").replace(
            "multipart/form-data", "").replace("application/octet-stream", "").replace(
            "application/json", "").replace("/docs", "")  # fmt: skip
        return found


class Site:
    """The API at `url`, with `app` behind it, in a loop of its own thread."""

    app: App
    url: str

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stop = asyncio.Event()

    def get(self, path: str, **headers: str) -> Answered:
        return self.send("GET", path, None, headers)

    def post(self, kind: str | None, body: bytes, query: str = "", **headers: str) -> Answered:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", f"api/v1/check{query}", body, given | ({"Content-Type": kind} if kind else {}))

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answered:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, "/" + path, body, dict(headers), encode_chunked="Transfer-Encoding" in headers)
            answer = connection.getresponse()
            answered = Answered(answer.status, answer.headers, answer.read())
        for name, value in HEADERS.items():
            assert answered.headers.get_all(name) == [value], (method, path, answered.status)
        assert "server" not in answered.headers
        assert "access-control-allow-origin" not in answered.headers
        return answered

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)


@contextmanager
def served(params: BotParams) -> Iterator[Site]:
    site, up = Site(), threading.Event()
    trouble: list[BaseException] = []

    async def serve() -> None:
        with listening(params.web) as at:
            async with open_app(params, desk=shared_desk(params)) as site.app, serving(site.app, at) as site.url:
                up.set()
                await site.stop.wait()

    def run() -> None:
        try:
            site.loop.run_until_complete(serve())
        except BaseException as error:
            trouble.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert up.wait(PATIENCE_S)
    try:
        if trouble:
            raise trouble[0]
        yield site
    finally:
        if not trouble:
            site.loop.call_soon_threadsafe(site.stop.set)
        thread.join(PATIENCE_S)
    assert not thread.is_alive() and not trouble


@contextmanager
def also_served(site: Site, web: Mapping[str, Any]) -> Iterator[Site]:
    """The same core once more, under other settings for the web: a worker takes seconds to start."""
    other, stop = Site(), asyncio.Event()
    other.loop = site.loop
    other.app = copy(site.app)
    other.app.params = site.app.params.model_copy(update={"web": WebParams.model_validate({"port": 0, **web})})
    up = threading.Event()

    async def serve() -> None:
        with listening(other.app.params.web) as at:
            async with serving(other.app, at) as other.url:
                up.set()
                await stop.wait()

    running = asyncio.run_coroutine_threadsafe(serve(), site.loop)
    running.add_done_callback(lambda _: up.set())
    assert up.wait(PATIENCE_S)
    try:
        if not running.done():
            yield other
    finally:
        site.loop.call_soon_threadsafe(stop.set)
        running.result(PATIENCE_S)


def web_params(folder: Path, **more: Any) -> BotParams:
    return BotParams.model_validate({
        "bundle": write_small_bundle(folder / "bundle"),
        "database": f"sqlite:///{folder}/bot.db",
        "check": {"max_mb": MAX_BYTES / 2**20},
        "monitor": {"port": None},
        "web": {"port": 0, "stop_s": 20},
    } | more)  # fmt: skip


def posting(netloc: str, length: int, *more: str) -> socket.socket:
    """A connection on which the head of a request with a PNG has been sent, and its body not yet."""
    host, _, port = netloc.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    lines = ("POST /api/v1/check HTTP/1.1", f"Host: {netloc}", "Content-Type: image/png", f"Content-Length: {length}")
    connection.sendall("\r\n".join((*lines, *more, "", "")).encode())
    return connection


async def until(is_so: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0.01)
