"""How Telegram is spoken to: aiohttp behind python-telegram-bot's door for transports, and a pace that loses nothing.

The token is part of every URL, so no error from here holds one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import aiohttp
from telegram.error import NetworkError, TimedOut
from telegram.ext import AIORateLimiter
from telegram.request import BaseRequest, RequestData

READ_TIMEOUT_S = 60.0  # to send a picture over a slow line, and to have it taken in
_CONNECT_TIMEOUT_S = 10.0
# Idle connections are dropped before Telegram does it: one that is closed while a message is under way leaves open
# whether the message has arrived.
_KEEPALIVE_S = 15.0
_TRIES = 4
_FIRST_PAUSE_S = 0.5
_MAX_RETRIES = 5  # after as many 429 for one message
_NO_MESSAGES = ("getChatMember",)  # of what is asked about chats: it takes none of a group's twenty a minute


class Troubled(NetworkError):  # noqa: N818 – says what Telegram is
    """Telegram was not reached, or had a bad moment (5xx): it has not done what was asked, so it may be asked again."""


class AiohttpRequest(BaseRequest):
    """One pool of connections. secret: the token, blotted out wherever a server echoes it."""

    def __init__(self, secret: str, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        self._secret = secret.encode()
        self._read_timeout_s = read_timeout_s
        self._session: aiohttp.ClientSession | None = None

    @property
    def read_timeout(self) -> float:
        """Seconds without a byte."""
        return self._read_timeout_s

    async def initialize(self) -> None:
        """Called by python-telegram-bot."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)
            self._session = aiohttp.ClientSession(connector=connector)

    async def shutdown(self) -> None:
        """Called by python-telegram-bot."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: object = BaseRequest.DEFAULT_NONE,
        write_timeout: object = BaseRequest.DEFAULT_NONE,
        connect_timeout: object = BaseRequest.DEFAULT_NONE,
        pool_timeout: object = BaseRequest.DEFAULT_NONE,
    ) -> tuple[int, bytes]:
        """Status and JSON. Raises Troubled, TimedOut, and NetworkError for an answer that is none."""
        if self._session is None:
            raise NetworkError("the connections are closed")
        read_s = read_timeout if isinstance(read_timeout, int | float) else self._read_timeout_s
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=read_s)
        try:
            async with self._session.request(
                method, url, data=_form(request_data), timeout=timeout, allow_redirects=False
            ) as response:
                status, payload = response.status, await response.read()
        except aiohttp.ConnectionTimeoutError:
            raise Troubled("no connection to Telegram in time") from None
        except TimeoutError:
            raise TimedOut("Telegram did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Troubled(f"no answer from Telegram ({type(error).__name__})") from None
        payload = payload.replace(self._secret, b"[token]")
        if status >= 500 or (status == HTTPStatus.TOO_MANY_REQUESTS and not _is_answer(payload)):  # a proxy's
            raise Troubled(f"Telegram answers {status}{_description(payload)}")
        if not _is_answer(payload):
            raise NetworkError(f"an answer that is not Telegram's, with status {status}")
        return status, payload


class Pace(AIORateLimiter):
    """Keeps Telegram's limits, waits out a 429, and asks again after a bad moment.

    A message that timed out is not sent again: Telegram has no mark by which it would know that it has it already.
    """

    def __init__(self) -> None:
        super().__init__(max_retries=_MAX_RETRIES)

    async def process_request(
        self,
        callback: Callable[..., Coroutine[Any, Any, bool | dict[str, Any] | list[dict[str, Any]]]],
        args: Any,
        kwargs: dict[str, Any],
        endpoint: str,
        data: dict[str, Any],
        rate_limit_args: int | None,
    ) -> bool | dict[str, Any] | list[dict[str, Any]]:
        """Called by python-telegram-bot for everything but getUpdates."""
        if endpoint == "sendChatAction":  # no message either, and it may be lost
            return await callback(*args, **kwargs)
        if endpoint in _NO_MESSAGES:
            data = {}  # by the chat in which it is the library counts what a group takes
        pause_s = _FIRST_PAUSE_S
        for left in reversed(range(_TRIES)):
            try:
                return await super().process_request(callback, args, kwargs, endpoint, data, rate_limit_args)
            except (Troubled, TimedOut) as error:
                if not left or (isinstance(error, TimedOut) and endpoint.startswith("send")):
                    raise
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last try returns or raises")


def _form(request_data: RequestData | None) -> aiohttp.FormData | dict[str, str] | None:
    if request_data is None:
        return None
    if not request_data.contains_files:
        return request_data.json_parameters
    form = aiohttp.FormData()
    for name, value in request_data.json_parameters.items():
        form.add_field(name, value)
    for name, (filename, content, kind) in request_data.multipart_data.items():
        form.add_field(name, content, filename=filename, content_type=kind)
    return form


def _is_answer(payload: bytes) -> bool:
    try:
        answer = json.loads(payload)
    except ValueError:
        return False
    return isinstance(answer, dict) and ("result" in answer or answer.get("ok") is False)


def _description(payload: bytes) -> str:
    try:
        return f": {str(json.loads(payload)['description'])[:200]}"
    except (ValueError, KeyError, TypeError):
        return ""
