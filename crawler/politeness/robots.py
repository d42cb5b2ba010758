"""robots.txt by RFC 9309: Protego reads the rules, this file says whose, for how long, and what a failure is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from protego import Protego

from crawler.politeness.origins import Get, OriginCache, origin_of
from crawler.politeness.refusals import RobotsDisallowed
from infra.errors import UserError
from infra.http import BlockedAddress, StatusError, TooManyRedirects

MAX_PARSED_BYTES = 500 * 1024
"""RFC 9309, 2.5: at least 500 KiB must be parsed; what follows is ignored."""
MAX_FETCHED_BYTES = 8 * 1024 * 1024
"""What is read to get at the first 500 KiB; a file that is longer still counts as one that cannot be read."""
TOTAL_S = 30.0
KEPT_S = 24 * 3600.0
"""RFC 9309, 2.4: a copy should not be used for longer than 24 hours, unless the file is unreachable."""
FAILURE_KEPT_S = 600.0
LONGEST_DELAY_S = 60.0

_USER_AGENT_LINE = re.compile(r"\s*user[- ]?agent\s*[:\s]\s*(\*|[a-z_-]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What an origin's robots.txt says; `parsed` None: nothing is forbidden; `unreachable`: why it cannot be read.

    blocked: it, and so most likely the origin itself, is at an address that must not be reached.
    """

    parsed: Protego | None = None
    unreachable: str | None = None
    blocked: BlockedAddress | None = None


class Robots:
    """The robots.txt of every origin, asked for once in 24 hours however many tasks wait for it.

    `get` is `infra.http.HttpClient.get`, which follows redirects; rules of the last hop hold for the first origin
    (RFC 9309, 2.3.1.2). What came back decides (2.3.1):

    - 2xx: its first 500 KiB are parsed, whatever they are;
    - 4xx: nothing is forbidden. Too many redirects count as this, as the RFC allows and Google does;
    - 429, 5xx, a timeout, no connection: everything is forbidden, and it is asked again after ten minutes. A copy read
      before is used on instead.
    """

    def __init__(
        self,
        get: Get,
        user_agent_token: str,
        *,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._get = get
        self._token = user_agent_token
        self._enabled = enabled
        self._rules: OriginCache[_Rules] = OriginCache(self._load, clock=clock)

    async def check(self, url: str) -> None:
        """Raise `RobotsDisallowed` or `BlockedAddress` when `url` must not be asked for. Do it for every hop, too."""
        if not self._enabled:
            return
        origin = origin_of(url)
        rules = await self._rules.get(origin)
        if rules.blocked is not None:
            raise rules.blocked
        if rules.unreachable is not None:
            raise RobotsDisallowed(url, origin, unreachable=rules.unreachable)
        if rules.parsed is not None and not rules.parsed.can_fetch(url, self._token):
            raise RobotsDisallowed(url, origin)

    async def delay_s(self, url: str) -> float:
        """Seconds between two requests that the host asks for (Crawl-delay or Request-rate), at most 60; 0 if none."""
        if not self._enabled:
            return 0.0
        parsed = (await self._rules.get(origin_of(url))).parsed
        if parsed is None:
            return 0.0
        delay_s = parsed.crawl_delay(self._token) or 0.0
        if rate := parsed.request_rate(self._token):
            delay_s = max(delay_s, rate.seconds / rate.requests)
        return min(delay_s, LONGEST_DELAY_S)

    async def _load(self, origin: str, stale: _Rules | None) -> tuple[_Rules, float]:
        rules = await self._fetch(origin)
        if rules.unreachable is None:
            return rules, KEPT_S
        if stale is not None and stale.unreachable is None:
            rules = stale
        return rules, FAILURE_KEPT_S

    async def _fetch(self, origin: str) -> _Rules:
        try:
            answer = await self._get(f"{origin}/robots.txt", max_bytes=MAX_FETCHED_BYTES, total_s=TOTAL_S)
        except BlockedAddress as error:
            return _Rules(unreachable=error.error_class, blocked=error)
        except UserError as error:
            return _rules_of_error(error)
        if 200 <= answer.status < 300:
            return _Rules(parsed=parse_robots(answer.body, self._token))
        return _rules_of_status(answer.status)


def parse_robots(body: bytes, token: str) -> Protego:
    """The rules in `body` for the product token `token`, whatever the bytes are.

    RFC 9309 wants the *whole* token compared, without case (2.2.1), where Protego also takes a group named by the
    token's beginning (`faces` for `faces-crawler`) and misses one with a version (`faces-crawler/0.1`). So each
    User-agent line is first reduced to its token, and the lines of others get a name that is nobody's.
    """
    if len(body) > MAX_PARSED_BYTES:  # without the line that is cut: `Disallow: /` might be half of `Disallow: /tmp`
        body = body[:MAX_PARSED_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
    encoding = "utf-16" if body.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = body.decode(encoding, errors="replace").replace("\0", "")
    return Protego.parse("\n".join(_addressed(line, token) for line in text.splitlines()))


def _addressed(line: str, token: str) -> str:
    match = _USER_AGENT_LINE.match(line)
    if match is None:
        return line
    agent = match[1].lower()
    return f"User-agent: {agent if agent in ('*', token.lower()) else '0'}"


def _rules_of_status(status: int) -> _Rules:
    if 400 <= status < 500 and status != 429:
        return _Rules()
    return _Rules(unreachable=f"status {status}")


def _rules_of_error(error: UserError) -> _Rules:
    if isinstance(error, StatusError):
        return _rules_of_status(error.status)
    if isinstance(error, TooManyRedirects):
        return _Rules()
    return _Rules(unreachable=str(getattr(error, "error_class", error)))
