"""Run a sweep: `python tune/run.py --params params/sweep.yaml`. The same command goes on where it stopped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # The project's root instead of tune/, whose files would pass for top-level modules.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from infra.cli import run_cli
from infra.params import add_params_arguments

if TYPE_CHECKING:
    from crawler.manifest import Manifest
    from tune.plan import Plan


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see `--help`."""
    arguments = _parser().parse_args(argv)

    from tune import folder
    from tune.params import load_sweep_params
    from tune.plan import make_plan

    params = load_sweep_params(arguments.params, arguments.sets)
    plan = make_plan(params, arguments.params)
    for line in plan.describe():
        print(line, flush=True)
    if arguments.dry_run:
        for line in plan.first_trials():
            print(line)
        return 0

    from tune import sweep

    manifest = sweep.open_dataset(plan)
    with folder.only_one_process(params):
        return _start_or_go_on(plan, manifest, arguments)


def _start_or_go_on(plan: Plan, manifest: Manifest, arguments: argparse.Namespace) -> int:
    from tune import folder, sweep

    params = plan.params
    record = None if arguments.fresh else folder.read_record(params)
    if record is None:
        sweep.check_audit(plan, manifest)
        record = folder.new_record(params, manifest.hash)
    else:
        folder.check_unchanged(params, record, manifest.hash, arguments.params)
        if record.status == "finished" and not arguments.retry_failed:
            return sweep.say_finished(plan, record)
        print(f"going on with the run of {record.run}", flush=True)
    return sweep.run(plan, manifest, record, retry_failed=arguments.retry_failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python tune/run.py",
        description="Train many networks, keep every result, promote the best. The same command goes on after a stop.",
        epilog="examples:\n"
        "  python tune/run.py --params params/demo.yaml\n"
        "  python tune/run.py --params params/sweep.yaml --set data.manifest=file://./data/faces --dry-run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_params_arguments(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="check params and networks, count the trials, start none"
    )
    parser.add_argument("--fresh", action="store_true", help="start anew beside what is there; nothing is deleted")
    parser.add_argument("--retry-failed", action="store_true", help="try the failed trials of this sweep again")
    return parser


if __name__ == "__main__":
    run_cli(main)
