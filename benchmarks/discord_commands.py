"""Sixty commands at once to the real bot, over real sockets: how soon acknowledged, and in which order answered.

python benchmarks/discord_commands.py [--bundle URL] [--commands N] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from infra.cli import run_cli

ROOT = Path(__file__).resolve().parent.parent
PROMISED_MS = 300  # Discord itself waits for 3 s


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="The bot as people run it, a stand-in for Discord on the same cores, and a burst of /check.",
        epilog="example: python benchmarks/discord_commands.py --bundle file://./runs/champions/demo-1a2b3c4d",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", metavar="URL", default="auto", help="default: the champion")
    parser.add_argument("--commands", metavar="N", type=int, default=60, help="at once; default 60")
    parser.add_argument("--rounds", metavar="N", type=int, default=3, help="default 3")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(args.bundle, args.commands, args.rounds, Path(folder)))


async def measure(bundle: str, commands: int, rounds: int, folder: Path) -> None:
    """Print a line a round."""
    from benchmarks.verdicts import photo_bytes, rss_mb
    from tests.discord_server import plain

    async with plain() as served:
        server = served.server
        sets = (
            f"bundle={bundle}", f"database=sqlite:///{folder}/bot.db", "monitor.port=0", "network.allow=[127.0.0.1]",
            f"discord.api_url={served.api_url}", f"discord.gateway_url={served.gateway_url}",
        )  # fmt: skip
        bot = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "discord", *(word for one in sets for word in ("--set", one)),
            cwd=ROOT, env={**os.environ, "DISCORD_TOKEN": server.token}, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await server.next("ready", timeout=120)
            await server.next("commands", timeout=60)
            people = [server.add_person(f"person{number}") for number in range(commands)]
            guild = server.add_guild("crowd", *people)
            await server.join(guild)
            photo = photo_bytes()
            for number in range(1, rounds + 1):
                began, seen = time.perf_counter(), len(server.entries("request"))
                asked = [await person.slash("check", guild["general"], image=("photo.jpg", photo)) for person in people]
                for one in asked:
                    await one.response(lambda message: bool(message.files), timeout=300)
                took = time.perf_counter() - began
                place = {one.token: n for n, one in enumerate(asked)}
                calls = [entry.call for entry in server.entries("request")[seen:]]
                order = [place[call.path.split("/")[3]] for call in calls if call.method == "PATCH" and call.files]
                late = sum(later < sooner for sooner, later in itertools.pairwise(order))
                acknowledged = sorted(1000 * one.acked_after_s for one in asked)
                print(
                    f"round {number}: {commands} commands acknowledged after {acknowledged[commands // 2]:.0f} ms "
                    f"(median), {acknowledged[-1]:.0f} ms (last; promised {PROMISED_MS}); answered in {took:.1f} s, "
                    f"{commands / took:.1f} a second, {late} out of order; bot {rss_mb(bot.pid):.0f} MB",
                    flush=True,
                )
        finally:
            bot.send_signal(signal.SIGTERM)
            await bot.wait()


if __name__ == "__main__":
    run_cli(main)
