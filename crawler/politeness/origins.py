"""Origins (scheme, host, port), and a cache of one well-known file an origin, asked once however many ask for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Generic, NamedTuple, Protocol, TypeVar

from infra.http.urls import parse_url

_FRONT = re.compile(r" *https?://[^/?#]+", re.IGNORECASE)

T = TypeVar("T")


class Answer(Protocol):
    """What politeness reads of an HTTP response (`infra.http.Response` is one)."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...

    def header_values(self, name: str) -> Sequence[str]: ...


Get = Callable[..., Awaitable[Answer]]
"""`infra.http.HttpClient.get`: `await get(url, max_bytes=…, total_s=…)`."""


def origin_of(url: str) -> str:
    """`https://example.com`, and `http://example.com:8080` with a port of its own. Raises `UnsafeUrl`."""
    return _origin_and_host(_front(url))[0]


def host_of(url: str) -> str:
    """`example.com:443`: the key of a host's pace, one for all that a server serves on a port. Raises `UnsafeUrl`."""
    return _origin_and_host(_front(url))[1]


def _front(url: str) -> str:
    """`url` up to its path; all of it when it does not look like a URL, for `parse_url` to say so."""
    front = _FRONT.match(url)
    return front[0] if front else url


@lru_cache(maxsize=4096)  # parsing costs 10 µs, and a crawl asks for the same few origins again and again
def _origin_and_host(front: str) -> tuple[str, str]:
    parsed = parse_url(front)
    return str(parsed.origin()), f"{parsed.host_subcomponent}:{parsed.port}"


class _Entry(NamedTuple, Generic[T]):
    value: T
    expires: float


class OriginCache(Generic[T]):
    """One value an origin, loaded once at a time, kept for the seconds that `load` says.

    `load(origin, stale)` gets the value that ran out (None at the first time) and returns the value and its seconds to
    live. A task that is cancelled while it loads leaves the loading to the next that waits. The oldest of more than
    `max_origins` is forgotten, so that a list of a million hosts does not fill the memory.
    """

    def __init__(
        self,
        load: Callable[[str, T | None], Awaitable[tuple[T, float]]],
        *,
        clock: Callable[[], float],
        max_origins: int = 10_000,
    ) -> None:
        self._load = load
        self._clock = clock
        self._max_origins = max_origins
        self._entries: dict[str, _Entry[T]] = {}
        self._loading: dict[str, asyncio.Lock] = {}

    async def get(self, origin: str) -> T:
        """The value of `origin`, loaded when there is none or it ran out."""
        entry = self._entries.get(origin)
        if entry is not None and self._clock() < entry.expires:
            return entry.value
        async with self._loading.setdefault(origin, asyncio.Lock()):
            entry = self._entries.get(origin)
            if entry is not None and self._clock() < entry.expires:
                return entry.value
            value, ttl_s = await self._load(origin, entry.value if entry else None)
            self._remember(origin, _Entry(value, self._clock() + ttl_s))
        self._loading.pop(origin, None)
        return value

    def _remember(self, origin: str, entry: _Entry[T]) -> None:
        self._entries.pop(origin, None)  # to the end: a dict keeps the order in which keys came
        self._entries[origin] = entry
        if len(self._entries) > self._max_origins:
            del self._entries[next(iter(self._entries))]
