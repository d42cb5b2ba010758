"""python -m bot claims: the pictures about which people said "that's wrong", for review."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from bot.params import BotParams
from infra.cli import Subparsers, positive_int
from infra.params import add_params_arguments, load_params

if TYPE_CHECKING:
    from bot.records import ClaimedPicture


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "claims",
        help='what people said of verdicts: "that\'s wrong"',
        description="The pictures about which people said that the verdict is wrong, the newest claims first.\n"
        "Pictures are never kept: each is its sha256, the name under which a dataset of yours has it.",
        epilog="examples:\n  python -m bot claims\n  python -m bot claims --json --limit 1000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--limit", metavar="N", type=positive_int, default=50, help="pictures at most; default 50")
    add_params_arguments(parser, default="params/bot.yaml")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    params = load_params(args.params, args.sets, BotParams)
    from bot.records import Records

    with Records(params.database, keep_days=params.keep_days) as records:
        found = records.claims(args.limit)
    if args.json:
        for picture in found:
            print(json.dumps({**asdict(picture), "at": picture.at.isoformat(timespec="seconds")}))
        return 0
    if not found:
        print("nobody has said that a verdict is wrong")
    for picture in found:
        print(_line(picture))
    return 0


def _line(picture: ClaimedPicture) -> str:
    said = ", ".join(
        f"{count} × {label}" for label, count in (("real", picture.said_real), ("fake", picture.said_fake)) if count
    )
    verdict = f"{picture.model}: {picture.verdict} (p {picture.p_fake:.3f})"
    return f"{picture.at:%Y-%m-%d %H:%M} UTC  {picture.sha256}  {verdict}; people: {said}"
