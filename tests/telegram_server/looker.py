"""For tests of the stand-in: python-telegram-bot's own client on it, raw requests, and pictures."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import aiohttp
import numpy as np
from PIL import Image
from telegram import Bot, TelegramObject, Update
from telegram.request import BaseRequest, RequestData

from tests.telegram_server.serving import Address, serving


class Looker:
    """bot: the library's client. address: where the server is. Raw requests go through `ask`."""

    def __init__(self, address: Address, bot: Bot, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.server = address.server
        self.bot = bot
        self._session = session
        self._offset = 0

    async def updates(self, timeout: int = 0, **asked: Any) -> list[Update]:
        """Those that have not been given yet, parsed without anything unknown in them; confirmed with the next call."""
        found = await self.bot.get_updates(offset=self._offset, timeout=timeout, **asked)
        for update in found:
            assert_known(update)
        if found:
            self._offset = found[-1].update_id + 1
        return list(found)

    async def update(self) -> Update:
        """The only one."""
        (found,) = await self.updates()
        return found

    async def ask(
        self, method: str, *, token: str | None = None, files: dict[str, bytes] | None = None, **params: Any
    ) -> tuple[int, dict[str, Any]]:
        """One request as a form (multipart with files); objects are serialised. Gives status and answer."""
        values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in params.items()}
        form = aiohttp.FormData(values)
        for name, data in (files or {}).items():
            form.add_field(name, data, filename=f"{name}.bin")
        url = f"{self.address.api_url}/bot{token or self.server.token}/{method}"
        async with self._session.post(url, data=form) as answer:
            body: dict[str, Any] = await answer.json()
            return answer.status, body


class OverAiohttp(BaseRequest):
    """The library's requests through another client than its own."""

    read_timeout = 30.0

    async def initialize(self) -> None:
        self._session = aiohttp.ClientSession()

    async def shutdown(self) -> None:
        await self._session.close()

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *_: Any, **timeouts: Any
    ) -> tuple[int, bytes]:
        form = aiohttp.FormData(request_data.json_parameters if request_data else {})
        for name, (file_name, data, kind) in (request_data.multipart_data or {} if request_data else {}).items():
            form.add_field(name, data, filename=file_name, content_type=kind)
        async with self._session.request(method, url, data=form if request_data else None) as answer:
            return answer.status, await answer.read()


def played(body: Callable[[Looker], Awaitable[None]]) -> Callable[[], None]:
    """A test that gets a server and a client of its own."""

    @wraps(body)
    def test() -> None:
        async def play() -> None:
            async with looking() as looker:
                await body(looker)

        asyncio.run(play())

    del test.__wrapped__  # pytest would read the parameter as a fixture
    return test


@asynccontextmanager
async def looking() -> AsyncIterator[Looker]:
    """A server of its own and who looks at it."""
    async with serving() as address, aiohttp.ClientSession() as session:
        root = address.api_url
        async with Bot(address.server.token, f"{root}/bot", f"{root}/file/bot") as bot:
            yield Looker(address, bot, session)


def assert_known(shown: Any) -> None:
    """Nothing in an object of the library, however deep, is unknown to it."""
    for path, found in _objects(shown, type(shown).__name__):
        assert not found.api_kwargs, f"{path}: unknown {dict(found.api_kwargs)}"


def _objects(shown: Any, path: str) -> Iterator[tuple[str, TelegramObject]]:
    if isinstance(shown, TelegramObject):
        yield path, shown
        for kind in type(shown).__mro__:
            for name in getattr(kind, "__slots__", ()):
                if not name.startswith("_"):
                    yield from _objects(getattr(shown, name, None), f"{path}.{name}")
    elif isinstance(shown, list | tuple):
        for number, item in enumerate(shown):
            yield from _objects(item, f"{path}[{number}]")


def picture(width: int = 64, height: int = 48, kind: str = "JPEG", seed: int = 0) -> bytes:
    """A small picture, another one for each seed."""
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()
