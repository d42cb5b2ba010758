"""The commands of the dataset: python -m crawler import | split | stats | demo | sample."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from crawler.commands import demo, import_, sample, split, stats
from infra.cli import run_cli

_COMMANDS = (import_, split, stats, demo, sample)


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
