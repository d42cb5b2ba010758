"""Failures on demand: a matching request gets another answer, comes late, or sees its connection drop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from aiohttp import web

Drop = Literal["before", "after", "middle"]


@dataclass
class Fault:
    """route: "POST /channels/*/messages" ("*" for any method); for files "GET /attachments/*" (media: "GET media:/*").

    times: how often still. status None lets the request through after delay_s. drop: the connection ends before the
    request is acted upon, after it without an answer, or in the middle of the answer's body. hits: when it struck.
    """

    route: str
    times: int = 1
    status: int | None = None
    code: int = 0
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | dict[str, Any] | None = None
    delay_s: float = 0.0
    drop: Drop | None = None
    when: Callable[[web.Request], bool] | None = None
    hits: int = 0

    def matches(self, method: str, path: str, request: web.Request) -> bool:
        wanted_method, _, wanted_path = self.route.partition(" ")
        if self.times <= 0 or wanted_method not in ("*", method) or not fnmatchcase(path, wanted_path):
            return False
        return self.when is None or self.when(request)

    def response(self) -> web.Response:
        body = self.body if self.body is not None else {"message": self.message or str(self.status), "code": self.code}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Via": "1.1 google", "Content-Type": "application/json", **self.headers}
        return web.Response(status=self.status or 500, body=raw, headers=headers)


class Faults:
    """The faults that are waiting for their request. struck: is told of each that found one."""

    def __init__(self, struck: Callable[[Fault], None]) -> None:
        self._struck = struck
        self.waiting: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        self.waiting.append(fault)
        return fault

    async def strike(self, request: web.Request, path: str, serve: Callable[[], Any]) -> web.StreamResponse:
        """Answer a request: with the first waiting fault that matches it, else with what `serve` says."""
        fault = next((f for f in self.waiting if f.matches(request.method, path, request)), None)
        if fault is None:
            answer: web.StreamResponse = await serve()
            return answer
        fault.times -= 1
        fault.hits += 1
        self._struck(fault)
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.drop == "before":
            return _cut(request)
        if fault.status is not None and fault.drop is None:
            await request.read()
            return fault.response()
        answer = fault.response() if fault.status is not None else await serve()
        if fault.drop == "after":
            return _cut(request)
        if fault.drop == "middle":
            return await _half(request, answer)
        return answer


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    body = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b"{" * 64
    half = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
    half.content_length = max(2, len(body))
    await half.prepare(request)
    await half.write(body[: max(1, len(body) // 2)])
    _cut(request)
    return half
