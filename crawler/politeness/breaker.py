"""A circuit breaker: a host that keeps failing is left alone for a growing time, then tested by one request at a time.

closed ──(`failures` in a row)──▶ open ──(its pause is over)──▶ half-open ──(the probe succeeds)──▶ closed
                                    ▲                               │
                                    └──────(the probe fails)────────┘
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]


@dataclass(frozen=True)
class BreakerPolicy:
    """When a breaker opens, for how long, and after how many openings in a row its host is given up."""

    failures: int = 5
    first_pause_s: float = 5.0
    longest_pause_s: float = 300.0
    give_up_after: int = 4


@dataclass(slots=True)
class Breaker:
    """The breaker of one host; it has no clock, `now` is in seconds of its caller's."""

    policy: BreakerPolicy
    failures: int = 0
    openings: int = 0
    open_until: float = -math.inf
    probing: bool = False

    def state(self, now: float) -> BreakerState:
        """Whether requests pass (closed), wait (open), or pass one at a time (half-open)."""
        if not self.openings:
            return "closed"
        return "open" if now < self.open_until else "half-open"

    def given_up(self, now: float) -> bool:
        """Whether it opened so often in a row that nobody should wait; one probe may pass when the pause is over."""
        return self.openings >= self.policy.give_up_after and now < self.open_until

    def succeeded(self) -> None:
        """The host answered: everything is forgotten."""
        self.failures = self.openings = 0
        self.open_until = -math.inf
        self.probing = False

    def failed(self, now: float) -> None:
        """The host failed; what was asked before the breaker opened and fails while it is open says nothing new."""
        if self.openings:
            if now >= self.open_until:
                self._open(now)
            return
        self.failures += 1
        if self.failures >= self.policy.failures:
            self._open(now)

    def _open(self, now: float) -> None:
        self.openings += 1
        pause_s = math.ldexp(self.policy.first_pause_s, min(self.openings - 1, 64))
        self.open_until = now + min(pause_s, self.policy.longest_pause_s)
        self.probing = False
