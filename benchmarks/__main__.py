"""Every benchmark, one after the other: python -m benchmarks. Each prints ratios of things measured in one run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infra.cli import run_cli

FOLDER = Path(__file__).resolve().parent


def main(argv: object = None) -> int:
    """Run them in processes of their own, so that none finds another's caches warm. Exit 1 when one failed."""
    failed = []
    for path in sorted(FOLDER.glob("[a-z]*.py")):
        print(f"\n== {path.name}", flush=True)
        if subprocess.run([sys.executable, str(path)], check=False).returncode != 0:
            failed.append(path.name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    run_cli(main)
