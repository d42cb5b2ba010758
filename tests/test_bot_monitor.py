"""What /healthz and /metrics say, asked over a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.monitor import Metrics, Monitor, MonitorError
from bot.params import MonitorParams

Ask = Callable[[str], Awaitable[tuple[int, str]]]


def monitored(test: Callable[[Ask], Awaitable[None]], metrics: Metrics, **checks: Callable[[], bool]) -> None:
    async def run() -> None:
        async with Monitor(MonitorParams(port=0), metrics, checks) as monitor, aiohttp.ClientSession() as session:

            async def ask(path: str) -> tuple[int, str]:
                async with session.get(f"http://127.0.0.1:{monitor.port}{path}") as answer:
                    return answer.status, await answer.text()

            await test(ask)

    asyncio.run(run())


def test_health_names_the_part_that_is_not_well() -> None:
    state = {"worker": True}

    async def test(ask: Ask) -> None:
        assert await ask("/healthz") == (200, '{"ok": true, "checks": {"discord": true, "worker": true}}')
        state["worker"] = False
        assert await ask("/healthz") == (503, '{"ok": false, "checks": {"discord": true, "worker": false}}')

    monitored(test, Metrics(), discord=lambda: True, worker=lambda: state["worker"])


def test_metrics_are_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.verdicts.labels("fake").inc()
    metrics.verdict_seconds.observe(0.3)
    metrics.requests.labels("discord", "post").inc(2)
    metrics.watch("bot_waiting", "Pictures that wait.", lambda: 7)

    async def test(ask: Ask) -> None:
        status, text = await ask("/metrics")
        assert status == 200
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert samples["bot_verdicts_total", "fake"] == 1
        assert samples["bot_verdict_seconds_count",] == 1
        assert samples["bot_requests_total", "discord", "post"] == 2
        assert samples["bot_waiting",] == 7

    monitored(test, metrics)


def test_a_port_that_is_taken_is_one_line() -> None:
    async def run(port: int) -> None:
        async with Monitor(MonitorParams(port=port), Metrics(), {}):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MonitorError, match=rf"monitor.port {port} .*address already in use.*; name another"):
            asyncio.run(run(port))


def test_a_port_of_the_systems_choice_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> int:
        async with Monitor(MonitorParams(port=0), Metrics(), {}) as monitor:
            return monitor.port

    with caplog.at_level("INFO"):
        port = asyncio.run(run())
    assert f"http://127.0.0.1:{port}/healthz" in caplog.text


def test_no_port_serves_nothing() -> None:
    async def run() -> int:
        async with Monitor(MonitorParams(port=None), Metrics(), {}) as monitor:
            return monitor.port

    assert asyncio.run(run()) == 0
