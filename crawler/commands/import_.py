"""The command `import`: a labelled folder ▶ a dataset."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.commands.frame import add_command, print_dataset
from infra.cli import Subparsers, positive_int

if TYPE_CHECKING:
    from crawler.pipeline import ImportReport

_SHOWN = 10  # refused files and conflicts named on the terminal; the report has them all


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "import",
        "bring a labelled folder into a dataset",
        "FOLDER is one of\n"
        "  FOLDER/{real,fake}/…                    a folder inside fake names the generator, e.g. fake/sd3/\n"
        "  FOLDER/{train,val,test}/{real,fake}/…   the split is kept\n"
        "  FOLDER/index.csv                        path,label[,generator,split,licence,identity,author,url]\n\n"
        "Broken files are reported and skipped. Importing again adds nothing; another folder is added to the first.",
        "python -m crawler import ./faces --into file://./data/faces --licence 'CC BY 4.0'",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--into", metavar="URL", required=True, help="file://./data/NAME or s3://bucket/prefix")
    parser.add_argument("--workers", metavar="N", type=positive_int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--licence", metavar="TEXT", help="of every image that does not name its own")
    parser.add_argument("--source", metavar="NAME", help="what to call this set; default: the folder's name")
    parser.add_argument("--generator", metavar="NAME", help="of every fake that does not name its own")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the split; default 0")


def _run(args: argparse.Namespace) -> int:
    from crawler.pipeline import import_images
    from crawler.sources import FolderDefaults, read_labelled_folder

    source = args.source or args.folder.resolve().name
    images = read_labelled_folder(args.folder, FolderDefaults(source, args.licence, args.generator))
    report = import_images(images, args.into, args.workers, args.seed)
    _print_report(report, args.folder)
    return 0


def _print_report(report: ImportReport, folder: Path) -> None:
    from crawler.pipeline import REPORT_KEY

    print(f"{folder}: {report.listed} files listed, {report.added} images added", end="")
    print(f", {report.already_there} there already" if report.already_there else "", end="")
    print(f", {report.same_file_twice} copies of one of them" if report.same_file_twice else "")
    for reason, count in report.refused_by_reason().most_common():
        print(f"  skipped {count}: {reason}")
    for refused in report.refused[:_SHOWN]:
        print(f"    {refused.name}: {refused.detail}")
    if report.conflicts:
        print(f"  left out, one picture under two labels: {len(report.conflicts)}")
    for conflict in report.conflicts[:_SHOWN]:
        there = f" (in the dataset as {conflict.in_dataset})" if conflict.in_dataset else ""
        print(f"    {', '.join(conflict.names)}{there}")
    if report.moves:
        print(
            f"  warning: {len(report.moves)} images were put into another split than the one they had or were given, "
            "with their near-duplicates or their identity"
        )
    if report.refused or report.conflicts or report.moves:
        print(f"  every one is listed in {REPORT_KEY} of the dataset")
    print_dataset(report.manifest)
