"""The command `sample`: one image copied out of a dataset."""

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
        "sample",
        "copy one image out of a dataset",
        None,
        "python -m crawler sample file://./data/demo --split test --label fake --out fake.jpg",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--split", default="test", choices=("train", "val", "test", "ood"), help="default test")
    parser.add_argument("--label", default="fake", choices=("real", "fake"), help="default fake")
    parser.add_argument("--number", metavar="N", type=int, default=0, help="which of them, from 0; default 0")
    parser.add_argument("--out", metavar="PATH", type=Path, required=True)


def _run(args: argparse.Namespace) -> int:
    from crawler.sample import write_sample

    print(write_sample(args.url, args.split, args.label, args.number, args.out))
    return 0
