"""The REST API's front: finds the route, checks the token, counts rate limits, reads JSON or multipart, answers."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web

from tests.discord_server.errors import ApiError, not_found, unauthorised

if TYPE_CHECKING:
    from tests.discord_server.server import DiscordServer

JSON = {"Content-Type": "application/json"}  # exactly this: discord.py reads anything else as text
VIA = {"Via": "1.1 google"}  # a 429 without it is taken for a ban by Cloudflare
MAX_REQUEST = 25 * 10 * 1024 * 1024  # bytes: what one request could ever hold
MAX_FILES = 10
_LOG = logging.getLogger(__name__)


@dataclass
class Call:
    """One request as a route sees it. files: by the n of files[n], (name, content type, bytes)."""

    method: str
    path: str
    params: dict[str, str]
    query: dict[str, str]
    payload: Any = None
    files: dict[int, tuple[str, str, bytes]] = field(default_factory=dict)
    status: int = 0

    def __repr__(self) -> str:
        return f"<{self.method} {self.path[:60]} {self.status}>"

    def switch(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true")

    def number(self, name: str) -> int:
        """A snowflake of the path."""
        text = self.params[name]
        if not text.isdecimal():
            errors = {
                name: {"_errors": [{"code": "NUMBER_TYPE_COERCE", "message": f'Value "{text}" is not snowflake.'}]}
            }
            raise ApiError(400, 50035, "Invalid Form Body", errors=errors)
        return int(text)


Handler = Callable[["DiscordServer", Call], Awaitable[Any]]
ROUTES: list[tuple[str, str, re.Pattern[str], Handler]] = []


def route(method: str, template: str) -> Callable[[Handler], Handler]:
    """Register a handler: it gives the JSON to answer, None for 204, or (status, JSON); it raises ApiError."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template) + "$")

    def register(handler: Handler) -> Handler:
        ROUTES.append((method, template, pattern, handler))
        return handler

    return register


class Rest:
    """limits: how many requests of a route in how many seconds, for each major resource, "*" for all the others;
    the real ones (5 messages a channel in 5 s) would only make tests slow. global_limit: in one second.
    """

    def __init__(self, server: DiscordServer) -> None:
        self._server = server
        self.limits: dict[str, tuple[int, float]] = {"*": (1000, 1.0)}
        self.global_limit = 10_000
        self.calls: list[Call] = []
        self._windows: dict[str, tuple[float, int]] = {}

    async def handle(self, request: web.Request, path: str) -> web.StreamResponse:
        """path: without /api/v10."""
        call = Call(request.method, path, {}, dict(request.query))
        headers: dict[str, str] = {}
        try:
            template, handler, call.params = self._find(request.method, path)
            headers = self._count(template, call)
            self._authorise(request, path)
            await _read(request, call)
            self.calls.append(call)
            status, body = await self._answer(handler, call)
        except ApiError as error:
            status, body = error.status, error.body
            headers |= error.headers
        call.status = status
        self._server.record("request", call=call)
        if status == 204:  # with no body it is no JSON either, and Discord says so
            return web.Response(status=204, headers={"Content-Type": "text/html; charset=utf-8", **VIA, **headers})
        return web.Response(status=status, body=json.dumps(body).encode(), headers={**JSON, **VIA, **headers})

    async def _answer(self, handler: Handler, call: Call) -> tuple[int, Any]:
        try:
            answer = await handler(self._server, call)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            # A payload of another shape than the documented one is refused; the log tells where it stopped fitting.
            _LOG.info("%s %s with %r", call.method, call.path, call.payload, exc_info=True)
            wrong = {"_errors": [{"code": "MODEL_TYPE_CONVERT", "message": repr(error)}]}
            raise ApiError(400, 50035, "Invalid Form Body", errors=wrong) from error
        return answer if isinstance(answer, tuple) else (204 if answer is None else 200, answer)

    def _find(self, method: str, path: str) -> tuple[str, Handler, dict[str, str]]:
        is_path_known = False
        for route_method, template, pattern, handler in ROUTES:
            if match := pattern.match(path):
                if route_method == method:
                    return template, handler, match.groupdict()
                is_path_known = True
        raise ApiError(405, 0, "405: Method Not Allowed") if is_path_known else not_found()

    def _authorise(self, request: web.Request, path: str) -> None:
        """A token in the path is all the proof that interactions and webhooks want."""
        if path.startswith(("/interactions/", "/webhooks/")) or path == "/gateway":
            return
        if request.headers.get("Authorization") != f"Bot {self._server.token}":
            raise unauthorised()

    def _count(self, template: str, call: Call) -> dict[str, str]:
        now = time.time()
        major = ":".join(call.params.get(key, "") for key in ("channel", "guild", "token") if call.params.get(key))
        name = f"{call.method} {template}"
        limit, window_s = self.limits.get(name, self.limits["*"])
        if not call.path.startswith("/interactions/"):  # those are outside the global limit
            self._spend("global", now, self.global_limit, 1.0, is_global=True)
        remaining, reset = self._spend(f"{name}:{major}", now, limit, window_s)
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": f"{reset:.3f}",
            "X-RateLimit-Reset-After": f"{reset - now:.3f}",
            "X-RateLimit-Bucket": f"{hash(name) & (1 << 64) - 1:016x}",
        }

    def _spend(
        self, bucket: str, now: float, limit: int, window_s: float, *, is_global: bool = False
    ) -> tuple[int, float]:
        start, used = self._windows.get(bucket, (now, 0))
        if now >= start + window_s:
            start, used = now, 0
        reset = start + window_s
        if used >= limit:
            raise rate_limited(reset - now, is_global=is_global, limit=limit)
        self._windows[bucket] = (start, used + 1)
        return limit - used - 1, reset


def rate_limited(retry_after: float, *, is_global: bool = False, limit: int = 1) -> ApiError:
    scope = "global" if is_global else "user"
    headers = {"Retry-After": str(max(1, round(retry_after))), "X-RateLimit-Scope": scope}
    if is_global:
        headers["X-RateLimit-Global"] = "true"
    else:
        headers |= {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": "0"}
        headers["X-RateLimit-Reset-After"] = f"{retry_after:.3f}"
        headers["X-RateLimit-Reset"] = f"{time.time() + retry_after:.3f}"
    error = ApiError(429, 0, "You are being rate limited.", headers=headers, retry_after=retry_after)
    error.body["global"] = is_global
    del error.body["code"]
    return error


async def _read(request: web.Request, call: Call) -> None:
    if request.method in ("GET", "DELETE") or not request.can_read_body:
        return
    kind = request.content_type
    try:
        if kind == "application/json":
            call.payload = json.loads(await request.read())
        elif kind == "multipart/form-data":
            await _read_parts(request, call)
        else:
            raise ApiError(400, 50035, "Invalid Form Body", errors={"_errors": [{"code": "CONTENT_TYPE_INVALID"}]})
    except json.JSONDecodeError as error:
        raise ApiError(400, 50109, "The request body contains invalid JSON.") from error


async def _read_parts(request: web.Request, call: Call) -> None:
    call.payload = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        data = bytes(await part.read(decode=False))
        name = part.name or ""
        if name == "payload_json":
            call.payload = json.loads(data)
        elif match := re.fullmatch(r"files\[(\d{1,2})\]|file", name):
            kind = part.headers.get("Content-Type", "application/octet-stream")
            call.files[int(match[1] or 0)] = (part.filename or "unknown", kind, data)
    if len(call.files) > MAX_FILES:
        errors = {"files": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 10 or fewer in length."}]}}
        raise ApiError(400, 50035, "Invalid Form Body", errors=errors)
