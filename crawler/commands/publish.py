"""The command `publish`: a dataset ▶ shards, table, datasheet and checksums that anybody can use."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from crawler.commands.frame import add_command
from infra.cli import Subparsers, positive_int

if TYPE_CHECKING:
    from crawler.publish import PublishReport

_SHOWN = 12  # shards named on the terminal; shards.json has them all


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "publish",
        "make a dataset ready for others: tar shards, table, datasheet, checksums",
        "OUT is a folder or a storage URL. Stopped anywhere, the same command goes on; where everything is there, it\n"
        "says so. The same version gives the same bytes. Images that were taken down are left out.",
        "python -m crawler publish file://./data/faces ./faces-v1 --title 'Faces' --contact faces@example.org",
    )
    parser.add_argument("url", metavar="URL", help="the dataset")
    parser.add_argument("out", metavar="OUT", help="an empty folder, s3://bucket/prefix, or an earlier publication")
    parser.add_argument("--version", metavar="N", type=positive_int, help="of the dataset; default: the newest")
    parser.add_argument(
        "--shard-mb", metavar="MB", type=positive_int, help="at most so large, in 10^6 bytes; default 256"
    )
    parser.add_argument("--title", metavar="TEXT", help="default: the last part of URL")
    parser.add_argument("--contact", metavar="TEXT", help="whom to write to for a takedown: an address, a page")
    parser.add_argument("--allow-unlicensed", action="store_true", help="also images whose licence nobody knows")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _run(args: argparse.Namespace) -> int:
    import json

    from crawler.publish import PublishOptions, publish

    options = PublishOptions(args.version, args.title, args.contact, args.shard_mb, args.allow_unlicensed)
    report = publish(args.url, args.out, options, args.dry_run)
    if args.json:
        print(json.dumps(_as_json(report, args.dry_run), ensure_ascii=False))
    else:
        print_report(report, args.dry_run)
    return 0


def print_report(report: PublishReport, dry_run: bool = False) -> None:
    """What was written and what was there already, for a person."""
    manifest = report.manifest
    what = (
        f"{report.out}: v{manifest.version:04d} {manifest.hash[:16]}, {report.images} images in "
        f"{len(report.written) + len(report.kept)} shards, {report.bytes / 1e6:.1f} MB"
    )
    if report.nothing_to_do and not dry_run:
        print(f"nothing to do: {what}")
        return
    verb = "would be written" if dry_run else "written"
    print(what)
    print(f"  {len(report.written)} shards {verb}, {len(report.kept)} there already", end="")
    print(f", {len(report.removed)} removed" if report.removed else "")
    for name in report.written[:_SHOWN]:
        print(f"    {name}")
    if len(report.written) > _SHOWN:
        print(f"    … and {len(report.written) - _SHOWN} more")
    if report.taken_down:
        print(f"  left out, taken down since: {report.taken_down}")
    for warning in report.warnings:
        print(f"  warning: {warning}")


def _as_json(report: PublishReport, dry_run: bool) -> dict[str, object]:
    return {
        "out": report.out,
        "version": report.manifest.version,
        "hash": report.manifest.hash,
        "dry_run": dry_run,
        "nothing_to_do": report.nothing_to_do and not dry_run,
        "images": report.images,
        "bytes": report.bytes,
        "written": report.written,
        "kept": report.kept,
        "removed": report.removed,
        "documents": report.documents,
        "taken_down": report.taken_down,
        "warnings": report.warnings,
    }
