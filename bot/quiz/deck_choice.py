"""Which faces of a dataset go into a deck: balanced, every generator, easy and hard, nobody twice, by a seed."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.verdict import Label, Side
from crawler.manifest import Manifest, ManifestRow

REAL = "real"
UNKNOWN = "unknown generator"
MISTAKES = 0.2  # of the faces of a kind on which the machine is wrong, where there are so many: people learn from them
POOL = 4  # faces the machine looks at for one that is chosen, so that there are hard ones to choose from


@dataclass(frozen=True)
class Recipe:
    """What deck is wanted. faces: at most, half of them real. per_person: pictures of one identity at most; with more
    than one a person who is met again is known to be real.
    """

    faces: int = 200
    split: str = "test"
    seed: int = 0
    per_person: int = 1


@dataclass(frozen=True)
class Judged:
    """A face that the machine has looked at, as it is shown. picture: the JPEG."""

    row: ManifestRow
    picture: bytes
    p_fake: float
    verdict: Label

    @property
    def difficulty(self) -> float:
        """How wrong the machine is: the distance of its probability from the truth, in [0, 1]."""
        return abs(self.p_fake - (truth_of(self.row) == "fake"))

    @property
    def is_mistake(self) -> bool:
        """The verdict is the other side; `unsure` is no mistake."""
        return self.verdict not in ("unsure", truth_of(self.row))


def truth_of(row: ManifestRow) -> Side:
    """real or fake."""
    return "fake" if row.label == "fake" else "real"


def kind_of(row: ManifestRow) -> str:
    """ "real", or the generator."""
    return REAL if row.label == "real" else row.generator or UNKNOWN


def face_ids(manifest: Manifest, recipe: Recipe) -> dict[str, str]:
    """sha256 ▶ the face's id in a deck; the same for the same dataset, split and seed whatever machine answers.

    Drawn, not computed from the picture: who has the picture and not the whole dataset cannot tell its id.
    """
    rng = random.Random(f"{recipe.seed} {recipe.split} {manifest.hash}")
    return {row.sha256: f"{rng.getrandbits(64):016x}" for row in manifest.rows(recipe.split)}


def candidates(rows: Sequence[ManifestRow], recipe: Recipe) -> list[ManifestRow]:
    """One picture of a cluster of near-duplicates and at most `per_person` of a person, in an order of the seed's."""
    clusters: set[str] = set()
    people: Counter[str] = Counter()
    kept = []
    for row in sorted(rows, key=lambda row: hashlib.sha256(f"{recipe.seed}:{row.sha256}".encode()).digest()):
        if row.cluster in clusters or (row.identity is not None and people[row.identity] >= recipe.per_person):
            continue
        clusters.add(row.cluster)
        if row.identity is not None:
            people[row.identity] += 1
        kept.append(row)
    return kept


def pool(rows: Sequence[ManifestRow], recipe: Recipe) -> list[ManifestRow]:
    """Those of the candidates that the machine looks at: as many of each label, the fakes evenly by generator."""
    by_kind: defaultdict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        by_kind[kind_of(row)].append(row)
    wanted = _per_kind({kind: len(group) for kind, group in by_kind.items()}, POOL * (recipe.faces // 2))
    return [row for kind in sorted(by_kind) for row in by_kind[kind][: wanted[kind]]]


def choose(judged: Sequence[Judged], recipe: Recipe) -> list[Judged]:
    """The faces of the deck, shuffled by the seed; as many real as fake, so fewer than asked for where one is short."""
    by_kind: defaultdict[str, list[Judged]] = defaultdict(list)
    for face in judged:
        by_kind[kind_of(face.row)].append(face)
    reals = len(by_kind[REAL])
    each = min(recipe.faces // 2, reals, len(judged) - reals)
    wanted = _per_kind({kind: len(group) for kind, group in by_kind.items()}, each)
    chosen = [face for kind in sorted(by_kind) for face in _easy_and_hard(by_kind[kind], wanted[kind])]
    random.Random(f"{recipe.seed} order").shuffle(chosen)
    return chosen


def _per_kind(there: Mapping[str, int], each: int) -> dict[str, int]:
    """How many of each kind make `each` reals and `each` fakes, or all where there are fewer; generators evenly."""
    wanted = {REAL: min(each, there.get(REAL, 0))}
    generators = sorted((kind for kind in there if kind != REAL), key=lambda kind: (there[kind], kind))
    left = each
    for n, kind in enumerate(generators):
        # The smallest first: what it leaves of its share is for the others.
        wanted[kind] = min(there[kind], left // (len(generators) - n))
        left -= wanted[kind]
    return wanted


def _easy_and_hard(faces: Sequence[Judged], count: int) -> list[Judged]:
    """`count` faces of one kind, evenly from the machine's easiest to its hardest; of its mistakes MISTAKES of them,
    or more where it makes more."""
    ranked = sorted(faces, key=lambda face: (face.difficulty, face.row.sha256))
    wrong, right = [f for f in ranked if f.is_mistake], [f for f in ranked if not f.is_mistake]
    share = max(MISTAKES, len(wrong) / len(faces)) if faces else 0.0
    mistakes = min(len(wrong), round(share * count))
    mistakes = max(mistakes, count - len(right))
    return _evenly(wrong, mistakes) + _evenly(right, count - mistakes)


def _evenly(ranked: Sequence[Judged], count: int) -> list[Judged]:
    return [ranked[int((n + 0.5) * len(ranked) / count)] for n in range(count)]
