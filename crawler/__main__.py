"""The commands of the dataset: python -m crawler import | split | stats | demo | sample."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli import Subparsers, positive_int, run_cli

if TYPE_CHECKING:
    from crawler.manifest import Manifest
    from crawler.pipeline import ImportReport

DEMO_URL = "file://./data/demo"
_SHOWN = 10  # refused files and conflicts named on the terminal; the report has them all


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m crawler",
        description="Build a dataset: images with labels ▶ object store + manifest.",
        epilog="example: python -m crawler import ./faces --into file://./data/faces",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_import(commands)
    _add_split(commands)
    _add_stats(commands)
    _add_demo(commands)
    _add_sample(commands)
    args = parser.parse_args(argv)
    run = {"import": _import, "split": _split, "stats": _stats, "demo": _demo, "sample": _sample}
    return run[args.command](args)


def _add_import(commands: Subparsers) -> None:
    parser = _command(
        commands,
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


def _add_split(commands: Subparsers) -> None:
    parser = _command(
        commands,
        "split",
        "divide a dataset anew into train, val and test, as a new version",
        "Near-duplicates and one identity stay together. What is `ood` stays so unless --ood is given.",
        "python -m crawler split file://./data/faces --seed 1 --fractions 0.8,0.1,0.1 --ood sd3",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    parser.add_argument(
        "--fractions", metavar="TRAIN,VAL,TEST", type=_fractions, default="0.7,0.15,0.15", help="default %(default)s"
    )  # fmt: skip
    parser.add_argument(
        "--ood", metavar="GENERATOR", nargs="*",
        help="generators kept out of train, val and test, to judge on only; without a name: none",
    )  # fmt: skip


def _add_stats(commands: Subparsers) -> None:
    parser = _command(
        commands,
        "stats",
        "what a dataset holds, and what would spoil it",
        None,
        "python -m crawler stats file://./data/faces --json",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _add_demo(commands: Subparsers) -> None:
    parser = _command(
        commands,
        "demo",
        "make the demo faces: 400 portraits and 400 drawn by a small GAN",
        "A set to try the plumbing with: what a network learns on it tells nothing about today's generators.",
        "python -m crawler demo --into file://./data/demo",
    )
    parser.add_argument("--into", metavar="URL", default=DEMO_URL, help="default %(default)s")
    parser.add_argument("--archives", metavar="FOLDER", type=Path, help="where the two packages lie already")
    parser.add_argument("--samples", metavar="FOLDER", type=Path, help="also write real.jpg and fake.jpg of test here")


def _add_sample(commands: Subparsers) -> None:
    parser = _command(
        commands,
        "sample",
        "copy one image out of a dataset",
        None,
        "python -m crawler sample file://./data/demo --split test --label fake --out fake.jpg",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--split", default="test", choices=("train", "val", "test", "ood"), help="default test")
    parser.add_argument("--label", default="fake", choices=("real", "fake"), help="default fake")
    parser.add_argument("--number", metavar="N", type=int, default=0, help="which of them, from 0; default 0")
    parser.add_argument("--out", metavar="PATH", type=Path, required=True)


def _command(commands: Subparsers, name: str, help_: str, more: str | None, example: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}." + (f"\n\n{more}" if more else ""),
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _fractions(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not three numbers such as 0.7,0.15,0.15") from None
    return train, val, test


def _import(args: argparse.Namespace) -> int:
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
    _print_dataset(report.manifest)


def _print_dataset(manifest: Manifest) -> None:
    from crawler.stats import one_line

    print(f"{manifest.url} v{manifest.version:04d} {manifest.hash[:16]}: {one_line(manifest)}")


def _split(args: argparse.Namespace) -> int:
    from crawler.resplit import resplit
    from crawler.split import Fractions

    manifest = resplit(args.url, args.seed, Fractions(*args.fractions), args.ood)
    _print_dataset(manifest)
    return 0


def _stats(args: argparse.Namespace) -> int:
    import json

    from crawler.manifest import read_manifest
    from crawler.stats import dataset_stats, describe

    stats = dataset_stats(read_manifest(args.url))
    print(json.dumps(stats, ensure_ascii=False) if args.json else describe(stats))
    return 0


def _demo(args: argparse.Namespace) -> int:
    from crawler.demo import make_demo_faces
    from crawler.sample import write_sample

    faces = make_demo_faces(args.into, args.archives)
    print("demo faces " + ("made" if faces.made else "are there already") + ": a set to try the plumbing with")
    _print_dataset(faces.manifest)
    if args.samples is not None:
        for label in ("real", "fake"):
            print(write_sample(args.into, "test", label, 0, args.samples / f"{label}.jpg"))
    return 0


def _sample(args: argparse.Namespace) -> int:
    from crawler.sample import write_sample

    print(write_sample(args.url, args.split, args.label, args.number, args.out))
    return 0


if __name__ == "__main__":
    run_cli(main)
