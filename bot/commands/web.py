"""python -m bot web: the champion answers in a browser, and to programs."""

from __future__ import annotations

import argparse

from bot.params import BotParams
from infra.cli import Subparsers
from infra.params import add_params_arguments, load_params


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "web",
        help="answer in a browser, and to programs over HTTP",
        description="Serve a page and an HTTP API until told to stop (Ctrl-C or SIGTERM: what is under way is\n"
        "finished first). Only this machine reaches it unless web.host says otherwise.",
        epilog="examples:\n"
        "  python -m bot web\n"
        "  python -m bot web --params params/bot.yaml --set web.port=8080\n"
        "  curl -F image=@photo.jpg http://127.0.0.1:8000/api/v1/check",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_params_arguments(parser, default="params/bot.yaml")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Until a signal ends it."""
    params = load_params(args.params, args.sets, BotParams)
    from bot.web.serve import serve

    serve(params)
