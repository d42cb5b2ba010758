"""Decoder processes: quick, and nothing that a file does to one of them costs another file."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crawler.decoders import DecoderPool, examine_files
from crawler.examine import examine
from crawler.facts import Checks, ImageFacts, Refusal
from crawler.isolation import Crashed, IsolatedPool, IsolationError, TookTooLong, map_isolated
from infra.errors import UserError

ROOT = Path(__file__).parents[1]


def picture(number: int, size: int = 48, name: str = "JPEG") -> bytes:
    blocks = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(blocks).resize((size, size), Image.Resampling.BICUBIC).save(buffer, name)
    return buffer.getvalue()


# The function of the pools below is `eval`, so that items say what to do and the processes import nothing for it.
CRASHES = {
    "segfault": "__import__('os').kill(__import__('os').getpid(), 11)",
    "killed": "__import__('os').kill(__import__('os').getpid(), 9)",
    "exit": "__import__('os')._exit(0)",
}
ENDLESS = "any(iter(int, 1))"  # a loop inside C, which never looks at signals


def fail_to_prepare() -> None:
    raise UserError("nothing to prepare with")


def die_in_preparation() -> None:
    os._exit(3)


def test_facts_are_those_of_the_decoder_in_this_process() -> None:
    files = [picture(n, 32 + n, name) for n, name in enumerate(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"] * 5)]

    async def run() -> list[ImageFacts | Refusal]:
        async with DecoderPool(workers=2) as pool:
            assert len(pool.pids) == 2
            return await asyncio.gather(*map(pool.examine, files))

    assert asyncio.run(run()) == [examine(data) for data in files]


def test_refusals_name_the_reason() -> None:
    good = picture(1, 200)
    cases = {
        b"": "not an image",
        b"<!doctype html><html>": "not an image",
        good[: len(good) // 2]: "truncated image",
        picture(1, 63): "image too small",
        good + b"\0" * 100_000: "image too large",
    }
    checks = Checks(min_side=64, max_bytes=100_000)

    async def run() -> list[ImageFacts | Refusal]:
        async with DecoderPool(checks, workers=1) as pool:
            return await asyncio.gather(*map(pool.examine, [good, *cases]))

    fine, *refused = asyncio.run(run())
    assert isinstance(fine, ImageFacts)
    assert [outcome.reason for outcome in refused if isinstance(outcome, Refusal)] == list(cases.values())


def test_large_files_pass_the_pipe() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=0)
    data = buffer.getvalue()

    async def run() -> list[ImageFacts | Refusal]:
        async with DecoderPool(workers=1) as pool:
            return await asyncio.gather(*(pool.examine(data) for _ in range(4)))

    assert len(data) > 5_000_000
    assert asyncio.run(run()) == [examine(data)] * 4


@pytest.mark.parametrize("crash", CRASHES.values(), ids=list(CRASHES))
def test_a_crash_costs_one_item(crash: str) -> None:
    items = [crash if n % 10 == 3 else str(n) for n in range(40)]

    async def run() -> list[int | Crashed[str]]:
        async with IsolatedPool(eval, 2) as pool:
            return await asyncio.gather(*map(pool.call, items))

    assert asyncio.run(run()) == [Crashed(item) if item == crash else int(item) for item in items]


def test_an_endless_loop_ends_after_its_time_and_costs_nobody_else() -> None:
    async def run() -> None:
        async with IsolatedPool(eval, 2, timeout_s=1.0) as pool:
            started = time.monotonic()
            endless = [asyncio.ensure_future(pool.call(ENDLESS)) for _ in range(2)]
            behind = [asyncio.ensure_future(pool.call(str(n))) for n in range(10)]
            assert await asyncio.gather(*endless) == [TookTooLong(ENDLESS)] * 2
            assert 1 <= time.monotonic() - started < 20
            assert await asyncio.gather(*behind) == list(range(10))

    asyncio.run(run())


def test_what_the_pool_says_of_crashes() -> None:
    async def run() -> list[ImageFacts | Refusal]:
        async with DecoderPool(workers=1) as pool:
            (pid,) = pool.pids
            os.kill(pid, signal.SIGSTOP)  # so that it is not done before it is killed
            pending = asyncio.ensure_future(pool.examine(picture(2)))
            await asyncio.sleep(0)  # the call is in the pipe
            os.kill(pid, signal.SIGKILL)
            return [await pending, await pool.examine(picture(3))]

    killed, after = asyncio.run(run())
    assert killed == Refusal("crashed the decoder", "the process that decoded it died", may_pass=True)
    assert after == examine(picture(3))


def test_the_pool_says_what_took_too_long() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=95)

    async def run() -> list[ImageFacts | Refusal]:
        async with DecoderPool(workers=1, timeout_s=0.01) as pool:
            return [await pool.examine(buffer.getvalue())]

    (outcome,) = asyncio.run(run())
    assert isinstance(outcome, Refusal) and outcome.reason == "decoder took too long"


def test_an_idle_process_that_is_killed_is_replaced_and_nothing_lost() -> None:
    async def run() -> None:
        async with IsolatedPool(eval, 2) as pool:
            before = pool.pids
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            while any(map(_is_alive, before)):
                await asyncio.to_thread(time.sleep, 0.01)
            assert await asyncio.gather(*(pool.call(str(n)) for n in range(20))) == list(range(20))
            assert not set(pool.pids) & set(before)

    asyncio.run(run())


def test_memory_is_limited() -> None:
    async def run() -> None:
        async with IsolatedPool(eval, 1, memory_bytes=200 * 2**20) as pool:
            assert await pool.call("len(bytearray(100 << 20))") == 100 << 20
            with pytest.raises(MemoryError):
                await pool.call("len(bytearray(400 << 20))")
            assert await pool.call("len(bytearray(100 << 20))") == 100 << 20

    asyncio.run(run())


def test_too_large_for_the_memory_is_a_refusal() -> None:
    data = picture(1, 4000)

    async def run() -> list[ImageFacts | Refusal]:
        async with DecoderPool(workers=1, memory_bytes=10 * 2**20) as pool:
            return [await pool.examine(data), await pool.examine(picture(2))]

    large, small = asyncio.run(run())
    assert isinstance(large, Refusal) and large.reason == "image too large"
    assert small == examine(picture(2))


def test_an_exception_is_raised_where_it_was_asked_for() -> None:
    async def run() -> None:
        async with IsolatedPool(eval, 1) as pool:
            with pytest.raises(ZeroDivisionError):
                await pool.call("7 / 0")
            assert await pool.call("8") == 8

    asyncio.run(run())


def test_a_cancelled_call_is_dropped() -> None:
    async def run() -> None:
        async with IsolatedPool(eval, 1) as pool:
            calls = [asyncio.ensure_future(pool.call(str(n))) for n in range(20)]
            await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            assert await asyncio.gather(*calls[1::2]) == list(range(1, 20, 2))

    asyncio.run(run())


def test_what_fails_to_start_says_so() -> None:
    async def run() -> None:
        with pytest.raises(UserError, match="nothing to prepare with"):
            async with IsolatedPool(eval, 2, prepare=fail_to_prepare):
                pass
        with pytest.raises(IsolationError, match="ends as soon as it is started"):
            async with IsolatedPool(eval, 2, prepare=die_in_preparation):
                pass
        with pytest.raises(IsolationError, match="is not open"):
            await IsolatedPool(eval, 1).call("1")

    asyncio.run(run())


def test_leaving_ends_the_processes_and_the_calls() -> None:
    async def run() -> tuple[int, ...]:
        async with IsolatedPool(eval, 2) as pool:
            calls = [asyncio.ensure_future(pool.call(ENDLESS)) for _ in range(6)]
            await asyncio.sleep(0)
            pids = pool.pids
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {IsolationError}
        return pids

    started = time.monotonic()
    pids = asyncio.run(run())
    assert time.monotonic() - started < 20
    assert not any(_is_alive(pid) for pid in pids)


def test_files_are_examined_where_they_lie(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.jpg" for n in range(8)]
    for n, path in enumerate(paths[:-1]):
        path.write_bytes(picture(n))
    outcomes = dict(examine_files(paths, workers=2))
    assert outcomes.pop(paths[-1]) == Refusal("missing", "the file is not there")
    assert outcomes == {path: examine(picture(n)) for n, path in enumerate(paths[:-1])}


def test_items_are_taken_as_they_are_needed() -> None:
    taken = 0

    def items() -> Iterator[str]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield str(number)

    with contextlib.closing(map_isolated(eval, items(), workers=1)) as results:
        next(results)
    assert taken < 10


_CRAWL = """
import asyncio, sys
from crawler.decoders import DecoderPool
async def main():
    async with DecoderPool(workers=2) as pool:
        print(*pool.pids, flush=True)
        await asyncio.Event().wait()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_parent(ending: signal.Signals) -> None:
    command = [sys.executable, "-c", _CRAWL]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        if ending == signal.SIGINT:
            os.killpg(process.pid, ending)  # as a terminal does: to the whole group
        else:
            process.kill()
        process.wait(timeout=60)
        said = process.stderr.read()
    deadline = time.monotonic() + 20
    while any(map(_is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(_is_alive, pids))
    assert said == ""


_MODULES = """
import asyncio
from crawler.isolation import IsolatedPool
async def main():
    async with IsolatedPool(eval, 1, preload=("crawler.preload",)) as pool:
        print(*await pool.call("list(__import__('sys').modules)"))
asyncio.run(main())
"""


def test_the_processes_import_only_what_they_need() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MODULES], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    modules = set(done.stdout.split())
    assert {"numpy", "PIL", "crawler.examine"} <= modules
    assert modules.isdisjoint({"pyarrow", "torch", "sqlalchemy", "pydantic", "cv2", "asyncio", "boto3", "c2pa"})


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
