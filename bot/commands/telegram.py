"""python -m bot telegram: the champion answers on Telegram."""

from __future__ import annotations

import argparse
import os

from bot.params import BotParams
from infra.cli import Subparsers
from infra.params import add_params_arguments, load_params


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "telegram",
        help="answer on Telegram: verdicts with heatmaps, and the quiz",
        description="Answer on Telegram until told to stop (Ctrl-C or SIGTERM: what is under way is finished first).\n"
        "The token comes from TELEGRAM_TOKEN in the environment, or from the file telegram.token_file.",
        epilog="examples:\n"
        "  TELEGRAM_TOKEN=… python -m bot telegram\n"
        "  python -m bot telegram --params params/bot.yaml --set telegram.token_file=/run/secrets/telegram",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_params_arguments(parser, default="params/bot.yaml")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Until a signal ends it."""
    params = load_params(args.params, args.sets, BotParams)
    from bot.chat.telegram.token import read_token

    token = read_token(params.telegram, os.environ)
    from bot.chat.telegram.serve import serve

    serve(params, token)
