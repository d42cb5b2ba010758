"""python -m bot deck: a dataset's faces ▶ a quiz deck with the champion's answers and heatmaps."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from bot.params import BotParams
from infra.cli import Subparsers, positive_int
from infra.params import add_params_arguments, load_params

if TYPE_CHECKING:
    from bot.quiz.deck_building import BuiltDeck

_FEW = 40  # faces below which a player soon meets one again
_SHOWN = 3  # pictures that cannot be read, named at most


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "deck",
        help="a quiz deck: faces with the truth, the champion's answers and heatmaps",
        description="Build the quiz's deck from a dataset: as many real faces as generated ones, every generator,\n"
        "easy and hard for the machine and some on which it is wrong, all in one form that tells nothing. A bot that\n"
        "is running goes on with the deck it has, and takes the new one when that is ready.",
        epilog="examples:\n"
        "  python -m bot deck\n"
        "  python -m bot deck --data s3://bucket/faces --into s3://bucket/deck --faces 500",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", metavar="URL", default="file://./data/demo", help="the dataset; default file://./data/demo"
    )
    parser.add_argument("--into", metavar="URL", help="where the deck goes; default: quiz.deck of the params")
    parser.add_argument("--faces", metavar="N", type=positive_int, default=200, help="faces at most; default 200")
    parser.add_argument("--split", metavar="NAME", default="test", help="of the dataset; default test")
    parser.add_argument(
        "--per-person", metavar="N", type=positive_int, default=1,
        help="pictures of one person at most; default 1, since with more whoever is met again is known to be real",
    )  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="another seed, another choice; default 0")
    parser.add_argument("--bundle", metavar="URL", help="the checkpoint bundle that answers; default: the champion")
    add_params_arguments(parser, default="params/bot.yaml")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Run the command; the exit code. Raises UserError."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as for `check`
    params = load_params(args.params, args.sets, BotParams)
    if args.bundle:
        params = params.model_copy(update={"bundle": args.bundle})
    from datetime import UTC, datetime

    from bot.champion import bundle_url
    from bot.detector import Detector
    from bot.quiz.deck_building import build_deck
    from bot.quiz.deck_choice import Recipe

    recipe = Recipe(faces=args.faces, split=args.split, seed=args.seed, per_person=args.per_person)
    started = time.monotonic()
    detector = Detector(bundle_url(params), threads=params.check.threads)
    built = build_deck(args.data, args.into or params.quiz.deck, detector, recipe, datetime.now(UTC))
    print(report(built, recipe.faces, time.monotonic() - started))
    return 0


def report(built: BuiltDeck, asked_for: int, seconds: float) -> str:
    """What was built, in lines for a terminal; what the operator should know of it comes last."""
    faces = built.kinds.total()
    kinds = ", ".join(f"{kind} ×{count}" for kind, count in sorted(built.kinds.items(), key=lambda k: (-k[1], k[0])))
    form = built.form
    shown = f"{form.side}×{form.side} pixels" + (f", shown {form.factor} times as large" if form.factor > 1 else "")
    lines = [
        f"{built.url}: deck {built.id}, {faces} faces: {kinds}",
        f"{built.model} looked at {built.judged}; here it is wrong on {built.mistakes} and unsure of {built.unsure}",
        f"{shown}{', grey' if form.grey else ''}; {built.bytes / 2**20:.1f} MB in {seconds:.0f} s",
    ]
    lines += [f"left out: {key}: {why}" for key, why in built.refused[:_SHOWN]]
    if len(built.refused) > _SHOWN:
        lines.append(f"left out: {len(built.refused) - _SHOWN} more pictures that cannot be used")
    if built.too_small:
        lines.append(f"left out: {built.too_small} faces smaller than the others")
    if built.missing:
        lines.append(f"note: no room for {', '.join(built.missing)}; ask for more --faces")
    if faces < min(asked_for, _FEW):
        lines.append("note: few faces, as nobody is shown twice; --per-person 5 takes more of each person")
    return "\n".join(lines)
