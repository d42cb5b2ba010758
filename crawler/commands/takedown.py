"""The command `takedown`: images leave a dataset, and its publications, for good."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.commands.frame import add_command, print_dataset
from infra.cli import Subparsers

if TYPE_CHECKING:
    from crawler.takedown import TakedownPlan

_SHOWN = 20


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "takedown",
        "take images out of a dataset for good",
        "They leave in a new version, their objects are deleted, and their hashes are kept in manifest/takedowns.json\n"
        "so that no later import or crawl brings them back. Derived copies and originals go together. Stopped\n"
        "anywhere, the same command finishes it.",
        "python -m crawler takedown file://./data/faces 3f786850e387 --reason 'asked by the person shown' --near --yes",
    )
    parser.add_argument("url", metavar="URL", help="the dataset")
    parser.add_argument("sha256", metavar="SHA256", nargs="*", help="64 hex digits, or the first 12 of them or more")
    parser.add_argument("--file", metavar="PATH", type=Path, help="more of them, one a line; # begins a comment")
    parser.add_argument("--reason", metavar="TEXT", help="is kept in the list")
    parser.add_argument("--near", action="store_true", help="also every near-duplicate in the same cluster")
    parser.add_argument("--published", metavar="OUT", action="append", default=[], help="also remake this publication")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask; the objects cannot be got back")


def _run(args: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from crawler.commands.publish import print_report
    from crawler.publish import republish
    from crawler.publish.state import read_state
    from crawler.takedown import TakedownError, plan_takedown, take_down
    from infra.storage import open_storage

    names = [*args.sha256, *(_listed_in(args.file) if args.file else [])]
    if not names:
        raise TakedownError("name the images to take down: their sha256, or --file with one a line")
    for out in args.published:
        if read_state(open_storage(out)) is None:
            raise TakedownError(f"{out} holds no publication; name the OUT of an earlier publish")
    plan = plan_takedown(args.url, names, args.near)
    _print_plan(plan)
    if args.dry_run:
        print("nothing was changed (--dry-run)")
        return 0
    if not args.yes:
        _ask()
    report = take_down(args.url, plan, args.reason, datetime.now(UTC))
    print(f"{report.removed} images left, {report.deleted} objects deleted, {report.listed} hashes newly kept out")
    print_dataset(report.manifest)
    for out in args.published:
        print_report(republish(args.url, out))
    return 0


def _listed_in(path: Path) -> list[str]:
    from crawler.takedown import TakedownError

    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise TakedownError(f"{path} cannot be read: {reason}") from None
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def _print_plan(plan: TakedownPlan) -> None:
    print(f"{len(plan.rows)} of {len(plan.manifest)} images leave {plan.manifest.url}")
    for sha256 in plan.rows[:_SHOWN]:
        print(f"    {sha256}")
    if len(plan.rows) > _SHOWN:
        print(f"    … and {len(plan.rows) - _SHOWN} more")
    if plan.unknown:
        print(f"  never seen here, kept out from now on: {', '.join(plan.unknown[:3])}", end="")
        print(f" and {len(plan.unknown) - 3} more" if len(plan.unknown) > 3 else "")
    if plan.near_left:
        print(f"  {len(plan.near_left)} near-duplicates stay; --near takes them too")


def _ask() -> None:
    from crawler.takedown import TakedownError

    if not sys.stdin.isatty():
        raise TakedownError("nobody is there to ask: say --yes, or look first with --dry-run")
    if input("Delete them for good? Type yes: ").strip().lower() not in ("y", "yes"):
        raise TakedownError("nothing was changed")
