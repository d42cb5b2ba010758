"""The log of a site: every request with its times, safe to read from another thread, and to wait upon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request; the times are `time.monotonic()` seconds. `ended` and `status` are None while it goes on."""

    path: str  # with its query, decoded
    host: str  # the Host header
    method: str
    headers: dict[str, str] = field(repr=False)  # names in lower case
    began: float = 0.0
    ended: float | None = None
    status: int | None = None
    sha256: str | None = None  # of the image that was sent whole and as it is

    @property
    def user_agent(self) -> str:
        """What the client calls itself, "" where it does not."""
        return self.headers.get("user-agent", "")


class Journal:
    """All requests in the order in which they came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[Request] = []

    def begin(self, path: str, host: str, method: str, headers: dict[str, str]) -> int:
        """Note a request that has just come; gives its number."""
        with self._changed:
            self._requests.append(Request(path, host, method, headers, time.monotonic()))
            self._changed.notify_all()
            return len(self._requests) - 1

    def end(self, number: int, **what: Any) -> None:
        """Note how a request ended: `status`, `sha256`."""
        with self._changed:
            self._requests[number] = replace(self._requests[number], ended=time.monotonic(), **what)
            self._changed.notify_all()

    def snapshot(self, prefix: str = "") -> list[Request]:
        """The requests so far whose path begins with `prefix`."""
        with self._changed:
            return [request for request in self._requests if request.path.startswith(prefix)]

    def wait_until(self, true: Callable[[list[Request]], bool], timeout_s: float) -> list[Request]:
        """The requests, as soon as `true` of them. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: true(self._requests), timeout_s):
                raise TimeoutError(f"not within {timeout_s} s; {len(self._requests)} requests came")
            return list(self._requests)


def high_water(requests: list[Request]) -> int:
    """The most requests that were under way at one moment."""
    steps = [(request.began, 1) for request in requests]
    steps += [(request.ended, -1) for request in requests if request.ended is not None]
    most = now = 0
    for _, step in sorted(steps):  # at equal times the end comes first
        now += step
        most = max(most, now)
    return most
