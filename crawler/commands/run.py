"""The command `run`: a crawl."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from crawler.commands.frame import add_command, print_dataset
from infra.cli import EXIT_INTERRUPTED, EXIT_TERMINATED, Subparsers, positive_int
from infra.params import add_params_arguments

if TYPE_CHECKING:
    from crawler.crawl_report import CrawlReport
    from crawler.params import CrawlParams

RAY = "ray"
_SHOWN = 12  # error classes on the terminal; the report has them all


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "run",
        "crawl: sources on the web and on disk ▶ a dataset",
        "The sources, how politely they are asked and what a good image is stand in the params file. Stopped at any\n"
        "moment, the same command goes on; a crawl that is done fetches nothing.",
        "python -m crawler run --params params/crawl.yaml --set contact=you@example.org",
    )
    add_params_arguments(parser, "params/crawl.yaml")
    parser.add_argument("--retry-failed", action="store_true", help="try again what failed, and nothing else twice")
    parser.add_argument(
        "--finish", action="store_true", help="fetch nothing more: write the manifest from what is there"
    )
    parser.add_argument("--dry-run", action="store_true", help="check the params, say what would be crawled")
    parser.add_argument(
        "--workers", metavar="N|ray", type=_workers, help="decoder processes (default: one a core), or a Ray cluster"
    )


def _workers(text: str) -> int | str:
    return RAY if text == RAY else positive_int(text)


def _run(args: argparse.Namespace) -> int:
    from crawler.params import load_crawl_params

    params = load_crawl_params(args.params, args.sets, to_fetch=not args.finish)
    if not args.finish:
        from crawler.politeness import user_agent

        for line in _plan(params, user_agent(params.contact)):
            print(line, flush=True)
    if args.dry_run:
        return 0
    if not args.finish:
        signum = _fetch(params, args)
        if signum is not None:
            print("stopped; everything is kept. Go on with the same command, or end it here with --finish.", flush=True)
            return EXIT_TERMINATED if signum == signal.SIGTERM else EXIT_INTERRUPTED
        _go_on_in_a_new_program(args)
    from infra.arrow import use_lean_arrow

    use_lean_arrow()
    from crawler.crawl_report import finish

    _print_report(finish(params))
    return 0


def _fetch(params: CrawlParams, args: argparse.Namespace) -> int | None:
    from crawler.decoders import PRELOAD
    from crawler.isolation import start_server_early

    if args.workers != RAY:
        start_server_early(PRELOAD)  # before what takes half a second to import here
    from crawler.crawl import fetch, tune_process

    tune_process()
    return fetch(
        params, retry_failed=args.retry_failed, decoders=args.workers if isinstance(args.workers, int) else None,
        on_ray=args.workers == RAY, say=lambda line: print(line, flush=True),
    )  # fmt: skip


def _go_on_in_a_new_program(args: argparse.Namespace) -> None:
    """Have this process run `--finish` from here on, where it is `python -m crawler`; else it just goes on.

    The web client and Arrow take 50 MB each, and nobody needs both at a time.
    """
    program = sys.modules["__main__"].__spec__
    if program is None or program.name != "crawler.__main__":
        return
    sets = [word for assignment in args.sets for word in ("--set", assignment)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(
        sys.executable, [sys.executable, "-m", "crawler", "run", "--finish", "--params", args.params, *sets]
    )  # fmt: skip


def _plan(params: CrawlParams, agent: str) -> list[str]:
    lines = [f"crawl '{params.name}' into {params.into}, as {agent}"]
    for source in params.parsed_sources:
        generator = f" ({source.generator})" if source.generator else ""
        target = "all there are" if source.target is None else f"{source.target:,} images"
        lines.append(f"  {source.name}: {source.type}, {source.label}{generator}, {target}")
    return lines


def _print_report(report: CrawlReport) -> None:
    content = report.content
    for name, of in content["sources"].items():
        print(f"{name}: {_source_line(of)}")
    for error in content["errors"][:_SHOWN]:
        print(f"  {error['count']:>6} {error['error']}, e.g. {error['example'][:160]}")
    added = f"{content['added']} images added"
    there = f", {content['already_there']} there already" if content["already_there"] else ""
    conflicts = f", {content['conflicts']} left out as one picture under two labels" if content["conflicts"] else ""
    print(f"{added}{there}{conflicts} in {content['seconds']:.0f} s; every number: {report.key} of the dataset")
    if any(of["failed"] for of in content["sources"].values()):
        print("what failed is tried again with --retry-failed")
    print_dataset(report.manifest)


def _source_line(of: dict[str, Any]) -> str:
    words = {
        "stored": "stored", "duplicate": "the same again", "refused": "not used", "aside": "set aside",
        "failed": "failed", "lost": "lost when it was stopped", "pending": "not asked for",
    }  # fmt: skip
    said = [f"{of[name]} {word}" for name, word in words.items() if of[name] or name == "stored"]
    return ", ".join(said) + (f"; {of['ended']}" if of["ended"] else "")
