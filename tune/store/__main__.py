"""The commands of the result store: python -m tune.store top | show | compare | export | sweeps | promote."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli import Subparsers, positive_int, run_cli

if TYPE_CHECKING:
    import sqlalchemy as sa


def main(argv: Sequence[str] | None = None) -> int | None:
    """The command line; see `--help`."""
    parser = argparse.ArgumentParser(
        prog="python -m tune.store",
        description="Ask the result store: which trials are best, what one was, how they differ.",
        epilog="example: python -m tune.store top --sweep demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    arguments = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int | None] = arguments.run
    return run(arguments)


def add_command(
    commands: Subparsers, name: str, summary: str, example: str, run: Callable[[argparse.Namespace], int | None]
) -> argparse.ArgumentParser:
    """A subcommand with the option that all have; `run` is called with the parsed arguments."""
    from tune.store.reader import DEFAULT_URL, URL_VARIABLE

    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example: python -m tune.store {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--store", metavar="URL", help=f"default: ${URL_VARIABLE}, else {DEFAULT_URL}")
    parser.set_defaults(run=run)
    return parser


def _add_top(commands: Subparsers) -> None:
    parser = add_command(commands, "top", "rank trials by the best value they reached", "top --sweep demo", _top)
    parser.add_argument("--sweep", metavar="NAME", help="a sweep by its name (the newest of it) or id; default: all")
    parser.add_argument("--metric", metavar="NAME", default="auc", help="default: auc")
    parser.add_argument("--mode", choices=("max", "min"), help="what is better; default: as the metric has it")
    parser.add_argument("--limit", metavar="N", type=positive_int, default=20, help="default: 20")
    _add_formats(parser)


def _top(arguments: argparse.Namespace) -> None:
    from tune.store import query, report

    mode = arguments.mode or query.mode_of(arguments.metric)
    trials = query.top(_open(arguments), arguments.sweep, arguments.metric, mode, arguments.limit)
    if arguments.json:
        report.print_json(report.top_rows(trials))
    elif arguments.csv:
        report.print_csv(report.flat(report.top_rows(trials)))
    else:
        report.print_top(trials, arguments.metric, mode)


def _add_show(commands: Subparsers) -> None:
    parser = add_command(commands, "show", "everything about one trial", "show 1f3a", _show)
    parser.add_argument("trial", metavar="TRIAL", help="its id or the beginning of it")
    _add_formats(parser, csv="its curves: metric, epoch, value")


def _show(arguments: argparse.Namespace) -> None:
    from tune.store import query, report

    record = query.show(_open(arguments), arguments.trial)
    if arguments.json:
        report.print_json(record)
    elif arguments.csv:
        report.print_csv(report.curve_rows(record))
    else:
        report.print_trial(record)


def _add_compare(commands: Subparsers) -> None:
    parser = add_command(
        commands, "compare", "trials side by side: params that differ, metrics", "compare 1f3a 77b", _compare
    )
    parser.add_argument("first", metavar="TRIAL", help="its id or the beginning of it")
    parser.add_argument("others", metavar="TRIAL", nargs="+", help="those to set beside it")
    _add_formats(parser)


def _compare(arguments: argparse.Namespace) -> None:
    from tune.store import query, report

    comparison = query.compare(_open(arguments), [arguments.first, *arguments.others])
    if arguments.json:
        report.print_json(comparison)
    elif arguments.csv:
        report.print_csv(report.comparison_rows(comparison))
    else:
        report.print_comparison(comparison)


def _add_sweeps(commands: Subparsers) -> None:
    parser = add_command(commands, "sweeps", "all sweeps, newest first", "sweeps --json", _sweeps)
    _add_formats(parser)


def _sweeps(arguments: argparse.Namespace) -> None:
    from tune.store import query, report

    found = query.sweeps(_open(arguments))
    if arguments.json:
        report.print_json(found)
    elif arguments.csv:
        report.print_csv(report.flat([report.jsonable(sweep) for sweep in found]))
    else:
        report.print_sweeps(found)


def _add_export(commands: Subparsers) -> None:
    example = "export --sweep demo --format parquet --out demo.parquet"
    parser = add_command(commands, "export", "one row for each trial: params and metrics, as a file", example, _export)
    parser.add_argument("--sweep", metavar="NAME", help="a sweep by its name (the newest of it) or id; default: all")
    parser.add_argument("--format", choices=("parquet", "csv", "json"), help="default: as the file's name ends")
    parser.add_argument("--out", metavar="PATH", type=Path, required=True, help="written whole or not at all")


def _export(arguments: argparse.Namespace) -> None:
    from infra.errors import UserError
    from tune.store import export, query

    file_format = arguments.format or arguments.out.suffix.removeprefix(".").lower()
    if file_format not in export.FORMATS:
        raise UserError(f"{arguments.out}: say which format with --format {' | '.join(export.FORMATS)}")
    rows = query.export(_open(arguments), arguments.sweep)
    export.write_export(rows, arguments.out, file_format)
    print(f"{len(rows):,} trials written to {arguments.out}")


def _add_promote(commands: Subparsers) -> None:
    summary = "make a trial the champion: calibrate it, judge it on the test split, keep its bundle"
    parser = add_command(commands, "promote", summary, "promote 1f3a", _promote)
    parser.add_argument("trial", metavar="TRIAL", help="its id or the beginning of it")


def _promote(arguments: argparse.Namespace) -> None:
    from tune.champion import describe_test, promote_trial
    from tune.store.reader import store_url

    champion = promote_trial(store_url(arguments.store), arguments.trial)
    print(f"champion: {champion.url}")
    for line in describe_test(champion.card):
        print(line)


# Every subcommand. One whose work lies outside this room imports it in its `run`, so that --help stays quick.
COMMANDS: tuple[Callable[[Subparsers], None], ...] = (
    _add_top, _add_show, _add_compare, _add_sweeps, _add_export, _add_promote,
)  # fmt: skip


def _add_formats(parser: argparse.ArgumentParser, csv: str = "comma-separated values") -> None:
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="JSON instead of a table; NaN and infinite are null")
    formats.add_argument("--csv", action="store_true", help=csv)


def _open(arguments: argparse.Namespace) -> sa.Engine:
    from tune.store.reader import open_reader, store_url

    return open_reader(store_url(arguments.store))


if __name__ == "__main__":
    run_cli(main)
