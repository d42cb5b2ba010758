"""Splits: components stay together, old images stay where they are, small sets are not lopsided."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.split import OOD, Fractions, SplitCandidate, assign_splits
from infra.errors import UserError


def _image(number: int, **changes: str | None) -> SplitCandidate:
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    facts = {"label": "real", "generator": None, "cluster": sha256[:16], "identity": None} | changes
    return SplitCandidate(sha256=sha256, **facts)


_small = st.integers(0, 12).map(str)


@st.composite
def _images(draw: st.DrawFn, settled: bool = False) -> list[SplitCandidate]:
    splits = st.none() | st.sampled_from(["train", "val", "test", OOD]) if settled else st.none()
    return [
        _image(
            number,
            label=draw(st.sampled_from(["real", "fake"])),
            cluster=draw(_small),
            identity=draw(st.none() | _small),
            decided=draw(splits),
            wished=draw(splits),
        )
        for number in range(draw(st.integers(0, 40)))
    ]


def _crossing(images: list[SplitCandidate], splits: list[str]) -> list[object]:
    seen: defaultdict[object, set[str]] = defaultdict(set)
    for image, split in zip(images, splits, strict=True):
        seen["cluster", image.cluster].add(split)
        if image.identity is not None:
            seen["identity", image.identity].add(split)
    return [tie for tie, used in seen.items() if len(used) > 1]


@given(_images(settled=True), st.integers(0, 5))
def test_no_cluster_and_no_identity_crosses_a_split(images: list[SplitCandidate], seed: int) -> None:
    splits = assign_splits(images, seed)
    assert len(splits) == len(images)
    assert _crossing(images, splits) == []


@given(_images(settled=True), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(images: list[SplitCandidate], random: object) -> None:
    expected = dict(zip((i.sha256 for i in images), assign_splits(images, 3), strict=True))
    shuffled = images.copy()
    random.shuffle(shuffled)
    assert dict(zip((i.sha256 for i in shuffled), assign_splits(shuffled, 3), strict=True)) == expected


@given(_images(), st.integers(0, 40))
def test_added_images_move_an_old_one_only_to_join_what_they_tie_together(
    images: list[SplitCandidate], first: int
) -> None:
    old = images[:first]
    before = dict(zip((i.sha256 for i in old), assign_splits(old), strict=True))
    grown = [SplitCandidate(**{**_fields(i), "decided": before.get(i.sha256)}) for i in images]
    after = dict(zip((i.sha256 for i in grown), assign_splits(grown), strict=True))
    moved = {sha256 for sha256, split in before.items() if after[sha256] != split}
    # Whoever moved now shares a component with an old image that was in another split.
    if moved:
        assert _bridged(grown, before) >= moved


def _fields(image: SplitCandidate) -> dict[str, object]:
    return {name: getattr(image, name) for name in SplitCandidate.__dataclass_fields__}


def _bridged(images: list[SplitCandidate], before: dict[str, str]) -> set[str]:
    """The old images that a chain of ties now joins to an old image of another split, found by spreading names."""
    group = {image.sha256: image.sha256 for image in images}
    changed = True
    while changed:
        changed = False
        for a in images:
            for b in images:
                tied = a.cluster == b.cluster or (a.identity is not None and a.identity == b.identity)
                if tied and group[a.sha256] > group[b.sha256]:
                    group[a.sha256] = group[b.sha256]
                    changed = True
    used: defaultdict[str, set[str]] = defaultdict(set)
    for sha256, split in before.items():
        used[group[sha256]].add(split)
    return {sha256 for sha256 in before if len(used[group[sha256]]) > 1}


def test_unrelated_newcomers_move_nobody() -> None:
    old = [_image(n) for n in range(50)]
    before = assign_splits(old)
    settled = [_image(n, decided=split) for n, split in enumerate(before)]
    newcomers = [_image(n, label="fake", generator="sd3") for n in range(50, 500)]
    assert assign_splits([*settled, *newcomers])[:50] == before


@pytest.mark.parametrize("seed", range(20))
def test_forty_people_are_shared_out_evenly(seed: int) -> None:
    people = [_image(10 * p + n, identity=f"p{p}") for p in range(40) for n in range(10)]
    fakes = [_image(1000 + n, label="fake", generator="gan") for n in range(400)]
    splits = assign_splits([*people, *fakes], seed)
    assert Counter(splits[:400]) == {"train": 280, "val": 60, "test": 60}
    assert Counter(splits[400:]) == {"train": 280, "val": 60, "test": 60}


def test_the_seed_changes_who_is_where_and_nothing_else() -> None:
    images = [_image(n) for n in range(200)]
    first, second = assign_splits(images, 1), assign_splits(images, 2)
    assert first != second
    assert Counter(first) == Counter(second) == {"train": 140, "val": 30, "test": 30}
    assert assign_splits(images, 1) == first


def test_each_generator_is_in_every_split() -> None:
    images = [_image(n, label="fake", generator=f"g{n % 5}") for n in range(100)]
    used = Counter((image.generator, split) for image, split in zip(images, assign_splits(images), strict=True))
    assert all(used[f"g{g}", split] >= 3 for g in range(5) for split in ("train", "val", "test"))


def test_a_large_component_goes_to_train() -> None:
    images = [_image(n, cluster="film" if n < 30 else str(n)) for n in range(100)]
    for seed in range(10):
        assert set(assign_splits(images, seed)[:30]) == {"train"}


def test_what_is_in_the_dataset_beats_what_arrives_and_the_majority_wins() -> None:
    images = [
        _image(0, cluster="c", decided="test"),
        _image(1, cluster="c", wished="train"),
        _image(2, cluster="c", wished="train"),
        _image(3, cluster="d", wished="val"),
        _image(4, cluster="d", wished="val"),
        _image(5, cluster="d", wished="train"),
    ]
    assert assign_splits(images) == ["test"] * 3 + ["val"] * 3


def test_a_generator_kept_out_takes_its_near_duplicates_with_it() -> None:
    images = [_image(0, cluster="c", decided="train"), _image(1, cluster="c", wished=OOD), _image(2, wished="train")]
    assert assign_splits(images) == [OOD, OOD, "train"]


@pytest.mark.parametrize("parts", [(0.5, 0.5, 0.5), (0, 0.5, 0.5), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)])
def test_impossible_fractions_are_refused(parts: tuple[float, float, float]) -> None:
    with pytest.raises(UserError, match="fractions"):
        Fractions(*parts)


def test_a_share_of_nothing_gets_nothing() -> None:
    assert set(assign_splits([_image(n) for n in range(50)], fractions=Fractions(0.9, 0.1, 0))) == {"train", "val"}
