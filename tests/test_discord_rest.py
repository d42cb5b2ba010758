"""Answers of a REST proxy that are right and still not as discord.py expects them, over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.chat.discord.rest import read_answer

CALLBACK = "/api/v10/interactions/123456789012345678/token/callback"


@pytest.mark.parametrize(
    ("path", "status", "content_type", "body", "read"),
    [
        ("/users/@me", 200, "application/json", b'{"id": "1"}', {"id": "1"}),
        ("/users/@me", 200, "application/json; charset=utf-8", b'{"id": "1"}', {"id": "1"}),
        ("/users/@me", 502, "text/html", b"<h1>Bad gateway</h1>", "<h1>Bad gateway</h1>"),
        ("/channels/1/typing", 204, None, b"", ""),
        (CALLBACK, 204, None, b"", {"interaction": {"id": "123456789012345678", "type": 0}}),
        (CALLBACK, 404, "application/json", b'{"code": 10062}', {"code": 10062}),
        (CALLBACK, 502, None, b"", ""),
    ],
)
def test_an_answer_is_read_as_it_is_meant(
    path: str, status: int, content_type: str | None, body: bytes, read: Any
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Content-Type": content_type} if content_type else None)

    async def run() -> Any:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://127.0.0.1:{runner.addresses[0][1]}{path}") as response,
            ):
                return await read_answer(response)
        finally:
            await runner.cleanup()

    assert asyncio.run(run()) == read
