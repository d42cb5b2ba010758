"""python -m bot discord: the champion answers on Discord."""

from __future__ import annotations

import argparse
import os

from bot.params import BotParams
from infra.cli import Subparsers
from infra.params import add_params_arguments, load_params


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "discord",
        help="answer on Discord: verdicts with heatmaps, and the quiz",
        description="Answer on Discord until told to stop (Ctrl-C or SIGTERM: what is under way is finished first).\n"
        "The token comes from DISCORD_TOKEN in the environment, or from the file discord.token_file.",
        epilog="examples:\n"
        "  DISCORD_TOKEN=… python -m bot discord\n"
        "  python -m bot discord --params params/bot.yaml --set discord.token_file=/run/secrets/discord",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_params_arguments(parser, default="params/bot.yaml")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Until a signal ends it."""
    params = load_params(args.params, args.sets, BotParams)
    from bot.chat.discord.token import read_token

    token = read_token(params.discord, os.environ)
    from bot.chat.discord.serve import serve

    serve(params, token)
