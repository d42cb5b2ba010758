"""Which image lies in which shard: a function of the images alone, so that the same version gives the same shards.

The images of a split are in the order of their sha256, which is as good as a random shuffle and needs no seed. A
shard is a range of that order. Starting from "all of them", a range that would make a shard larger than the limit is
cut in the middle of its numbers (not of its images). So the shards of a split are of like size, mostly between half
the limit and the limit, and an image that leaves changes no other shard than its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crawler.labels import SPLITS

_END = 2**64  # an image's number is the first 16 digits of its sha256


@dataclass(frozen=True)
class Shard:
    """The images of `split` whose sha256 begins with `start` (16 hex digits) or more, up to the next shard's start.

    rows: a range of the order that :func:`lay_out` gives.
    """

    name: str
    split: str
    start: str
    rows: range


def lay_out(
    splits: Sequence[str],
    sha256s: Sequence[str],
    sizes: npt.NDArray[np.int64],
    limit_bytes: int,
    keep: Iterable[tuple[str, str]] = (),
) -> tuple[list[int], list[Shard]]:
    """(the order of the images, the shards).

    sizes: int64 [N], the bytes that each image takes in a shard. keep: (split, start) of the shards of an earlier
    publication; they are cut further where they have grown, never joined: a shard that lost its last image stays,
    empty, so that the names of the others do not move.
    """
    order = sorted(range(len(sha256s)), key=lambda i: (SPLITS.index(splits[i]), sha256s[i]))
    numbers = np.array([int(sha256s[i][:16], 16) for i in order], dtype=np.uint64)
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[order], dtype=np.int64)])
    kept = list(keep)
    shards: list[Shard] = []
    stop = 0
    for split in SPLITS:
        rows = range(stop, stop + sum(name == split for name in splits))
        stop = rows.stop
        starts = sorted({0, *(int(start, 16) for of, start in kept if of == split)})
        if not rows and len(starts) == 1 and (split, f"{0:016x}") not in kept:
            continue
        leaves: list[tuple[int, range]] = []
        for low, high in zip(starts, [*starts[1:], _END], strict=True):
            leaves += _cut(low, high, _between(numbers, rows, low, high), numbers, sums, limit_bytes)
        shards += [Shard(f"{split}-{n:06d}.tar", split, f"{low:016x}", held) for n, (low, held) in enumerate(leaves)]
    return order, shards


def _cut(
    low: int, high: int, rows: range, numbers: npt.NDArray[np.uint64], sums: npt.NDArray[np.int64], limit: int
) -> list[tuple[int, range]]:
    """(start, rows) of the shards that the images with numbers of `low` to below `high` need."""
    if len(rows) < 2 or sums[rows.stop] - sums[rows.start] <= limit or high - low < 2:
        return [(low, rows)]
    middle = (low + high) // 2
    left, right = _between(numbers, rows, low, middle), _between(numbers, rows, middle, high)
    if not right:
        return _cut(low, middle, left, numbers, sums, limit)
    if not left:
        (_, first), *others = _cut(middle, high, right, numbers, sums, limit)
        return [(low, first), *others]
    return _cut(low, middle, left, numbers, sums, limit) + _cut(middle, high, right, numbers, sums, limit)


def _between(numbers: npt.NDArray[np.uint64], rows: range, low: int, high: int) -> range:
    """The part of `rows` whose numbers are `low` to below `high`; the numbers of `rows` are sorted."""
    part = numbers[rows.start : rows.stop]
    first = int(np.searchsorted(part, np.uint64(low)))
    last = len(part) if high == _END else int(np.searchsorted(part, np.uint64(high)))
    return range(rows.start + first, rows.start + last)
