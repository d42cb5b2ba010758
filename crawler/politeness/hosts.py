"""Every host's pace, kept apart: a host that is slow, paused or dead holds up nobody but those who want that host."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from crawler.politeness.breaker import Breaker, BreakerPolicy, BreakerState
from crawler.politeness.pace import HostPace, PaceLimits

# Hosts are looked through for ones that may be forgotten when there are this many, then at each doubling.
_SWEEP_AT = 4096


class HostPacer:
    """Slots of `concurrency` requests at once and `per_second` a second for each host, adapted to how it answers.

    `host` is any name that callers agree on, such as `host_of(url)`. `patience_s`: the longest pause that `slot` waits
    through, whether a Retry-After or a breaker's. `clock` in seconds, `sleep` and `rng` are for tests to replace.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        per_second: float | None = None,
        patience_s: float = 600.0,
        breaker: BreakerPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        rate = math.inf if per_second is None else per_second
        policy = breaker or BreakerPolicy()
        self._limits = PaceLimits(concurrency, rate, patience_s, policy, clock, sleep, rng or random.Random())
        self._hosts: dict[str, HostPace] = {}
        self._sweep_at = _SWEEP_AT

    def slot(self, host: str) -> AbstractAsyncContextManager[None]:
        """`async with pacer.slot(host):` around one request. First come, first served within the host.

        Waits for a free place, the rate, a pause, and an open breaker's half-open turn. Raises `HostUnavailable`
        when the breaker opened or the host complained too often in a row, or a pause is longer than `patience_s`.
        Tell how it went (`succeeded`, `failed`, `slow_down`) inside the slot; a slot of which nothing is told says
        nothing about its host.
        """
        return _Slot(self._pace(host))

    def check(self, host: str) -> None:
        """Raise `HostUnavailable` when `slot` would not wait for the host; returns at once otherwise."""
        if pace := self._hosts.get(host):
            pace.check()

    def breaker_state(self, host: str) -> BreakerState:
        """Of the host's circuit breaker."""
        pace = self._hosts.get(host)
        return pace.breaker.state(self._limits.clock()) if pace else "closed"

    def set_delay(self, host: str, seconds: float) -> None:
        """At most one request in `seconds` (a Crawl-delay); 0 takes it back."""
        if seconds > 0.0 or host in self._hosts:
            self._pace(host).set_delay(seconds)

    def slow_down(self, host: str, retry_after_s: float | None) -> None:
        """The host answered 429 or 503: leave it alone for Retry-After (or a pause that doubles), halve its pace."""
        self._pace(host).slow_down(retry_after_s)

    def succeeded(self, host: str) -> None:
        """The host gave an answer that is no complaint and no failure (a 404 is one, too)."""
        if pace := self._hosts.get(host):
            pace.succeeded()

    def failed(self, host: str) -> None:
        """The connection failed, timed out, or the answer was a 5xx."""
        self._pace(host).failed()

    def _pace(self, host: str) -> HostPace:
        pace = self._hosts.get(host)
        if pace is None:
            if len(self._hosts) >= self._sweep_at:
                self._hosts = {name: kept for name, kept in self._hosts.items() if not kept.forgettable()}
                self._sweep_at = max(_SWEEP_AT, 2 * len(self._hosts))
            limits = self._limits
            pace = HostPace(host, limits, Breaker(limits.breaker), float(limits.concurrency), limits.rate)
            pace.timed = limits.rate < math.inf
            self._hosts[host] = pace
        return pace


class _Slot:
    """A class rather than `@asynccontextmanager`, whose generator costs more than the slot."""

    __slots__ = ("_pace", "_probe")

    def __init__(self, pace: HostPace) -> None:
        self._pace = pace
        self._probe = False

    async def __aenter__(self) -> None:
        self._probe = await self._pace.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pace.finish(self._probe)
