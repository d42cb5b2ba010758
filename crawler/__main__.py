"""The commands of the dataset: python -m crawler run | import | audit | publish | …"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from crawler.commands import audit, demo, import_, publish, run, sample, share, split, stats, takedown
from infra.cli import run_cli

_COMMANDS = (run, import_, audit, split, stats, demo, sample, publish, takedown, share)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see `--help`."""
    parser = argparse.ArgumentParser(
        prog="python -m crawler",
        description="Build a dataset: images with labels ▶ object store + manifest.",
        epilog="example: python -m crawler import ./faces --into file://./data/faces",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    run_cli(main)
