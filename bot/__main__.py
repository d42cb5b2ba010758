"""python -m bot: check a photo, build a quiz deck, answer on Discord, on Telegram and in a browser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from bot.commands import check, claims, deck, discord, key, telegram, web
from infra.cli import run_cli

_COMMANDS = (check, deck, discord, telegram, web, key, claims)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bot",
        description="Champion ▶ verdict and heatmaps for people.",
        epilog="example: python -m bot check photo.jpg",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    args = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    return run(args)


if __name__ == "__main__":
    run_cli(main)
