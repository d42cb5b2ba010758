"""Prints how many images of the manifest of the dataset at a URL are in its store."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from crawler.manifest import read_manifest  # noqa: E402
from infra.storage import open_storage  # noqa: E402

if __name__ == "__main__":
    objects = set(open_storage(sys.argv[1]).list("images/"))
    print(sum(row.key in objects for row in read_manifest(sys.argv[1]).rows()))
