"""python -m bot check: is this photo real?"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time

from bot.params import BotParams
from infra.cli import EXIT_FAILED, Subparsers
from infra.params import add_params_arguments, load_params


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "check",
        help="is this photo real? a verdict and a heatmap panel for each",
        description="Is this photo real? A verdict for each picture, and a PNG panel with a heatmap for every conv\n"
        "layer. A picture that cannot be read is one line, the others are still answered, and the exit code is 1.",
        epilog="examples:\n"
        "  python -m bot check photo.jpg\n"
        "  python -m bot check holiday/ portrait.png --json --no-heatmaps\n"
        "  curl -s URL | python -m bot check - --bundle file://./runs/champions/demo-1a2b3c4d",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "images", metavar="IMAGE|FOLDER", nargs="+",
        help="picture files; folders with all images below them, by name; - reads one picture from standard input",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object a line, in the order given")
    parser.add_argument("--out", metavar="DIR", help="where panels go; default: check.out of the params, checks")
    parser.add_argument("--bundle", metavar="URL", help="the checkpoint bundle that answers; default: the champion")
    parser.add_argument("--no-heatmaps", action="store_true", help="verdicts only: no panels, several times as fast")
    parser.add_argument("--all-layers", action="store_true", help="panels with every layer, however many there are")
    add_params_arguments(parser, default="params/bot.yaml")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    # Read when torch is imported. OpenMP's threads otherwise spin while they wait for each other: measured with two
    # other busy processes on two cores, a picture's heatmaps took 890 ms instead of 30; alone it costs a tenth.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    params = load_params(args.params, args.sets, BotParams)
    if args.bundle:
        params = params.model_copy(update={"bundle": args.bundle})
    from bot.champion import bundle_url
    from bot.check import as_json, as_text, check, report, summary
    from bot.detector import Detector
    from bot.sources import find_sources

    url = bundle_url(params)
    sources = find_sources(args.images)
    # Names come from people and may be anything; a terminal's encoding is not a reason to stop.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    detector = Detector(url, threads=params.check.threads, max_bytes=int(params.check.max_mb * 2**20))
    out = None if args.no_heatmaps else args.out or params.check.out
    if out is not None:
        detector.warm_up()
    started = time.monotonic()
    counts = report(check(detector, sources, out, args.all_layers), as_json if args.json else as_text)
    if not args.json and counts.total() > 1:
        print(summary(counts, time.monotonic() - started))
    return EXIT_FAILED if counts["refused"] else 0
