"""The detector's desk as the chat clients use it: real processes, killed, stopped and replaced for real."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot.champion import NoChampion, bundle_url
from bot.detector import Detector
from bot.params import BotParams
from bot.worker import (
    Asker,
    Checked,
    DeskClosed,
    DetectorDesk,
    DetectorFailed,
    DiedOfPicture,
    LayerGone,
    Nursery,
    QueueFull,
    TooManyWaiting,
    Want,
    Withdrawn,
)
from bot.worker.errors import DeskError
from bot.worker.fair_queue import FairQueue
from infra.images import ImageRefused
from model_defs.checkpoint import BundleError
from tests.bot_bundles import photo, write_small_bundle
from tune.store.writer import ResultStore

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 60  # a machine may be busy; nothing here takes long when it is not
LAYER = "blocks.block2.conv"
QUICK = Want(heatmaps=False, panel=False)
ANN, BOB = Asker("ann", "one"), Asker("bob", "two")


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


PHOTO = encoded(photo())


def large_picture() -> bytes:
    """Not looked at in less than a second."""
    noise = np.random.default_rng(0).integers(0, 256, (2400, 3200, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise), "BMP")


def params(bundle: str, **worker: Any) -> BotParams:
    return BotParams.model_validate({"bundle": bundle, "check": {"threads": 1}, "worker": worker})


def run(work: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(2 * PATIENCE_S):
            await work

    asyncio.run(in_time())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Neither gone nor a zombie that nobody has asked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children() -> set[str]:
    return {pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_small_bundle(tmp_path_factory.mktemp("bundle"), temperature=0.05, bias=0.2)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Shared by the tests, as its imports take seconds."""
    nursery = Nursery()
    yield nursery
    asyncio.run(nursery.close())


class Served:
    """A desk that several tests share."""

    def __init__(self, settings: BotParams, nursery: Nursery) -> None:
        self.seconds: Counter[str] = Counter()
        self.runner = asyncio.Runner()
        self.desk = DetectorDesk(settings, lambda name, _seconds: self.seconds.update([name]), nursery)
        self.runner.run(self.desk.__aenter__())

    def close(self) -> None:
        self.runner.run(self.desk.__aexit__(None, None, None))
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        async def in_time() -> None:
            async with asyncio.timeout(PATIENCE_S):
                await work

        self.runner.run(in_time())


@pytest.fixture(scope="module")
def served(bundle: str, nursery: Nursery) -> Iterator[Served]:
    served = Served(params(bundle, queue=80, per_user=60, per_server=70, batch=4), nursery)
    yield served
    served.close()


def test_an_answer_is_the_detectors_and_its_pictures_carry_no_metadata(served: Served, bundle: str) -> None:
    async def work() -> None:
        data = encoded(photo(120, 90, seed=5), "JPEG")
        checked = await served.desk.check(data, ANN, Want(layer=LAYER, seen=True))
        expected = Detector(bundle).check(data)
        verdict = checked.verdict
        assert verdict.to_json() == {**expected.to_json(), "seconds": round(verdict.seconds, 4)}
        for layer, other in zip(verdict.layers, expected.layers, strict=True):
            np.testing.assert_allclose(layer.map, other.map, atol=1e-5)
        np.testing.assert_array_equal(verdict.picture.seen, expected.picture.seen)
        assert checked.sha256 == hashlib.sha256(data).hexdigest()
        for picture in (checked.panel, checked.layer, checked.seen):
            assert picture is not None
            with Image.open(io.BytesIO(picture)) as opened:
                assert (opened.format, opened.info) == ("PNG", {})

    served.run(work())


def test_what_the_network_saw_is_enough_to_ask_again(served: Served) -> None:
    async def work() -> None:
        first = await served.desk.check(encoded(photo(300, 200, seed=6)), ANN, Want(seen=True))
        assert first.seen is not None
        again = await served.desk.check(first.seen, ANN, Want(panel=False, layer=LAYER))
        assert again.verdict.p_fake == pytest.approx(first.verdict.p_fake, abs=1e-6)
        for layer, other in zip(again.verdict.layers, first.verdict.layers, strict=True):
            np.testing.assert_allclose(layer.map, other.map, atol=1e-5)
        assert again.panel is None and again.seen is None and again.layer is not None

    served.run(work())


def test_only_what_is_wanted_is_made_and_no_picture_is_larger_than_allowed(served: Served) -> None:
    async def work() -> None:
        bare = await served.desk.check(PHOTO, ANN, QUICK)
        assert (bare.verdict.layers, bare.panel, bare.layer, bare.seen) == ((), None, None, None)
        for max_bytes in (60_000, 4096):
            small = await served.desk.check(PHOTO, ANN, Want(layer=LAYER, max_bytes=max_bytes))
            for picture in (small.panel, small.layer):
                assert picture is not None and len(picture) <= max_bytes
                with Image.open(io.BytesIO(picture)) as opened:
                    assert opened.format == "JPEG"
                    opened.load()

    served.run(work())


def test_what_cannot_be_answered_is_one_line_and_the_next_is_answered(served: Served) -> None:
    async def work() -> None:
        refused = served.desk.refused
        with pytest.raises(ImageRefused, match="not an image"):
            await served.desk.check(b"a letter", ANN)
        assert served.desk.refused == refused + 1
        with pytest.raises(LayerGone, match=r"no layer “stem\.conv”"):
            await served.desk.check(PHOTO, ANN, Want(layer="stem.conv"))
        assert isinstance(await served.desk.check(PHOTO, ANN), Checked)

    served.run(work())


def test_sixty_at_once_are_answered_in_order_of_arrival_and_know_where_they_stand(served: Served) -> None:
    async def work() -> None:
        answered: list[int] = []

        async def follow(number: int, asker: Asker) -> None:
            ticket = served.desk.submit(PHOTO, asker, QUICK)
            places = [ticket.position]
            while ticket.position:
                places.append(await ticket.moved())
            await ticket.answer()
            answered.append(number)
            assert places == sorted(places, reverse=True) or places[0] == 0
            assert ticket.data == b""

        await asyncio.gather(*(follow(n, ANN) for n in range(60)))
        assert answered == list(range(60))
        answered.clear()
        await asyncio.gather(*(follow(n, Asker(f"user {n}", "one")) for n in range(60)))
        assert answered == list(range(60))
        assert served.seconds["answer_s"] == served.desk.answered
        assert served.seconds["wait_s"] >= 120

    served.run(work())


def test_a_full_queue_says_so_and_the_newcomer_of_another_server_does_not_wait_for_all(served: Served) -> None:
    async def work() -> None:
        os.kill(served.desk.pids[0], signal.SIGSTOP)
        crowd = [served.desk.submit(PHOTO, ANN, QUICK) for _ in range(64)]
        await asyncio.sleep(0)
        assert [ticket.position for ticket in crowd] == [0] * 4 + list(range(1, 61))
        with pytest.raises(TooManyWaiting, match="You have 60"):
            served.desk.submit(PHOTO, ANN, QUICK)
        # Nobody has more than a batch with the process, so that there is room for others.
        others = [served.desk.submit(PHOTO, Asker(f"early {n}", "three"), QUICK) for n in range(4)]
        assert [ticket.position for ticket in others] == [0] * 4
        crowd += others
        crowd += [served.desk.submit(PHOTO, Asker(f"user {n}", "one"), QUICK) for n in range(10)]
        with pytest.raises(TooManyWaiting, match="This server has 70"):
            served.desk.submit(PHOTO, Asker("late", "one"), QUICK)
        newcomer = served.desk.submit(PHOTO, BOB, QUICK)
        crowd += [served.desk.submit(PHOTO, BOB, QUICK) for _ in range(9)]
        assert served.desk.waiting == 80
        with pytest.raises(QueueFull, match="80 pictures waiting"):
            served.desk.submit(PHOTO, Asker("last", "three"), QUICK)
        await asyncio.sleep(0)
        assert newcomer.position == 2
        # What is called off leaves its place to others, waiting or in the process.
        crowd[0].cancel()
        crowd[5].cancel()
        crowd[5].cancel()
        for ticket in (crowd[0], crowd[5]):
            with pytest.raises(Withdrawn):
                await ticket.answer()
        assert served.desk.waiting == 79
        served.desk.submit(PHOTO, Asker("last", "three"), QUICK).cancel()
        os.kill(served.desk.pids[0], signal.SIGCONT)
        outcomes = await asyncio.gather(newcomer.answer(), *(t.answer() for t in crowd), return_exceptions=True)
        assert Counter(map(type, outcomes)) == {Checked: len(crowd) - 1, Withdrawn: 2}

    served.run(work())


def test_large_pictures_do_not_hold_up_the_loop(served: Served) -> None:
    async def work() -> None:
        large = large_picture()
        assert len(large) > 20e6
        gaps: list[float] = []

        async def tick() -> None:
            while True:
                before = time.thread_time(), time.perf_counter()
                await asyncio.sleep(0)
                gaps.append(min(time.thread_time() - before[0], time.perf_counter() - before[1]))

        ticking = asyncio.ensure_future(tick())
        await asyncio.gather(*(served.desk.check(large, ANN, Want(seen=True)) for _ in range(2)))
        ticking.cancel()
        # Of this thread's own time, so that a busy machine does not count: measured 3 ms, copying the picture takes 10.
        assert max(gaps) < 0.03

    served.run(work())


def test_a_killed_process_is_replaced_and_all_that_it_held_is_answered_once(served: Served) -> None:
    async def work() -> None:
        before, answered, (pid,) = served.desk.restarts, served.desk.answered, served.desk.pids
        os.kill(pid, signal.SIGSTOP)
        tickets = [served.desk.submit(PHOTO, ANN, QUICK) for _ in range(6)]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        order: list[int] = []

        async def follow(number: int) -> Checked:
            answer = await tickets[number].answer()
            order.append(number)
            return answer

        outcomes = await asyncio.gather(*(follow(number) for number in range(6)))
        assert {outcome.verdict.p_fake for outcome in outcomes} == {outcomes[0].verdict.p_fake}
        assert order == list(range(6))
        assert (served.desk.restarts, served.desk.answered) == (before + 1, answered + 6)
        assert served.desk.is_healthy
        await until(lambda: not is_running(pid))
        assert served.desk.pids != (pid,)

    served.run(work())


def test_a_hung_process_is_replaced_a_picture_that_two_died_of_given_up_and_leaving_waits_for_neither(
    bundle: str, nursery: Nursery
) -> None:
    async def work() -> None:
        async with DetectorDesk(params(bundle, timeout_s=3, batch=1), nursery=nursery) as desk:
            (pid,) = desk.pids
            os.kill(pid, signal.SIGSTOP)
            culprit, innocent = desk.submit(large_picture(), ANN), desk.submit(PHOTO, BOB)
            await until(lambda: desk.restarts == 1)
            assert not desk.pids  # the next is not ready yet
            await until(lambda: bool(desk.pids))
            os.kill(desk.pids[0], signal.SIGKILL)  # it holds the culprit alone, which then lets the innocent pass
            assert isinstance(await innocent.answer(), Checked)
            os.kill(desk.pids[0], signal.SIGKILL)
            with pytest.raises(DiedOfPicture, match="breaks down"):
                await culprit.answer()
            await until(lambda: bool(desk.pids))
            assert (desk.failed, desk.answered, desk.restarts) == (1, 1, 3)
            os.kill(desk.pids[0], signal.SIGSTOP)
            stuck = [desk.submit(PHOTO, ANN, QUICK) for _ in range(3)]
            assert not await desk.drain(0.1)
        for ticket in stuck:
            with pytest.raises(DeskClosed):
                await ticket.answer()
        assert desk.pids == ()

    run(work())


def test_the_champion_is_followed_and_what_cannot_be_used_changes_nothing(
    tmp_path: Path, bundle: str, nursery: Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    store = ResultStore(f"sqlite:///{tmp_path}/results.db")
    store.open()
    other = write_small_bundle(tmp_path / "other", bias=3.0, image_size=24)
    settings = BotParams.model_validate({
        "store": f"sqlite:///{tmp_path}/results.db", "check": {"threads": 1}, "worker": {"reload_s": 0.1},
    })  # fmt: skip

    def promote(url: str) -> None:
        store.alias("champion", url, "test/1-1")
        assert store.flush(10)

    async def work() -> None:
        promote(bundle)
        async with DetectorDesk(settings, nursery=nursery) as desk:
            first = await desk.check(PHOTO, ANN, QUICK)
            (pid,) = desk.pids
            assert first.verdict.model == desk.card.id
            promote(f"file://{tmp_path}/nowhere")
            await until(lambda: "cannot be used" in caplog.text)
            assert (await desk.check(PHOTO, ANN, QUICK)).verdict.model == first.verdict.model
            promote(other)
            await until(lambda: desk.reloads == 1)
            second = await desk.check(PHOTO, ANN, QUICK)
            assert second.verdict.model == desk.card.id != first.verdict.model
            await until(lambda: not is_running(pid) and pid not in desk.pids)  # its death is heard of later
            assert caplog.text.count("cannot be used") == 1
            assert (desk.failed, desk.restarts, desk.is_healthy) == (0, 0, True)
            await _down_and_up(desk, tmp_path)
            await _drained(desk)
        assert desk.pids == ()

    run(work())
    store.close()


def test_no_trouble_of_any_kind_ends_the_watch_over_the_process(
    bundle: str, nursery: Nursery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked_up = []

    def look_up(settings: BotParams) -> str:
        looked_up.append(settings)
        if len(looked_up) == 2:
            raise RuntimeError("can't start new thread")
        return bundle_url(settings)

    monkeypatch.setattr("bot.worker.keeper.bundle_url", look_up)

    async def work() -> None:
        async with DetectorDesk(params(bundle, reload_s=0.05), nursery=nursery) as desk:
            await until(lambda: len(looked_up) > 3)
            assert "can't start new thread" in caplog.text
            os.kill(desk.pids[0], signal.SIGKILL)
            assert isinstance(await desk.check(PHOTO, ANN, QUICK), Checked)
            assert desk.is_healthy

    run(work())


def test_the_process_is_the_first_to_go_where_memory_ends(served: Served) -> None:
    (pid,) = served.desk.pids
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) > int(Path("/proc/self/oom_score_adj").read_text())


async def _down_and_up(desk: DetectorDesk, tmp_path: Path) -> None:
    """A network that cannot be loaded any more: who waits is told, and all is well once it is back."""
    shutil.move(tmp_path / "other", tmp_path / "away")
    os.kill(desk.pids[0], signal.SIGSTOP)
    ticket = desk.submit(PHOTO, ANN, QUICK)
    os.kill(desk.pids[0], signal.SIGKILL)
    with pytest.raises(DetectorFailed, match="not working at the moment"):
        await ticket.answer()
    assert not desk.is_healthy
    with pytest.raises(DetectorFailed):
        desk.submit(PHOTO, ANN, QUICK)
    shutil.move(tmp_path / "away", tmp_path / "other")
    await until(lambda: desk.is_healthy)
    assert isinstance(await desk.check(PHOTO, ANN, QUICK), Checked)


async def _drained(desk: DetectorDesk) -> None:
    """What is under way is finished, and nothing new is taken."""
    tickets = [desk.submit(PHOTO, ANN, QUICK) for _ in range(3)]
    assert await desk.drain(PATIENCE_S)
    assert all([isinstance(await ticket.answer(), Checked) for ticket in tickets])
    assert await desk.drain(0)
    with pytest.raises(DeskClosed):
        desk.submit(PHOTO, ANN, QUICK)
    assert not desk.is_healthy


def test_a_start_that_fails_or_is_interrupted_leaves_nothing(tmp_path: Path, bundle: str) -> None:
    async def work() -> None:
        before = children()
        with pytest.raises(BundleError, match="no checkpoint bundle"):
            await DetectorDesk(params(f"file://{tmp_path}/nowhere")).__aenter__()
        assert children() == before
        start = asyncio.ensure_future(DetectorDesk(params(bundle)).__aenter__())
        await until(lambda: children() != before)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert children() == before

    run(work())


def test_the_process_ends_with_a_bot_that_is_killed_and_the_bot_imports_no_torch(bundle: str) -> None:
    script = (
        "import asyncio, sys\nfrom bot.params import BotParams\nfrom bot.worker import DetectorDesk\n"
        "async def main():\n"
        f"    async with DetectorDesk(BotParams(bundle={bundle!r})) as desk:\n"
        "        print(*desk.pids, 'torch' in sys.modules, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, text=True) as bot:
        assert bot.stdout is not None
        pid, has_torch = bot.stdout.readline().split()
        bot.kill()
    assert has_torch == "False"
    asyncio.run(until(lambda: not is_running(int(pid))))


def test_an_alias_is_looked_up_and_a_missing_one_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/results.db"
    store = ResultStore(url)
    store.open()
    store.alias("steady", "file:///bundles/a", "test/1-1")
    store.close()
    assert bundle_url(BotParams(store=url, bundle="steady")) == "file:///bundles/a"
    assert bundle_url(BotParams(store=url, bundle="runs/b")) == "runs/b"
    with pytest.raises(NoChampion, match="no alias 'steddy'"):
        bundle_url(BotParams(store=url, bundle="steddy"))
    with pytest.raises(NoChampion, match="no champion yet"):
        bundle_url(BotParams(store=url))


askers = st.builds(Asker, st.sampled_from("abcd"), st.sampled_from("xyz"))
steps = st.lists(st.one_of(askers, st.just("take"), st.integers(0, 30)), max_size=60)


@given(steps)
def test_the_queue_is_bounded_fair_and_knows_its_order(steps: list[Asker | str | int]) -> None:
    queue: FairQueue[int] = FairQueue(12, 4, 8)
    waiting: dict[int, Asker] = {}
    number = 0
    for step in steps:
        if step == "take":
            if waiting:
                expected = next(iter(queue))
                assert queue.take() == expected
                del waiting[expected]
            else:
                with pytest.raises(IndexError):
                    queue.take()
        elif isinstance(step, int):
            assert queue.remove(step, waiting.get(step, ANN)) == (step in waiting)
            waiting.pop(step, None)
        elif isinstance(step, Asker):
            number += 1
            counts = Counter(asker.user for asker in waiting.values())
            servers = Counter(asker.server for asker in waiting.values())
            full = len(waiting) == 12 or counts[step.user] == 4 or servers[step.server] == 8
            try:
                queue.put(number, step)
            except DeskError:
                assert full
            else:
                assert not full
                waiting[number] = step
        order = list(queue)
        assert sorted(order) == sorted(waiting) and len(queue) == len(waiting)
        _assert_fair([waiting[item] for item in order], order)


def _assert_fair(askers: list[Asker], order: list[int]) -> None:
    """As long as somebody waits, nobody else is ahead by more than a turn; each person's items are in order."""
    for key in set(askers):
        assert (mine := [item for item, asker in zip(order, askers, strict=True) if asker == key]) == sorted(mine)
    for kind in ("server", "user"):
        scopes = {asker.server for asker in askers} if kind == "user" else {""}
        for scope in scopes:
            turns = [getattr(asker, kind) for asker in askers if kind == "server" or asker.server == scope]
            for one in set(turns):
                for other in set(turns) - {one}:
                    last = len(turns) - 1 - turns[::-1].index(one)  # up to there `one` waits
                    ahead = turns[: last + 1].count(other) - turns[: last + 1].count(one)
                    assert ahead <= 1
