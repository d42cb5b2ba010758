"""The command `audit`: can the label be predicted from what is not the picture; and a dataset where it cannot."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.commands.frame import add_command, print_dataset
from infra.cli import Subparsers, positive_int

if TYPE_CHECKING:
    from crawler.audit import Audit, Settings
    from crawler.equalise import EqualiseReport

_DEFAULT_LIMIT, _DEFAULT_SAMPLE = 0.65, 4_000


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        _run,
        "audit",
        "tell whether anything but the picture predicts the label",
        "Format, dimensions, file size, quantisation, encoding, metadata and borders are each asked to predict the\n"
        "label, for every generator. The outcome is kept in the dataset. --equalise writes a copy in which both\n"
        "labels went through one crop, one size and one encoder, and audits that.",
        "python -m crawler audit file://./data/faces --out audit-out",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--version", metavar="N", type=positive_int, help="of the manifest; default: the newest")
    parser.add_argument(
        "--split", metavar="A,B", type=_splits, help="only these of train, val, test, ood; default: all"
    )
    parser.add_argument(
        "--limit", metavar="AUC", type=_limit, default=_DEFAULT_LIMIT,
        help="how well a family may predict the label; default %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--sample", metavar="N", type=positive_int, default=_DEFAULT_SAMPLE,
        help="images at most, half of them real; default %(default)s",
    )  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=_natural, default=0, help="of the sample and the folds; default 0")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write audit.json and audit.png here")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--fail-over", action="store_true", help="exit 1 when the verdict is leaks, for a build server")
    parser.add_argument(
        "--workers", metavar="N", type=positive_int, default=os.cpu_count() or 1, help="default: all cores"
    )
    derived = parser.add_argument_group("the equalised copy")
    derived.add_argument("--equalise", action="store_true", help="write it, and audit it too")
    derived.add_argument("--into", metavar="URL", help="where it goes; default: URL-equalised")
    derived.add_argument(
        "--side", metavar="PX", type=positive_int, default=256, help="default %(default)s; all are made smaller"
    )
    derived.add_argument(
        "--crop", metavar="SHARE", type=float, default=1.0, help="of the middle square kept; default 1.0"
    )
    derived.add_argument(
        "--quality", metavar="Q", type=positive_int, default=90, help="of the JPEG; default %(default)s"
    )
    derived.add_argument("--format", choices=("jpeg", "png"), default="jpeg", help="default %(default)s")


def _run(args: argparse.Namespace) -> int:
    import json

    from crawler.audit import Settings, describe, read_or_run_audit
    from crawler.labels import SPLITS

    settings = Settings(args.split or SPLITS, args.sample, args.seed)
    audit = read_or_run_audit(args.url, args.version, settings, args.workers)
    if not args.equalise:
        print(json.dumps(audit.to_json(args.limit), ensure_ascii=False) if args.json else describe(audit, args.limit))
        _write_out(audit, args.out, args.limit, "audit")
        return int(args.fail_over and audit.verdict(args.limit) == "leaks")
    after, report = _equalised(args, settings)
    if args.json:
        both = {"before": audit.to_json(args.limit), "after": after.to_json(args.limit)}
        print(json.dumps({"into": report.manifest.url, "transform": str(report.transform), **both}, ensure_ascii=False))
    else:
        _print_equalised(report)
        _print_before_after(audit, after, args.limit)
    _write_out(audit, args.out, args.limit, "audit")
    _write_out(after, args.out, args.limit, "audit-equalised")
    return int(args.fail_over and after.verdict(args.limit) == "leaks")


def _equalised(args: argparse.Namespace, settings: Settings) -> tuple[Audit, EqualiseReport]:
    from crawler.audit import read_or_run_audit
    from crawler.equalise import default_target, equalise
    from crawler.transform import Transform

    transform = Transform(args.side, args.crop, args.format, args.quality)
    into = args.into or default_target(args.url)
    report = equalise(args.url, into, transform, args.version, args.workers)
    return read_or_run_audit(into, report.manifest.version, settings, args.workers), report


def _print_equalised(report: EqualiseReport) -> None:
    from crawler.equalise import REPORT_KEY

    found = f", {report.found:,} there already" if report.found else ""
    print(f"{report.original.url} v{report.original.version:04d} ▶ {report.transform}: {report.made:,} made{found}")
    for (reason, label), count in report.left_out_by_reason().most_common():
        print(f"  left out {count:,} {label}: {reason}")
    if report.left_out:
        print(f"    {report.left_out[0].detail}; every one is listed in {REPORT_KEY} of the dataset")
    print_dataset(report.manifest)


def _print_before_after(before: Audit, after: Audit, limit: float) -> None:
    from crawler.audit import advice, one_line

    earlier = {(group.name, probe.family): probe for group in before.groups for probe in group.probes}
    for group in after.groups:
        print(f"\n{group.name}: {group.fakes:,} fakes against {group.reals:,} reals")
        print(f"  {'':23}before{'':14}after")
        for probe in group.probes:
            was = earlier.get((group.name, probe.family))
            figures = [f"{p.auc:.2f} [{p.low:.2f} {p.high:.2f}]" if p else "-" for p in (was, probe)]
            print(f"  {probe.family:23}{figures[0]:20}{figures[1]}")
    print(f"\nverdict: {before.verdict(limit)} before, {after.verdict(limit)} after")
    if after.verdict(limit) != "clean":
        print("\n".join([f"what is left: {one_line(after, limit)}", *advice(after, limit)]))
    print(
        "What the first encoder and size left inside the pictures (the grid of an earlier JPEG, softness) is not taken "
        "away by this; docs/audit.md says more."
    )


def _write_out(audit: Audit, folder: Path | None, limit: float, name: str) -> None:
    if folder is None:
        return
    import json

    from crawler.audit.plot import plot_audit
    from infra.errors import UserError

    files = {
        f"{name}.json": (json.dumps(audit.to_json(limit), indent=1, ensure_ascii=False) + "\n").encode(),
        f"{name}.png": plot_audit(audit, limit),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in files.items():
            unfinished = folder / f".{file}.{os.getpid()}"
            unfinished.write_bytes(data)
            unfinished.replace(folder / file)
            print(folder / file, file=sys.stderr)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None


def _splits(text: str) -> tuple[str, ...]:
    from crawler.labels import SPLITS

    chosen = {part.strip() for part in text.split(",")}
    unknown = chosen - set(SPLITS)
    if unknown:
        raise argparse.ArgumentTypeError(f"'{min(unknown)}' is not one of {', '.join(SPLITS)}")
    return tuple(split for split in SPLITS if split in chosen)


def _limit(text: str) -> float:
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0.5 <= limit <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not an AUC from 0.5 to 1")
    return limit


def _natural(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0")
    return int(text)
