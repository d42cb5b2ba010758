"""python -m bot key NAME: a new API key, shown once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bot.params import BotParams
from infra.cli import Subparsers
from infra.params import add_params_arguments, load_params


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "key",
        help="a new API key for a program that asks over HTTP",
        description="Make an API key, and write its hash into the file web.keys_file, which a server that runs reads\n"
        "by itself. The key is shown once and kept nowhere; to withdraw it, delete its line from the file.",
        epilog="examples:\n"
        "  python -m bot key alice --set web.keys_file=keys.txt\n"
        '  curl -H "Authorization: Bearer KEY" -F image=@photo.jpg https://faces.example.org/api/v1/check',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="whose it is: letters, digits and . _ @ -")
    add_params_arguments(parser, default="params/bot.yaml")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Print the key and nothing else on standard output. Raises UserError."""
    params = load_params(args.params, args.sets, BotParams)
    from bot.web.keys import KeysError, add_key

    if params.web.keys_file is None:
        raise KeysError("web.keys_file names no file to put the key in; for example --set web.keys_file=keys.txt")
    path = Path(params.web.keys_file).expanduser()
    print(add_key(path, args.name))
    print(f"the key of {args.name}, shown this once; its hash is in {path}", file=sys.stderr)
    return 0
