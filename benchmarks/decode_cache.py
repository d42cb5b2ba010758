"""What decoding once saves: an epoch read from the decode cache beside one that decodes every file again.

python benchmarks/decode_cache.py --data file://./data/demo
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from crawler.manifest import read_manifest
from infra.cli import run_cli
from infra.images import decode_image
from infra.storage import open_storage
from model_defs.preprocess import Preprocess
from tune.data import load_split

BATCH = 64


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see `--help`."""
    parser = argparse.ArgumentParser(
        description="Measure an epoch of input pictures with and without the decode cache.",
        epilog="example: python benchmarks/decode_cache.py --data file://./data/faces --image-size 128",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", metavar="URL", default="file://./data/demo", help="default: %(default)s")
    parser.add_argument("--image-size", metavar="N", type=int, default=64, help="default: %(default)s")
    arguments = parser.parse_args(argv)

    import torch

    torch.set_num_threads(1)  # as a trial on one core has it
    manifest = read_manifest(arguments.data)
    preprocess = Preprocess(image_size=arguments.image_size)
    storage, rows = open_storage(manifest.url), manifest.rows("train")

    started = time.perf_counter()
    for row in rows:
        preprocess.to_tensor(preprocess.fit_image(decode_image(storage.get(row.key)).rgb)[None])
    decoding = time.perf_counter() - started

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        load_split(manifest, "train", preprocess, Path(folder))
        filling = time.perf_counter() - started
        started = time.perf_counter()
        split = load_split(manifest, "train", preprocess, Path(folder))
        for begin in range(0, len(split), BATCH):
            preprocess.to_tensor(split.pictures[begin : begin + BATCH])
        cached = time.perf_counter() - started

    print(f"{len(rows)} pictures, {arguments.image_size}×{arguments.image_size}, one process")
    print(f"  decoding every epoch   {decoding:8.3f} s an epoch")
    print(f"  filling the cache      {filling:8.3f} s once")
    print(f"  from the cache         {cached:8.3f} s an epoch, {decoding / cached:.0f}× less")


if __name__ == "__main__":
    run_cli(main)
