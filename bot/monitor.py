"""How the running bot is doing: /healthz for whoever restarts it, /metrics for Prometheus, both on loopback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bot.params import MonitorParams
from infra.errors import UserError

_log = logging.getLogger("bot.monitor")

# From a cached answer to the end of what anybody waits for.
_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class MonitorError(UserError):
    """The address of /healthz and /metrics cannot be had."""


class Metrics:
    """The numbers that the parts of the bot count; none of them says who asked, or about what.

    verdicts: pictures by outcome (real, fake, unsure, refused, failed). verdict_seconds: from a request to its answer,
    the wait included. requests: by platform and kind (post, mention, direct, command, menu, button). errors: what went
    wrong, by platform and kind. quiz_answers: by platform.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()  # not the library's global one: several bots may live in one process
        self.verdicts = Counter("bot_verdicts", "Pictures answered.", ["outcome"], registry=self.registry)
        self.verdict_seconds = Histogram(
            "bot_verdict_seconds", "From a request to its answer.", buckets=_SECONDS, registry=self.registry
        )
        self.requests = Counter("bot_requests", "What people asked for.", ["platform", "kind"], registry=self.registry)
        self.errors = Counter("bot_errors", "What went wrong.", ["platform", "kind"], registry=self.registry)
        self.quiz_answers = Counter("bot_quiz_answers", "Answers in the quiz.", ["platform"], registry=self.registry)

    def watch(self, name: str, what: str, read: Callable[[], float]) -> None:
        """A gauge that is read when somebody looks: `read()` must be quick and may not raise."""
        Gauge(name, what, registry=self.registry).set_function(read)


def health(checks: Mapping[str, Callable[[], bool]]) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer to /healthz: 200 when all parts are well, 503 when one is not, with their names."""
    found = {name: check() for name, check in checks.items()}
    well = all(found.values())
    return (200 if well else 503), {"ok": well, "checks": found}


class Monitor:
    """Serves the two pages while it is entered.

    checks: name ▶ whether that part is well; asked at every request of /healthz, which answers 200 when all are and 503
    when one is not, with the names in JSON. `port` is the one it got. Entering raises MonitorError.
    """

    def __init__(self, params: MonitorParams, metrics: Metrics, checks: Mapping[str, Callable[[], bool]]) -> None:
        self.port = 0
        self._params = params
        self._metrics = metrics
        self._checks = checks
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        if self._params.port is None:
            return self
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._numbers)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._params.host, self._params.port).start()
        except OSError as error:
            await runner.cleanup()
            raise MonitorError(
                f"monitor.port {self._params.port} of {self._params.host} cannot be used "
                f"({(error.strerror or str(error)).lower()}); name another, 0 for a free one, or null for none"
            ) from None
        self._runner = runner
        self.port = runner.addresses[0][1]
        host = f"[{self._params.host}]" if ":" in self._params.host else self._params.host
        _log.info("health and metrics: http://%s:%d/healthz and /metrics", host, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _health(self, _request: web.Request) -> web.Response:
        status, body = health(self._checks)
        return web.json_response(body, status=status)

    async def _numbers(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
