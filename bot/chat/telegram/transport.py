"""How Telegram is spoken to: aiohttp behind python-telegram-bot's door for transports, and a pace that loses nothing.

The token is part of every URL, so no error from here holds one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

import aiohttp
from telegram.error import NetworkError, RetryAfter, TimedOut
from telegram.ext import AIORateLimiter
from telegram.request import BaseRequest, RequestData

_log = logging.getLogger("bot.telegram")

Answer: TypeAlias = bool | dict[str, Any] | list[dict[str, Any]]

READ_TIMEOUT_S = 60.0  # to send a picture over a slow line, and to have it taken in
_CONNECT_TIMEOUT_S = 10.0
# Idle connections are dropped before Telegram does it: one that is closed while a message is under way leaves open
# whether the message has arrived.
_KEEPALIVE_S = 15.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_PATIENCE_S = 60.0  # with an outage, in pauses, of what somebody waits for
_LITTLE_PATIENCE_S = 3.5  # of everything else, whose callers try again themselves
_ANSWERS = ("send", "edit", "answer", "deleteMessage", "getFile")
_TIMED_OUT_TRIES = 4
_FLOOD_SLACK_S = 0.1
_FLOODS = 5  # that are waited out for one message
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
    """Keeps Telegram's limits (30 messages a second, 20 a minute in a group), waits out a 429, and asks again after a
    bad moment.

    A 429 is about one chat, or about one method where there is no chat: whatever else is said goes on meanwhile. (The
    library's own way is to stop everything.) A message that timed out is not sent again: Telegram has no mark by which
    it would know that it has it already.

    pause: waits as many seconds.
    """

    def __init__(self, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        super().__init__()
        self._pause = pause
        self._floods: dict[object, asyncio.Event] = {}  # set when over

    async def process_request(
        self,
        callback: Callable[..., Coroutine[Any, Any, Answer]],
        args: Any,
        kwargs: dict[str, Any],
        endpoint: str,
        data: dict[str, Any],
        rate_limit_args: int | None,
    ) -> Answer:
        """Called by python-telegram-bot for everything but getUpdates."""
        if endpoint == "sendChatAction":  # no message either, and it may be lost
            return await callback(*args, **kwargs)
        if endpoint in _NO_MESSAGES:
            data = {}  # by the chat in which it is the library counts what a group takes

        async def once() -> Answer:
            return await super(Pace, self).process_request(callback, args, kwargs, endpoint, data, None)

        chat = data.get("chat_id")
        key = endpoint if chat is None else str(chat)
        try:
            return await self._patiently(lambda: self._after_floods(once, key), endpoint)
        except (NetworkError, RetryAfter) as error:
            if _is_no_answer(error) and endpoint.startswith(_ANSWERS):
                _log.warning("not delivered: %s%s: %s", endpoint, _number(data), error)
            raise

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]], endpoint: str) -> Answer:
        """Ask until Telegram is well again, or all patience is gone."""
        left_s = _PATIENCE_S if endpoint.startswith(_ANSWERS) else _LITTLE_PATIENCE_S
        pause_s, timed_out = _FIRST_PAUSE_S, 0
        while True:
            try:
                return await ask()
            except TimedOut:
                timed_out += 1
                if timed_out == _TIMED_OUT_TRIES or endpoint.startswith("send"):
                    raise
            except Troubled:
                if left_s <= 0:
                    raise
            await self._pause(pause_s)
            left_s -= pause_s
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _after_floods(self, ask: Callable[[], Awaitable[Answer]], key: object) -> Answer:
        """Ask once nothing keeps `key` waiting any more."""
        for left in reversed(range(_FLOODS + 1)):
            while (flood := self._floods.get(key)) is not None:
                await flood.wait()
            try:
                return await ask()
            except RetryAfter as error:
                if not left:
                    raise
                await self._sit_out(key, seconds(error))
        raise AssertionError("the last try returns or raises")

    async def _sit_out(self, key: object, wait_s: float) -> None:
        flood = self._floods[key] = asyncio.Event()
        try:
            await self._pause(wait_s + _FLOOD_SLACK_S)
        finally:
            flood.set()
            if self._floods.get(key) is flood:  # nobody was told to wait again since
                del self._floods[key]


def seconds(error: RetryAfter) -> float:
    """How long Telegram asks to be left alone."""
    after = error.retry_after
    return float(after) if isinstance(after, int) else after.total_seconds()


def _is_no_answer(error: Exception) -> bool:
    """Whether nothing was heard that others say in their own way: a BadRequest is a NetworkError too."""
    return isinstance(error, RetryAfter | Troubled | TimedOut) or type(error) is NetworkError


def _number(data: Mapping[str, Any]) -> str:
    """Of the message that something is about; which chat it is in is nobody's business."""
    number = getattr(data.get("reply_parameters"), "message_id", None) or data.get("message_id")
    return f" about message {number}" if number else ""


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
