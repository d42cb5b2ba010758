"""What every command of the dataset shares: how it is declared, how a dataset is named in a line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.cli import Subparsers

if TYPE_CHECKING:
    from crawler.manifest import Manifest


def add_command(
    commands: Subparsers,
    run: Callable[[argparse.Namespace], int],
    name: str,
    help_: str,
    more: str | None,
    example: str,
) -> argparse.ArgumentParser:
    """Declare a command. run: gets the parsed arguments, returns the exit code. more: said after the first sentence."""
    parser = commands.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}." + (f"\n\n{more}" if more else ""),
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def print_dataset(manifest: Manifest) -> None:
    """One line: where the dataset is, its version and hash, the sizes of its splits."""
    from crawler.stats import one_line

    print(f"{manifest.url} v{manifest.version:04d} {manifest.hash[:16]}: {one_line(manifest)}")
