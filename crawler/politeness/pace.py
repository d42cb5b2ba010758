"""The pace of one host: how many requests at once, how far apart, when it wants a pause, and how it recovers.

Additive increase, multiplicative decrease (Chiu and Jain, 1989; TCP, RFC 5681): a 429 or 503 halves how many requests
may be under way and their rate, each success gives a little of it back, up to what the params allow.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from crawler.politeness.breaker import Breaker, BreakerPolicy
from crawler.politeness.refusals import HostUnavailable

# A host without a rate limit that still complains when asked one request at a time gets this rate, and loses it again
# when it has recovered to the second: a round trip of 20 ms, where one at a time is the limit anyway.
FIRST_RATE = 4.0
FREE_RATE = 50.0
LOWEST_RATE = 1 / 60
RECOVERY = 1 / 20
"""Share of the full rate (of FIRST_RATE without one) that each success gives back."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 120.0
"""Of the exponential pauses, where a 429 or 503 has no Retry-After."""
GIVE_UP_COMPLAINTS = 8
"""In a row, without a success: two minutes of pauses that double. After it each pause is waited for by nobody."""

# A wait this short has passed: subtracting two clock readings leaves such crumbs, and a clock may not move by them.
_INSTANT_S = 1e-9
# A start this late is a late wake-up, not a pause of the caller's: without it 500/s came out as 409.
_LATE_S = 0.02


@dataclass(frozen=True)
class PaceLimits:
    """What all hosts share: the params' limits (`rate` in requests/s, inf without one), clock, sleep and RNG."""

    concurrency: int
    rate: float
    patience_s: float
    breaker: BreakerPolicy
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]
    rng: random.Random


@dataclass(slots=True, eq=False)
class HostPace:
    """One host's state. Whoever waits stands in one queue; only its head looks at the clock."""

    name: str
    limits: PaceLimits
    breaker: Breaker
    window: float
    rate: float
    delay_s: float = 0.0
    active: int = 0
    waiting: int = 0
    paused_until: float = -math.inf
    next_start: float = -math.inf
    complaints: int = 0
    # Requests that were under way at the last complaint: what they bring is news of the old pace.
    outdated: int = 0
    # Whether anything but `window` limits the next start: the clock is not read otherwise.
    timed: bool = False
    _turnstile: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Future[None] | None = None

    async def start(self) -> bool:
        """Wait for this request's turn and count it as under way. True when it is the probe of an open breaker.

        Raises `HostUnavailable` when the host is given up, or its pause is longer than `patience_s`.
        """
        if self.waiting or self._wait_s() > 0.0:
            await self._queue()
        self.active += 1
        if not self.timed:
            return False
        self.next_start = self._planned(self.limits.clock()) + max(self.delay_s, 1.0 / self.rate)
        if self.breaker.openings:
            self.breaker.probing = True
        return self.breaker.probing

    def finish(self, probe: bool) -> None:
        """The request is over, with whatever result."""
        self.active -= 1
        if self.outdated:
            self.outdated -= 1
        if probe:
            self.breaker.probing = False
        self._wake()

    def check(self) -> None:
        """Raise `HostUnavailable` when a request would not be waited for now."""
        if self.timed:
            self._refuse(self.limits.clock())

    def slow_down(self, retry_after_s: float | None) -> None:
        """The host complained (429, 503). Complaints of one burst halve once; the longest of their pauses holds."""
        now = self.limits.clock()
        if not self.outdated and now >= self.paused_until:
            self.complaints += 1
            self._halve()
            self.outdated = self.active
        if retry_after_s is None:
            pause_s = min(math.ldexp(FIRST_PAUSE_S, min(self.complaints - 1, 64)), LONGEST_PAUSE_S)
            retry_after_s = pause_s * self.limits.rng.uniform(0.5, 1.0)
        self.paused_until = max(self.paused_until, now + retry_after_s)
        self.timed = True

    def succeeded(self) -> None:
        """The host answered as it should: a step back towards the full pace."""
        if self.breaker.failures or self.breaker.openings:
            self.breaker.succeeded()
            self._wake()
        if self.outdated or not self.timed:
            return
        self.complaints = 0
        self._recover()
        self.timed = bool(self.delay_s) or self.rate < math.inf or self.limits.clock() < self.paused_until
        self.timed = self.timed or self.window < self.limits.concurrency
        self._wake()

    def failed(self) -> None:
        """No connection, a timeout, a 5xx."""
        self.breaker.failed(self.limits.clock())
        self.timed = self.timed or self.breaker.openings > 0
        self._wake()

    def set_delay(self, seconds: float) -> None:
        """At most one start in `seconds`, from the next start on."""
        self.delay_s = max(seconds, 0.0)
        self.timed = self.timed or self.delay_s > 0.0

    def forgettable(self) -> bool:
        """Whether a new HostPace would behave as this one does."""
        at_rest = not (self.active or self.waiting or self.breaker.failures or self.breaker.openings or self.delay_s)
        full = self.window >= self.limits.concurrency and self.rate >= self.limits.rate and not self.complaints
        return at_rest and full and self.limits.clock() >= max(self.paused_until, self.next_start)

    async def _queue(self) -> None:
        self.waiting += 1
        try:
            async with self._turnstile:
                while (wait_s := self._wait_s()) > 0.0:
                    if wait_s < math.inf:
                        await self.limits.sleep(wait_s)
                    else:
                        self._changed = asyncio.get_running_loop().create_future()
                        await self._changed
        finally:
            self.waiting -= 1

    def _wait_s(self) -> float:
        """Seconds until the next start is allowed; inf when that depends on an event, 0 for now."""
        if self.timed:
            now = self.limits.clock()
            self._refuse(now)
            wait_s = max(self.next_start, self.paused_until, self.breaker.open_until) - now
            if wait_s > _INSTANT_S:
                return wait_s
            if self.breaker.openings and self.breaker.probing:
                return math.inf
        return 0.0 if self.active + 1 <= self.window else math.inf

    def _planned(self, now: float) -> float:
        """When the start that happens now was due: counting from `now` would add each late wake-up to the interval."""
        return self.next_start if not self.delay_s and 0.0 <= now - self.next_start <= _LATE_S else now

    def _refuse(self, now: float) -> None:
        if self.breaker.given_up(now):
            raise HostUnavailable(self.name, f"failed again after {self.breaker.openings} pauses")
        if self.breaker.openings and self.breaker.open_until - now > self.limits.patience_s:
            raise HostUnavailable(self.name, "keeps failing")
        if self.complaints >= GIVE_UP_COMPLAINTS and now < self.paused_until:
            raise HostUnavailable(self.name, f"complained {self.complaints} times in a row")
        if self.paused_until - now > self.limits.patience_s:
            raise HostUnavailable(self.name, f"asks for a pause of {self.paused_until - now:.0f} s")

    def _halve(self) -> None:
        if self.rate < math.inf:
            self.rate = max(self.rate / 2, LOWEST_RATE)
        elif self.window <= 1.0:
            self.rate = FIRST_RATE
        self.window = max(self.window / 2, 1.0)

    def _recover(self) -> None:
        full = self.limits.rate
        self.window = min(self.window + 1.0 / self.window, float(self.limits.concurrency))
        self.rate = min(self.rate + RECOVERY * (full if full < math.inf else FIRST_RATE), full)
        if full == math.inf and self.rate >= FREE_RATE:
            self.rate = math.inf

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
