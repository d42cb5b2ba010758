"""The command `stats`: what a dataset holds."""

from __future__ import annotations

import argparse

from crawler.commands.frame import add_command
from infra.cli import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "stats",
        "what a dataset holds, and what would spoil it",
        None,
        "python -m crawler stats file://./data/faces --json",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _run(args: argparse.Namespace) -> int:
    import json

    from crawler.manifest import read_manifest
    from crawler.stats import dataset_stats, describe

    stats = dataset_stats(read_manifest(args.url))
    print(json.dumps(stats, ensure_ascii=False) if args.json else describe(stats))
    return 0
