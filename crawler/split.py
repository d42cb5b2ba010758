"""Which image is for training, choosing, judging: near-duplicates and one identity never cross a split.

Images that share a cluster or an identity, directly or through a chain, form a *component*; a component is assigned
as a whole:

1. An image that must be `ood` (a generator kept for judging only) takes its whole component there.
2. A split that is already decided is kept: by an earlier version of the dataset, else by the folder the image came
   from; where the members of a component disagree the majority wins, on a tie train before val before test. So
   adding images moves an old one only where a newcomer ties together two components of different splits.
3. The others go, in an order drawn from the seed, to the split that is furthest below its share of their label and
   generator, so that a small set is not lopsided.

The outcome depends on nothing but the images, what was decided before and the seed.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from infra.errors import UserError

LEARNING_SPLITS = ("train", "val", "test")
OOD = "ood"

# A component larger than this part of its stratum is placed first, while train still has room for it.
_LARGE = 0.05


@dataclass(frozen=True)
class Fractions:
    """The shares of train, val and test; they add up to 1 and train is not empty."""

    train: float = 0.7
    val: float = 0.15
    test: float = 0.15

    def __post_init__(self) -> None:
        parts = (self.train, self.val, self.test)
        if not all(math.isfinite(part) and part >= 0 for part in parts) or self.train == 0:
            raise UserError("fractions must be 0 or more, and train above 0")
        if abs(sum(parts) - 1) > 1e-6:
            raise UserError(f"fractions must add up to 1, these make {sum(parts):g}")

    def of(self, split: str) -> float:
        return {"train": self.train, "val": self.val, "test": self.test}[split]


@dataclass(frozen=True, slots=True)
class SplitCandidate:
    """What the assignment needs to know of an image.

    decided: its split in the dataset so far. wished: the split that its folder or index gave it. Either may be
    None; both are train, val, test or ood.
    """

    sha256: str
    label: str
    generator: str | None
    cluster: str
    identity: str | None
    decided: str | None = None
    wished: str | None = None


def assign_splits(images: Sequence[SplitCandidate], seed: int = 0, fractions: Fractions | None = None) -> list[str]:
    """A split for each of `images`; see the top of this file for the rules."""
    fractions = fractions or Fractions()
    strata = [(image.label, image.generator) for image in images]
    assigned: list[str | None] = [None] * len(images)
    undecided: list[list[int]] = []
    for component in components(images):
        split = _settled([images[i] for i in component])
        if split is None:
            undecided.append(component)
        for i in component:
            assigned[i] = split
    filled: Counter[tuple[tuple[str, str | None], str]] = Counter()
    totals: Counter[tuple[str, str | None]] = Counter()
    for stratum, split in zip(strata, assigned, strict=True):
        if split != OOD:
            totals[stratum] += 1
        if split is not None:
            filled[stratum, split] += 1
    allowed = [split for split in LEARNING_SPLITS if fractions.of(split) > 0]

    def order(component: list[int]) -> tuple[int, bytes]:
        size = len(component)
        is_large = size > 1 and size > _LARGE * max(totals[strata[i]] for i in component)
        name = min(images[i].sha256 for i in component)
        return (-size if is_large else 0, hashlib.sha256(f"{seed}:{name}".encode()).digest())

    for component in sorted(undecided, key=order):
        content = Counter(strata[i] for i in component)
        room = {
            split: sum(n * (fractions.of(split) * totals[s] - filled[s, split]) for s, n in content.items())
            for split in allowed
        }
        # Rounded: equal room must be a tie, whatever the order of the floating point sums.
        split = max(allowed, key=lambda name: (round(room[name], 6), -allowed.index(name)))
        for stratum, n in content.items():
            filled[stratum, split] += n
        for i in component:
            assigned[i] = split
    return [split for split in assigned if split is not None]


def components(images: Sequence[SplitCandidate]) -> list[list[int]]:
    """The indices of `images` grouped so that no cluster and no identity is in two groups."""
    parents = list(range(len(images)))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    seen: dict[tuple[str, str], int] = {}
    for i, image in enumerate(images):
        for tie in (("cluster", image.cluster), ("identity", image.identity)):
            if tie[1] is None:
                continue
            first = root(seen.setdefault((tie[0], tie[1]), i))
            parents[max(first, root(i))] = min(first, root(i))
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for i in range(len(images)):
        groups[root(i)].append(i)
    return list(groups.values())


def _settled(component: Sequence[SplitCandidate]) -> str | None:
    if any(OOD in (image.decided, image.wished) for image in component):
        return OOD
    for choices in ([image.decided for image in component], [image.wished for image in component]):
        known = Counter(choice for choice in choices if choice is not None)
        if known:
            return max(LEARNING_SPLITS, key=lambda split: (known[split], -LEARNING_SPLITS.index(split)))
    return None
