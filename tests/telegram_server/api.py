"""The front of the Bot API: finds the method, reads its parameters, answers in Telegram's envelope."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.telegram_server.errors import ApiError, bad
from tests.telegram_server.parameters import Call, Kind, read

if TYPE_CHECKING:
    from tests.telegram_server.server import TelegramServer

Handler = Callable[["TelegramServer", Call], Awaitable[Any]]
METHODS: dict[str, tuple[str, dict[str, Kind], Handler]] = {}
_LOG = logging.getLogger(__name__)


def method(name: str, /, **known: Kind) -> Callable[[Handler], Handler]:
    """Register a method of the Bot API and its parameters: it gives the result, or raises ApiError."""

    def register(handler: Handler) -> Handler:
        METHODS[name.lower()] = (name, known, handler)
        return handler

    return register


async def handle(server: TelegramServer, request: web.Request, name: str) -> web.StreamResponse:
    """Answer one request for a method; names are taken in any case."""
    call = Call(name)
    try:
        known, handler = _find(call)
        await read(request, call, known)
        server.flood_control.check(server, call)
        call.result = await _answered(server, handler, call)
        call.code, body = 200, {"ok": True, "result": call.result}
    except ApiError as error:
        call.code, call.description, body = error.code, error.description, error.body
    server.record("call", call=call)
    headers = {"Retry-After": str(body["parameters"]["retry_after"])} if call.code == 429 else {}
    return web.Response(
        status=call.code, body=json.dumps(body).encode(), headers={"Content-Type": "application/json", **headers}
    )


def _find(call: Call) -> tuple[dict[str, Kind], Handler]:
    if call.method.lower() not in METHODS:
        raise ApiError(404, "method not found")
    call.method, known, handler = METHODS[call.method.lower()]
    return known, handler


async def _answered(server: TelegramServer, handler: Handler, call: Call) -> Any:
    try:
        return await handler(server, call)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # An object of another shape than the documented one is refused; the log tells where it stopped fitting.
        _LOG.info("%s with %r", call.method, call.args, exc_info=True)
        raise bad(f"can't parse the parameters: {error!r}") from error
