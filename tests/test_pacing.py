"""How fast a host is asked: slots, rates, pauses, the breaker and retries, all on a clock that the tests turn."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.politeness import BreakerPolicy, HostPacer, HostUnavailable, OptedOut, RetryPolicy, RobotsDisallowed
from crawler.politeness import hosts as hosts_module
from infra.http import ConnectionFailed, StatusError, TimedOut

HOST = "faces.example:443"


class Time:
    """A clock and a sleep: time stands still until `run_until` moves it from one sleeper to the next."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), wake))
        await wake

    async def run_until(self, moment: float) -> None:
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= moment:
            self.now, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
            await self.settle()
        self.now = moment

    async def settle(self) -> None:
        for _ in range(30):  # more steps than any chain of wake-ups here takes
            await asyncio.sleep(0)


class Web:
    """Requests to hosts through a pacer: when each started, and how each is to be answered."""

    def __init__(self, time: Time, pacer: HostPacer) -> None:
        self.time = time
        self.pacer = pacer
        self.started: list[float] = []
        self.active = 0
        self.most_active = 0
        self.refused: list[HostUnavailable] = []

    async def ask(self, tell: Callable[[str], None] | None, *, host: str = HOST, takes_s: float = 0.0) -> None:
        try:
            async with self.pacer.slot(host):
                self.started.append(self.time.now)
                self.active += 1
                self.most_active = max(self.most_active, self.active)
                try:
                    if takes_s:
                        await self.time.sleep(takes_s)
                finally:
                    self.active -= 1
                if tell:
                    tell(host)
        except HostUnavailable as error:
            self.refused.append(error)

    def ask_many(self, count: int, tell: Callable[[str], None] | None = None, *, takes_s: float = 0.0) -> list[object]:
        return [asyncio.create_task(self.ask(tell, takes_s=takes_s)) for _ in range(count)]


def _on_a_turned_clock(
    test: Callable[[Time, HostPacer, Web], Awaitable[None]],
    *,
    concurrency: int = 4,
    per_second: float | None = None,
    patience_s: float = 600.0,
    breaker: BreakerPolicy | None = None,
) -> None:
    async def run() -> None:
        time = Time()
        pacer = HostPacer(
            concurrency=concurrency,
            per_second=per_second,
            patience_s=patience_s,
            breaker=breaker,
            clock=time.clock,
            sleep=time.sleep,
            rng=random.Random(0),
        )
        await asyncio.wait_for(test(time, pacer, Web(time, pacer)), 30)

    asyncio.run(run())


def test_no_more_requests_at_once_than_the_concurrency_first_come_first_served() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        order: list[int] = []

        async def numbered(number: int) -> None:
            async with pacer.slot(HOST):
                order.append(number)
                await time.sleep(1.0)

        tasks = [asyncio.create_task(numbered(number)) for number in range(10)]
        web.ask_many(20, takes_s=1.0)
        await time.run_until(1100.0)
        await asyncio.gather(*tasks)
        assert order == list(range(10))
        assert len(web.started) == 20
        assert web.most_active == 4
        assert max(web.started) == 1000.0 + 29 // 4

    _on_a_turned_clock(test)


def test_the_rate_spaces_requests_and_a_crawl_delay_spaces_them_more() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(3)
        await time.run_until(1001.25)
        assert web.started == [1000.0, 1000.5, 1001.0]
        pacer.set_delay(HOST, 10.0)
        web.ask_many(3)
        await time.run_until(1100.0)
        assert web.started[3:] == [1001.5, 1011.5, 1021.5]
        pacer.set_delay(HOST, 0.0)
        web.ask_many(2)
        await time.run_until(1200.0)
        assert web.started[6:] == [1100.0, 1100.5]

    _on_a_turned_clock(test, per_second=2.0)


def test_a_crawl_delay_holds_without_a_rate() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        pacer.set_delay(HOST, 3.0)
        web.ask_many(3)
        await time.run_until(1100.0)
        assert web.started == [1000.0, 1003.0, 1006.0]

    _on_a_turned_clock(test)


@pytest.mark.parametrize("retry_after_s", [0.001, 7.0, 120.123, 599.999])
def test_retry_after_is_honoured_to_the_millisecond(retry_after_s: float) -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(1, lambda host: pacer.slow_down(host, retry_after_s))
        await time.settle()
        web.ask_many(3)
        await time.run_until(1000.0 + retry_after_s - 0.0005)
        assert len(web.started) == 1
        await time.run_until(1000.0 + retry_after_s + 0.0005)
        assert len(web.started) > 1
        assert web.started[1] == pytest.approx(1000.0 + retry_after_s, abs=1e-6)

    _on_a_turned_clock(test)


def test_the_longest_pause_of_a_burst_holds_and_the_pace_is_halved_once() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        pauses = iter([5.0, 20.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        web.ask_many(8, lambda host: pacer.slow_down(host, next(pauses)), takes_s=1.0)
        await time.run_until(1002.0)
        web.most_active = 0
        web.ask_many(20, takes_s=1.0)
        await time.run_until(1020.9)
        assert len(web.started) == 8
        await time.run_until(1100.0)
        assert web.started[8] == 1021.0
        assert web.most_active == 4

    _on_a_turned_clock(test, concurrency=8)


def test_complaints_halve_and_successes_add_until_the_full_pace_is_back() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        def at_once(tell: Callable[[str], None] | None = None) -> int:
            web.most_active = 0
            web.ask_many(12, tell, takes_s=1.0)
            return web.most_active

        for expected in (4, 2, 1, 1):
            web.ask_many(1, lambda host: pacer.slow_down(host, 1.0))
            await time.run_until(time.now + 200.0)
            at_once()
            await time.run_until(time.now + 200.0)
            assert web.most_active == expected
        history = []
        for _ in range(20):
            at_once(pacer.succeeded)
            await time.run_until(time.now + 60.0)
            history.append(web.most_active)
        assert history == sorted(history)
        assert history[-1] == 8
        assert history[0] < 8

    _on_a_turned_clock(test, concurrency=8)


def test_a_success_from_before_the_complaint_gives_nothing_back() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(7, pacer.succeeded, takes_s=2.0)
        web.ask_many(1, lambda host: pacer.slow_down(host, 0.5), takes_s=1.0)
        await time.run_until(1003.0)
        web.most_active = 0
        web.ask_many(8, takes_s=1.0)
        await time.settle()
        assert web.most_active == 4

    _on_a_turned_clock(test, concurrency=8)


def test_a_late_wake_up_is_made_up_for_by_a_rate_and_not_by_a_crawl_delay() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        for delay_s, expected in ((0.0, 0.5), (0.5, 0.51)):
            pacer.set_delay(HOST, delay_s)
            web.ask_many(1)
            await time.settle()
            await time.run_until(time.now + 0.51)  # 10 ms after the next start was due
            late = time.now
            web.ask_many(2)
            await time.run_until(time.now + 10.0)
            assert web.started[-2:] == pytest.approx([late, late - 0.01 + expected])

    _on_a_turned_clock(test, per_second=2.0)


def test_a_rate_is_halved_and_comes_back_by_steps() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(1, lambda host: pacer.slow_down(host, 1.0))
        await time.settle()
        web.ask_many(3)
        await time.run_until(1010.0)
        assert [after - before for before, after in itertools.pairwise(web.started[1:])] == [0.5, 0.5]
        web.ask_many(100, pacer.succeeded)
        await time.run_until(1100.0)
        gaps = [round(after - before, 6) for before, after in itertools.pairwise(web.started[4:])]
        assert gaps == sorted(gaps, reverse=True)
        assert gaps[0] > 0.4
        assert gaps[-1] == pytest.approx(0.25)

    _on_a_turned_clock(test, per_second=4.0)


def test_a_host_that_complains_of_one_at_a_time_is_asked_ever_more_slowly() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        gaps = []
        for _ in range(4):
            web.ask_many(1, lambda host: pacer.slow_down(host, 0.0))
            await time.run_until(time.now + 300.0)
            web.ask_many(2)
            await time.run_until(time.now + 300.0)
            gaps.append(web.started[-1] - web.started[-2])
        assert gaps == [0.25, 0.5, 1.0, 2.0]
        web.ask_many(400, pacer.succeeded)
        await time.run_until(time.now + 600.0)
        assert web.started[-1] == web.started[-2]  # free again

    _on_a_turned_clock(test, concurrency=1)


def test_without_retry_after_the_pauses_double_and_success_forgets_them() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        async def pause() -> float:
            web.ask_many(1, lambda host: pacer.slow_down(host, None))
            await time.run_until(time.now + 300.0)
            asked = time.now
            web.ask_many(1, lambda host: pacer.slow_down(host, None))
            await time.settle()
            web.ask_many(1)
            await time.run_until(time.now + 300.0)
            return web.started[-1] - asked

        pauses = [await pause() for _ in range(3)]
        for pause_s, ceiling_s in zip(pauses, (2.0, 8.0, 32.0), strict=True):
            assert ceiling_s / 2 <= pause_s <= ceiling_s
        web.ask_many(30, pacer.succeeded)
        await time.run_until(time.now + 600.0)
        assert 1.0 <= await pause() <= 2.0

    _on_a_turned_clock(test)


def test_a_pause_beyond_patience_fails_at_once_as_host_unavailable() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(1, lambda host: pacer.slow_down(host, 3600.0))
        await time.settle()
        with pytest.raises(
            HostUnavailable, match=r"faces\.example:443 asks for a pause of 3600 s.*--retry-failed"
        ) as caught:
            pacer.check(HOST)
        assert (caught.value.error_class, caught.value.retriable) == ("host unavailable", True)
        web.ask_many(3)
        await time.settle()
        assert len(web.refused) == 3
        await time.run_until(1000.0 + 3601.0)
        pacer.check(HOST)
        web.ask_many(1)
        await time.settle()
        assert len(web.started) == 2

    _on_a_turned_clock(test)


def test_a_host_that_only_complains_is_given_up_and_asked_once_after_each_pause() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(20, lambda host: pacer.slow_down(host, None))
        await time.run_until(2000.0)
        asked = len(web.started)
        assert asked >= 8
        assert asked + len(web.refused) == 20
        assert "times in a row" in str(web.refused[0])
        web.ask_many(5, lambda host: pacer.slow_down(host, None))
        await time.settle()
        assert len(web.started) == asked + 1
        await time.run_until(2200.0)
        web.ask_many(1, pacer.succeeded)
        await time.settle()
        web.ask_many(5, pacer.succeeded)
        await time.run_until(2300.0)
        assert len(web.started) == asked + 7

    _on_a_turned_clock(test, concurrency=1)


BREAKER = BreakerPolicy(failures=3, first_pause_s=10.0, longest_pause_s=35.0, give_up_after=3)


def test_the_breaker_opens_probes_with_one_request_and_closes() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(2, pacer.failed)
        await time.settle()
        web.ask_many(1, pacer.succeeded)
        web.ask_many(2, pacer.failed)
        await time.settle()
        assert pacer.breaker_state(HOST) == "closed"  # three, but not in a row
        web.ask_many(1, pacer.failed)
        await time.settle()
        assert pacer.breaker_state(HOST) == "open"
        web.started.clear()
        web.ask_many(1, pacer.succeeded, takes_s=2.0)
        web.ask_many(6, pacer.succeeded, takes_s=2.0)
        await time.run_until(1009.9)
        assert web.started == []
        await time.run_until(1011.0)
        assert pacer.breaker_state(HOST) == "half-open"
        assert web.started == [1010.0]
        await time.run_until(1013.0)
        assert pacer.breaker_state(HOST) == "closed"
        assert web.started == [1010.0] + [1012.0] * 4

    _on_a_turned_clock(test, breaker=BREAKER)


def test_the_breaker_opens_longer_each_time_then_the_host_is_given_up_and_probed_once() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(8, pacer.failed)
        await time.run_until(1200.0)
        # three fail and open it for 10 s, the first probe fails: 20 s, the second: 35 s and it is given up
        assert web.started == [1000.0] * 3 + [1010.0, 1030.0]
        assert len(web.refused) == 3
        assert {str(error) for error in web.refused} == {
            f"{HOST} failed again after 3 pauses: its URLs are skipped for now, try again later with --retry-failed"
        }
        web.ask_many(2, pacer.failed, takes_s=1.0)
        await time.run_until(1201.5)
        assert web.started[5:] == [1200.0]
        assert len(web.refused) == 4
        with pytest.raises(HostUnavailable):
            pacer.check(HOST)
        await time.run_until(1240.0)
        pacer.check(HOST)
        web.ask_many(1, pacer.succeeded)
        await time.settle()
        assert pacer.breaker_state(HOST) == "closed"

    _on_a_turned_clock(test, breaker=BREAKER)


def test_failures_of_one_burst_open_the_breaker_once_and_a_late_success_closes_it() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(4, pacer.failed, takes_s=1.0)
        await time.run_until(1001.5)
        web.ask_many(1, pacer.succeeded)
        await time.run_until(1012.0)
        assert web.started == [1000.0] * 4 + [1011.0]  # not 1021: the fourth failure said nothing new
        web.ask_many(1, pacer.succeeded, takes_s=1.0)
        web.ask_many(3, pacer.failed)
        await time.settle()
        assert pacer.breaker_state(HOST) == "open"
        await time.run_until(1013.0)
        assert pacer.breaker_state(HOST) == "closed"
        pacer.set_delay(HOST, 0.5)
        web.ask_many(1)
        await time.settle()
        assert web.started[-1] == 1013.0

    _on_a_turned_clock(test, breaker=BREAKER)


def test_a_probe_that_is_cancelled_leaves_the_probing_to_the_next() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        web.ask_many(3, pacer.failed)
        await time.settle()
        probe = asyncio.create_task(web.ask(pacer.succeeded, takes_s=5.0))
        await time.settle()
        web.ask_many(1, pacer.succeeded)
        await time.run_until(1011.0)
        assert len(web.started) == 4
        probe.cancel()
        await time.settle()
        assert len(web.started) == 5
        assert pacer.breaker_state(HOST) == "closed"

    _on_a_turned_clock(test, breaker=BREAKER)


def test_a_waiting_host_holds_up_nobody_else() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        pacer.slow_down(HOST, 500.0)
        web.ask_many(50)
        await time.settle()
        others = [asyncio.create_task(web.ask(pacer.succeeded, host=f"other{number}:80")) for number in range(50)]
        await asyncio.gather(*others)
        assert web.started == [1000.0] * 50
        assert pacer.breaker_state("never seen") == "closed"
        pacer.check("never seen")

    _on_a_turned_clock(test)


def test_those_who_are_cancelled_in_the_queue_or_in_a_slot_leave_their_place() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        tasks = [asyncio.create_task(web.ask(None, takes_s=10.0)) for _ in range(6)]
        await time.settle()
        for task in (tasks[0], tasks[2], tasks[4]):  # in a slot, at the head of the queue, behind it
            task.cancel()
        await time.settle()
        assert (len(web.started), web.active) == (3, 2)
        await time.run_until(1100.0)
        assert len(web.started) == 4
        web.most_active = 0
        web.ask_many(6, takes_s=1.0)
        await time.run_until(1200.0)
        assert web.most_active == 2

    _on_a_turned_clock(test, concurrency=2)


def test_an_error_in_a_slot_passes_and_frees_it() -> None:
    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        for _ in range(3):
            with pytest.raises(KeyError):
                async with pacer.slot(HOST):
                    raise KeyError

    _on_a_turned_clock(test, concurrency=1)


def test_hosts_at_rest_are_forgotten_and_those_with_a_state_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_module, "_SWEEP_AT", 50)

    async def test(time: Time, pacer: HostPacer, web: Web) -> None:
        pacer.set_delay("slow:80", 5.0)
        pacer.slow_down("paused:80", 300.0)
        for _ in range(3):
            pacer.failed("dead:80")
        for number in range(1000):
            async with pacer.slot(f"host{number}:80"):
                pass
        assert len(pacer._hosts) <= 50
        assert {"slow:80", "paused:80", "dead:80"} <= set(pacer._hosts)

    _on_a_turned_clock(test, breaker=BREAKER)


def test_the_real_clock_keeps_a_rate() -> None:
    async def run() -> float:
        pacer = HostPacer(concurrency=8, per_second=200.0)
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def ask() -> None:
            async with pacer.slot(HOST):
                pass

        await asyncio.gather(*(ask() for _ in range(41)))
        return loop.time() - began

    assert 0.19 <= asyncio.run(run()) < 2.0  # 40 gaps of 5 ms; a late wake-up is made up for


@given(st.integers(0, 40), st.integers(1, 50), st.floats(0, 100), st.floats(0, 1000), st.integers())
def test_retries_wait_with_full_jitter(attempt: int, attempts: int, base_s: float, cap_s: float, seed: int) -> None:
    wait_s = RetryPolicy(attempts, base_s, cap_s).wait_s(attempt, TimedOut("late"), random.Random(seed))
    if attempt + 1 >= attempts:
        assert wait_s is None
    else:
        assert wait_s is not None
        assert 0.0 <= wait_s <= min(cap_s, base_s * 2**attempt)


def test_the_jitter_is_full() -> None:
    rng = random.Random(0)
    waits = [RetryPolicy().wait_s(2, ConnectionFailed("reset"), rng) or 0.0 for _ in range(2000)]
    assert min(waits) < 0.05
    assert max(waits) > 1.95
    assert sum(waits) / len(waits) == pytest.approx(1.0, abs=0.05)


@given(st.floats(0, 3600), st.integers(0, 2), st.integers())
def test_a_retry_never_comes_before_retry_after(retry_after_s: float, attempt: int, seed: int) -> None:
    error = StatusError("busy", status=429, retry_after_s=retry_after_s)
    wait_s = RetryPolicy().wait_s(attempt, error, random.Random(seed))
    assert wait_s is not None
    assert retry_after_s <= wait_s <= max(retry_after_s, 0.5 * 2**attempt)


@pytest.mark.parametrize(
    "error",
    [
        StatusError("gone", status=404),
        StatusError("gone", status=410),
        StatusError("no", status=403, retry_after_s=1.0),
        ConnectionFailed("certificate", retriable=False),
        RobotsDisallowed("https://faces.example/1.jpg", "https://faces.example"),
        RobotsDisallowed("https://faces.example/1.jpg", "https://faces.example", unreachable="timeout"),
        OptedOut("https://faces.example/1.jpg", "noai"),
        HostUnavailable(HOST, "keeps failing"),
        ValueError("ours"),
    ],
)
def test_what_is_never_retried_in_a_run(error: Exception) -> None:
    assert RetryPolicy().wait_s(0, error, random.Random(0)) is None


def test_a_404_is_final_whoever_calls_it_retriable() -> None:
    error = StatusError("gone", status=404)
    error.retriable = True
    assert RetryPolicy().wait_s(0, error, random.Random(0)) is None
