"""POST /api/v1/check by many at once, beside the detector's own batched rate on the same bytes, in one run.

python benchmarks/api_check.py [--bundle URL] [--seconds S] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from infra.cli import run_cli

if TYPE_CHECKING:
    from bot.chat.app import App

AT_ONCE = 16
TARGET = 0.9  # of the detector's own rate
KILLS_AFTER_S = 2.0
_PATH = "/api/v1/check?heatmaps=none"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=f"Pictures a second over HTTP with {AT_ONCE} asking at once from a second process, beside those\n"
        "of the detector alone with the same threads; latencies; and what is lost when the worker is killed.",
        epilog="example: python benchmarks/api_check.py --bundle file://./runs/champions/demo-1a2b3c4d",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", metavar="URL", help="default: one of 8 conv layers, 128 × 128, random weights")
    parser.add_argument("--seconds", metavar="S", type=float, default=6, help="of each measurement; default 6")
    parser.add_argument("--rounds", metavar="N", type=int, default=3, help="both ways, one after the other; default 3")
    parser.add_argument("--ask", metavar="URL", help=argparse.SUPPRESS)  # this process is the one that asks
    parser.add_argument("--alone", metavar="FILE", help=argparse.SUPPRESS)  # or the detector alone
    args = parser.parse_args(argv)
    if args.ask:
        print(json.dumps(asyncio.run(ask(args.ask, args.seconds))))
    elif args.alone:
        print(json.dumps(alone(args.bundle, Path(args.alone).read_bytes(), args.seconds)))
    else:
        asyncio.run(compare(args.bundle, args.seconds, args.rounds))


async def compare(bundle: str | None, seconds: float, rounds: int) -> None:
    """Print the table."""
    from benchmarks.verdicts import SIDE, photo_bytes, random_bundle
    from bot.chat.app import open_app
    from bot.params import BotParams
    from bot.web.serve import listening, serving

    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        photo.write_bytes(photo_bytes())
        url = bundle or random_bundle(folder)
        params = BotParams.model_validate({
            "bundle": url, "database": f"sqlite:///{folder}/bot.db", "monitor": {"port": None}, "web": {"port": 0},
        })  # fmt: skip
        with listening(params.web) as at:
            async with open_app(params) as app, serving(app, at) as address:
                print(f"{app.desk.card.id}, photo {SIDE}×{SIDE} of {photo.stat().st_size:,} B, {os.cpu_count()} cores, "
                      f"{AT_ONCE} at once, {rounds} rounds of {seconds:g} s")  # fmt: skip
                print(f"{'':34}{'pictures/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'lost':>6}")
                await _rounds(url, photo, address, seconds, rounds)
                await _killed(app, address, seconds)


async def _rounds(bundle: str, photo: Path, address: str, seconds: float, rounds: int) -> None:
    ratios = []
    await _other("--ask", address, "--seconds", "1")  # connections, caches
    for number in range(1, rounds + 1):
        own = await _other("--alone", str(photo), "--bundle", bundle, "--seconds", str(seconds))
        print(f"{f'{number}  the detector alone, in batches':34}{own:12.1f}", flush=True)
        served = await _other("--ask", address, "--seconds", str(seconds))
        print(_row(f"{number}  over HTTP", served), flush=True)
        ratios.append(served["rate"] / own)
    ratio = statistics.median(ratios)
    said = "as" if ratio >= TARGET else "NOT as"
    print(f"over HTTP {ratio:.2f} of the detector's own rate ({', '.join(f'{each:.2f}' for each in ratios)}), {said} "
          f"asked (≥ {TARGET:g})")  # fmt: skip


async def _killed(app: App, address: str, seconds: float) -> None:
    asking = asyncio.ensure_future(_other("--ask", address, "--seconds", str(seconds + KILLS_AFTER_S)))
    await asyncio.sleep(KILLS_AFTER_S)
    (pid,) = app.desk.pids  # type: ignore[attr-defined]  # a DetectorDesk
    os.kill(pid, signal.SIGKILL)
    print(_row("   the worker killed under load", await asking), flush=True)


def _row(name: str, served: dict[str, Any]) -> str:
    p99 = statistics.quantiles(served["ms"], n=100)[-1]
    return f"{name:34}{served['rate']:12.1f}{statistics.median(served['ms']):9.0f}{p99:9.0f}{served['lost']:6}"


async def _other(*arguments: str) -> Any:
    """What this file prints in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, *arguments, stdout=subprocess.PIPE,
        env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},  # as the worker has it
    )  # fmt: skip
    out, _ = await process.communicate()
    return json.loads(out.splitlines()[-1])


async def ask(url: str, seconds: float) -> dict[str, Any]:
    """AT_ONCE keep-alive connections, each with one picture after the other. lost: answers other than 200, and none."""
    import aiohttp

    from benchmarks.verdicts import photo_bytes

    photo, milliseconds, lost = photo_bytes(), list[float](), 0
    headers = {"Content-Type": "image/jpeg"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:
        began = time.perf_counter()

        async def one_by_one() -> None:
            nonlocal lost
            while time.perf_counter() - began < seconds:
                started, status = time.perf_counter(), 0
                with suppress(aiohttp.ClientError):
                    async with session.post(url.rstrip("/") + _PATH, data=photo, headers=headers) as answer:
                        await answer.read()
                        status = answer.status
                milliseconds.append(1000 * (time.perf_counter() - started))
                lost += status != 200

        await asyncio.gather(*(one_by_one() for _ in range(AT_ONCE)))
        taken = time.perf_counter() - began
    return {"rate": (len(milliseconds) - lost) / taken, "ms": milliseconds, "lost": lost}


def alone(bundle: str, photo: bytes, seconds: float) -> float:
    """Pictures a second of `Detector.check_many`, which decodes ahead and judges in batches."""
    from itertools import repeat

    from bot.detector import Detector

    detector = Detector(bundle)
    detector.warm_up()
    verdicts, count = detector.check_many(repeat(photo), previews=False), 0  # as the server does for a verdict alone
    for _ in range(16):  # memory, caches
        next(verdicts)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        next(verdicts)
        count += 1
    rate = count / (time.perf_counter() - began)
    verdicts.close()
    return rate


if __name__ == "__main__":
    run_cli(main)
