"""The desk before another machine: `detector: http://…` of a `python -m bot web`, or of its Ray Serve deployment."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from bot.params import BotParams
from bot.worker.afar import Away, DetectorAway, FarDesk
from bot.worker.requests import Checked, Want
from bot.worker.wire import WireError, most_bytes, read
from infra.errors import UserError
from infra.images import ImageTooLarge, NotAnImage
from infra.params import ParamsError, validate
from model_defs.checkpoint import MAX_CARD_BYTES, Card

KEY = "FACES_API_KEY"  # in the environment
_LOOK, _HEALTH = "/api/v1/look", "/healthz"
_MAX_HEALTH_BYTES = 2**16
_CONNECT_S = 5.0
_AWAY = {408, 429, 502, 503, 504}
_NO_KEY = {401, 403}
_KEEP_S = 4.0  # idle connections: uvicorn closes them after 5, and one that closes while it is used is a failed try


class RemoteDesk(FarDesk):
    """Asks over HTTP: bytes out, JSON back, which is checked. Redirects are not followed, nothing else is asked."""

    def __init__(self, params: BotParams, observe: Callable[[str, float], None] | None = None) -> None:
        super().__init__(params, observe)
        self._url = params.detector.rstrip("/")
        self._look_s = params.worker.timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        key = os.environ.get(KEY)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_S), cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "faces-bot/1"} | ({"Authorization": f"Bearer {key}"} if key else {}),
        )  # fmt: skip
        try:
            return await super().__aenter__()
        except BaseException:
            await self._session.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, traceback)
        if self._session is not None:
            await self._session.close()

    async def _look(self, data: bytes, want: Want) -> Checked | UserError:
        if not data:
            return NotAnImage("the file is empty")
        flags = {name: getattr(want, name) for name in ("heatmaps", "maps", "panel", "seen", "variants")}
        query = {name: str(flag).lower() for name, flag in flags.items()}
        query |= {"max_bytes": str(want.max_bytes), "language": want.language}
        query |= {} if want.layer is None else {"layer": want.layer}
        headers = {"Content-Type": "application/octet-stream", "Picture-Name": quote(want.name)}
        async with self._asked("POST", _LOOK, self._look_s, params=query, data=data, headers=headers) as response:
            if response.status == 413:
                return ImageTooLarge("the file has more bytes, or the picture more pixels, than the detector takes")
            if response.status != 200:
                raise self._trouble(response)
            body = await _body(response, most_bytes(want))
        try:
            return await asyncio.to_thread(_read, body, data, want)
        except WireError as error:
            raise DetectorAway(f"{self._url}: {error}") from None

    async def _news(self) -> tuple[Card, bool]:
        async with self._asked("GET", _HEALTH, _CONNECT_S) as response:
            is_well = _is_well(await _body(response, _MAX_HEALTH_BYTES))
        async with self._asked("GET", _LOOK, _CONNECT_S) as response:
            if response.status != 200:
                raise self._trouble(response)
            body = await _body(response, MAX_CARD_BYTES)
        try:
            card = validate(Card, json.loads(body), f"the card from {self._url}")
        except (ValueError, RecursionError):
            raise Away(f"detector {self._url} answers with something that is not a model card") from None
        except ParamsError as error:
            raise Away(f"detector {self._url} is of another version: {error}") from None
        return card, is_well

    @asynccontextmanager
    async def _asked(self, method: str, path: str, total_s: float, **options: Any) -> AsyncIterator[Any]:
        """An answer, whatever its status. Raises Away when there is none, or it breaks off."""
        assert self._session is not None
        timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=_CONNECT_S)
        try:
            async with self._session.request(
                method, self._url + path, timeout=timeout, allow_redirects=False, **options
            ) as response:
                yield response
        except TimeoutError:
            raise Away(f"detector {self._url} does not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Away(
                f"no detector answers at {self._url} ({_reason(error)}); start python -m bot web there, or set "
                "detector: local"
            ) from None

    def _trouble(self, response: aiohttp.ClientResponse) -> Exception:
        status = response.status
        if status in _AWAY:
            wait = response.headers.get("Retry-After", "60")
            after_s = float(wait) if wait.isdecimal() and int(wait) < 60 else 0.0
            return Away(f"detector {self._url} is busy or going ({status})", is_busy=status == 429, after_s=after_s)
        if status in _NO_KEY:
            return Away(
                f"detector {self._url} does not let this bot in ({status}): put a key that it knows, made there with "
                f"python -m bot key, into {KEY}"
            )
        if status == 404:
            return Away(f"detector {self._url} is no such server, or of another version: it has no {_LOOK}")
        return DetectorAway(f"detector {self._url} answered {status}; its log has more")


def _reason(error: Exception) -> str:
    """asyncio's own text of an OSError names the address once more; those of names (below 0) say something."""
    cause = getattr(error, "os_error", error)
    number = getattr(cause, "errno", None) or 0
    said = os.strerror(number) if number > 0 else getattr(cause, "strerror", None) or str(cause)
    return (said or type(cause).__name__).lower()


def _read(body: bytes, data: bytes, want: Want) -> Checked | UserError:
    return read(body, want, hashlib.sha256(data).hexdigest())


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Raises aiohttp's ClientPayloadError for more than `most` bytes, too."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > most:
            raise aiohttp.ClientPayloadError(f"more than {most:,} bytes came back")
    return bytes(body)


def _is_well(body: bytes) -> bool:
    """Whether the part that looks at pictures is well: what is wrong with the rest is no matter here."""
    try:
        return json.loads(body)["checks"]["detector"] is True
    except (ValueError, RecursionError, LookupError, TypeError):
        return False
