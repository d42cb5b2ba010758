"""The command `stats`: what a dataset holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from crawler.commands.frame import add_command
from infra.cli import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "stats",
        "what a dataset holds, and what would spoil it",
        "With --out also in pictures: DIR/contact-sheet.png and DIR/distributions.png.",
        "python -m crawler stats file://./data/faces --out ./looks",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--out", metavar="DIR", type=Path, help="draw a contact sheet and distributions there")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the contact sheet's sample; default 0")


def _run(args: argparse.Namespace) -> int:
    import json

    from crawler.manifest import read_manifest
    from crawler.stats import dataset_stats, describe, write_pictures

    manifest = read_manifest(args.url)
    pictures = write_pictures(manifest, args.out, args.seed) if args.out else []
    stats = dataset_stats(manifest)
    if args.json:
        extra = {"pictures": [str(path) for path in pictures]} if args.out else {}
        print(json.dumps({**stats, **extra}, ensure_ascii=False))
        return 0
    print(describe(stats))
    for path in pictures:
        print(path)
    return 0
