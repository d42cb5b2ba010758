"""How much each may ask: buckets that fill steadily, and what answers say of them."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_WINDOW_S = 60.0
_REMEMBERED = 20_000  # buckets, some 4 MB; the one that was not used for longest is forgotten, so is full again


@dataclass(frozen=True)
class Standing:
    """How a client stands after a request. name: of what is limited. quota: requests a minute. left: whole requests
    that may come at once. full_s: until all may. wait_s: until one may, 0 for one that was let in.
    """

    name: str
    quota: int
    left: int
    full_s: float
    wait_s: float

    @property
    def is_over(self) -> bool:
        """Whether this request was one too many."""
        return self.wait_s > 0

    def headers(self) -> Mapping[str, str]:
        """draft-ietf-httpapi-ratelimit-headers-10: sections 3 (RateLimit-Policy) and 4 (RateLimit)."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.quota};w={_WINDOW_S:.0f}',
            "RateLimit": f'"{self.name}";r={self.left};t={math.ceil(self.full_s)}',
        }


class Buckets:
    """One bucket for each client, full at first. clock: seconds that never go back."""

    def __init__(self, name: str, quota: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._quota = quota
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is in it, and when that was so

    def take(self, client: str) -> Standing:
        """Take one request out of the client's bucket; a request too many takes nothing."""
        now, rate = self._clock(), self._quota / _WINDOW_S
        held, since = self._buckets.pop(client, (float(self._quota), now))
        held = min(held + (now - since) * rate, float(self._quota))
        wait_s = 0.0 if held >= 1 else (1 - held) / rate
        if not wait_s:
            held -= 1
        self._buckets[client] = held, now
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return Standing(self._name, self._quota, int(held), (self._quota - held) / rate, wait_s)

    def __len__(self) -> int:
        return len(self._buckets)
