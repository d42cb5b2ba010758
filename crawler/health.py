"""Is it the host that is down, or are only these URLs broken?

A list may name a dozen broken files of a host in a row; giving the host up for that would lose all its good ones. So
after some requests without an answer the host is asked for its robots.txt: whatever it answers, it is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from infra.http import HttpError, StatusError

UNANSWERED = 5  # in a row, before the host is looked at
SERVER_ERRORS = 20  # 5xx in a row, whatever the host says of itself: what is behind it is down
_CHECK_S = 10.0
_VALID_S = 2.0  # many requests fail at once when a host goes; one look is enough for all


@dataclass
class _Health:
    unanswered: int = 0
    server_errors: int = 0
    is_up: bool = True
    looked_at: float = float("-inf")
    look: asyncio.Lock = field(default_factory=asyncio.Lock)


class HostHealth:
    """Counts failures for each host, and looks when they are many. `get` is `infra.http.HttpClient.get`."""

    def __init__(self, get: Callable[..., Awaitable[object]], clock: Callable[[], float] = time.monotonic) -> None:
        self._get = get
        self._clock = clock
        self._of: dict[str, _Health] = {}

    def answered(self, host: str) -> None:
        """The host gave an answer."""
        self._of.pop(host, None)

    def server_error(self, host: str) -> bool:
        """It answered 5xx; whether it should be left alone for a while."""
        health = self._of.setdefault(host, _Health())
        health.unanswered = 0
        health.server_errors += 1
        return health.server_errors >= SERVER_ERRORS

    async def unanswered(self, host: str, origin: str) -> bool:
        """There was no answer, or a broken one; whether the host is down."""
        health = self._of.setdefault(host, _Health())
        health.unanswered += 1
        if health.unanswered < UNANSWERED and health.is_up:
            return False
        async with health.look:
            if self._clock() - health.looked_at > _VALID_S:
                health.is_up = await self._is_up(origin)
                health.looked_at = self._clock()
        if health.is_up:
            health.unanswered = 0
        return not health.is_up

    async def _is_up(self, origin: str) -> bool:
        try:
            await self._get(f"{origin}/robots.txt", max_bytes=2**20, total_s=_CHECK_S)
        except StatusError as error:
            return error.status < 500
        except HttpError:
            return False
        return True
