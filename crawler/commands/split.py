"""The command `split`: a dataset divided anew."""

from __future__ import annotations

import argparse

from crawler.commands.frame import add_command, print_dataset
from infra.cli import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "split",
        "divide a dataset anew into train, val and test, as a new version",
        "Near-duplicates and one identity stay together. What is `ood` stays so unless --ood is given.",
        "python -m crawler split file://./data/faces --seed 1 --fractions 0.8,0.1,0.1 --ood sd3",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    parser.add_argument(
        "--fractions", metavar="TRAIN,VAL,TEST", type=_fractions, default="0.7,0.15,0.15", help="default %(default)s"
    )  # fmt: skip
    parser.add_argument(
        "--ood", metavar="GENERATOR", nargs="*",
        help="generators kept out of train, val and test, to judge on only; without a name: none",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from crawler.resplit import resplit
    from crawler.split import Fractions

    manifest = resplit(args.url, args.seed, Fractions(*args.fractions), args.ood)
    print_dataset(manifest)
    return 0


def _fractions(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not three numbers such as 0.7,0.15,0.15") from None
    return train, val, test
