"""Requests without a library, for the tests of the stand-in itself."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from PIL import Image

from tests.discord_server.serving import Plain, plain


class Api:
    """Raw requests of a bot."""

    def __init__(self, address: Plain, session: aiohttp.ClientSession) -> None:
        self.server, self._address, self._session = address.server, address, session

    async def __call__(
        self, method: str, path: str, payload: Any = None, *, files: Any = (), token: str | None = None
    ) -> tuple[int, Any]:
        """files: (name, bytes) in order; gives status and JSON."""
        headers = {"Authorization": f"Bot {token or self.server.token}"}
        form: Any = None
        if files:
            form = aiohttp.FormData(quote_fields=False)
            form.add_field("payload_json", json.dumps(payload or {}), content_type="application/json")
            for index, (name, data) in enumerate(files):
                form.add_field(f"files[{index}]", data, filename=name, content_type="application/octet-stream")
        body = {"data": form} if files else {"json": payload} if payload is not None else {}
        url = f"{self._address.api_url}{path}"
        async with self._session.request(method, url, headers=headers, **body) as answer:
            assert answer.headers["Via"]
            if answer.status == 204:
                return 204, None
            assert answer.headers["Content-Type"] == "application/json"
            return answer.status, await answer.json()

    async def say(self, payload: Any, **more: Any) -> tuple[int, Any]:
        return await self("POST", f"/channels/{self.server.guild['general'].id}/messages", payload, **more)

    async def answer(self, interaction: Any, kind: int, data: Any = None, **more: Any) -> tuple[int, Any]:
        path = f"/interactions/{interaction.id}/{interaction.token}/callback?with_response=true"
        return await self("POST", path, {"type": kind, "data": data or {}}, **more)

    async def hook(self, method: str, interaction: Any, payload: Any = None, message: Any = "", **more: Any) -> Any:
        path = f"/webhooks/{self.server.bot.id}/{interaction.token}" + (f"/messages/{message}" if message else "")
        return await self(method, path, payload, **more)

    async def register(self, *commands: Any) -> tuple[int, Any]:
        return await self("PUT", f"/applications/{self.server.bot.id}/commands", list(commands))


def asked(test: Callable[[Api], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that makes raw requests of a server of its own, as an ordinary function."""

    def run() -> None:
        async def body() -> None:
            async with plain() as address, aiohttp.ClientSession() as session:
                await test(Api(address, session))

        asyncio.run(body())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 10)).save(out, "PNG")
    return out.getvalue()
