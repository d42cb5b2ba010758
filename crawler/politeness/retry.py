"""When a request that failed is made again within a run: full jitter, and never before the server said."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from crawler.politeness.refusals import Refusal

# Whatever a client says of them: what is not there, or gone, is not there a second later either.
_FINAL_STATUSES = frozenset({404, 410})


@dataclass(frozen=True)
class RetryPolicy:
    """`attempts` requests in all; waits drawn from [0, min(cap_s, base_s · 2^attempt)].

    Full jitter: of the strategies in "Exponential Backoff and Jitter" (M. Brooker, AWS, 2015) the one in which many
    clients that failed together finish soonest with the fewest calls.
    """

    attempts: int = 4
    base_s: float = 0.5
    cap_s: float = 30.0

    def wait_s(self, attempt: int, error: Exception, rng: random.Random) -> float | None:
        """Seconds to wait after `attempt` (0 is the first request) ended in `error`; None: do not try again.

        None when the error is not `retriable`, is a `Refusal` (robots, an opt-out and a host that is given up are for a
        later run), has status 404 or 410, or was the last attempt. At least its `retry_after_s`, where it has one.
        """
        if attempt + 1 >= self.attempts or isinstance(error, Refusal) or not getattr(error, "retriable", False):
            return None
        if getattr(error, "status", None) in _FINAL_STATUSES:
            return None
        ceiling_s = min(self.cap_s, math.ldexp(self.base_s, min(attempt, 64)))
        return max(rng.uniform(0.0, ceiling_s), getattr(error, "retry_after_s", None) or 0.0)
