"""The web as a polite stranger asks it: robots.txt and opt-outs obeyed, each host at its own pace, through the guarded
client."""

from __future__ import annotations

import random
from types import TracebackType
from typing import Self

from crawler.health import HostHealth
from crawler.params import NetworkParams
from crawler.politeness import (
    USER_AGENT_TOKEN,
    BreakerPolicy,
    HostPacer,
    OptedOut,
    Robots,
    Tdmrep,
    host_of,
    opted_out,
    origin_of,
    user_agent,
)
from infra.http import ConnectionFailed, HttpClient, Response, StatusError, TimedOut

_OVERLOADED = {429, 503}


class PoliteWeb:
    """An async context manager; `get` is all there is to it."""

    def __init__(self, network: NetworkParams, contact: str, rng: random.Random | None = None) -> None:
        """contact: of the person behind the crawl. Raises UserError where it is none, or `network.allow` is wrong."""
        self._client = HttpClient(
            user_agent=user_agent(contact),
            allow=network.allow,
            connections=network.concurrency,
            max_bytes=network.max_bytes,
            total_s=network.timeout_s,
            connect_s=network.connect_s,
            max_redirects=network.max_redirects,
        )
        self._robots = Robots(self._client.get, USER_AGENT_TOKEN, enabled=network.robots)
        self._tdmrep = Tdmrep(self._client.get, enabled=network.opt_outs)
        self._health = HostHealth(self._client.get)
        self._pacer = HostPacer(
            concurrency=network.per_host,
            per_second=network.per_second,
            breaker=BreakerPolicy(failures=1),  # told of a failure only when the host itself is down
            rng=rng or random.Random(),
        )
        self._heeds_opt_outs = network.opt_outs
        self.requests = 0

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def get(self, url: str, accept: str | None = None) -> Response:
        """What `url` gives, redirects followed. Raises HttpError, or a politeness.Refusal."""
        host = host_of(url)
        await self._ask_leave(url)
        self._pacer.set_delay(host, await self._robots.delay_s(url))

        async def before_hop(hop: str) -> None:
            if hop != url:  # a redirect: the place it leads to has rules of its own
                await self._ask_leave(hop)

        async with self._pacer.slot(host):
            self.requests += 1
            try:
                response = await self._client.get(
                    url, headers={"Accept": accept} if accept else None, before_hop=before_hop
                )
            except StatusError as error:
                self._learn(host, error)
                raise
            except (TimedOut, ConnectionFailed):
                if await self._health.unanswered(host, origin_of(url)):
                    self._pacer.failed(host)
                else:
                    self._pacer.succeeded(host)
                raise
            self._health.answered(host)
            self._pacer.succeeded(host)
        if self._heeds_opt_outs and (reason := opted_out(response, USER_AGENT_TOKEN)):
            raise OptedOut(url, reason)
        return response

    async def _ask_leave(self, url: str) -> None:
        await self._robots.check(url)
        await self._tdmrep.check(url)

    def _learn(self, host: str, error: StatusError) -> None:
        if error.status in _OVERLOADED:
            self._pacer.slow_down(host, error.retry_after_s)
        elif error.status >= 500 and self._health.server_error(host):
            self._pacer.failed(host)
        else:
            self._pacer.succeeded(host)
        if error.status < 500:
            self._health.answered(host)
