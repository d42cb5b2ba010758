"""When an endpoint begins to repeat itself, and how many images it is thought to hold."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.fingerprint import FLAT
from crawler.repeats import BARREN_DRAWS, MIN_DRAWS, RepeatWatch


def _picture(number: int) -> tuple[str, str]:
    """Name and hash of a picture unlike all others."""
    dice = random.Random(number)
    return f"{dice.getrandbits(256):064x}", f"{dice.getrandbits(64) | 1:016x}"


def _drawn(numbers: list[int], concurrency: int = 2) -> RepeatWatch:
    watch = RepeatWatch(concurrency, stop_below=0.05)
    for number in numbers:
        watch.draw(*_picture(number))
    return watch


@settings(max_examples=40, deadline=None)
@given(holds=st.integers(1, 200), seed=st.integers(0, 2**32))
def test_any_small_endpoint_is_found_out(holds: int, seed: int) -> None:
    dice = random.Random(seed)
    watch = RepeatWatch(2, stop_below=0.05)
    draws = 0
    while not watch.exhausted:
        watch.draw(*_picture(dice.randrange(holds)))
        draws += 1
        assert draws <= 12 * holds + BARREN_DRAWS + MIN_DRAWS
    estimate = watch.estimate
    assert watch.distinct <= estimate.low <= estimate.images <= estimate.high
    assert watch.distinct <= holds


def test_the_interval_holds_the_truth_nineteen_times_of_twenty() -> None:
    held = 0
    for seed in range(100):
        dice = random.Random(seed)
        estimate = _drawn([dice.randrange(50) for _ in range(150)]).estimate
        held += estimate.low <= 50 <= estimate.high
    assert held >= 85  # Chao's interval is a little narrow at this size


def test_an_endless_one_is_not() -> None:
    assert not _drawn(list(range(5000))).exhausted


@pytest.mark.parametrize("times", [2, 3, 4])
def test_an_echo_is_no_repeat(times: int) -> None:
    watch = _drawn([n // times for n in range(3000)])
    assert not watch.exhausted
    assert watch.chance_of_new == 1.0


def test_one_that_goes_round_in_a_circle_is_seen_whole() -> None:
    watch = RepeatWatch(2, stop_below=0.05)
    number = 0
    while not watch.exhausted:
        watch.draw(*_picture(number % 500))
        number += 1
    assert number <= 500 + BARREN_DRAWS
    assert watch.estimate.low == watch.estimate.images == 500


def test_a_reencoded_copy_is_the_same_image_and_plain_ones_are_not() -> None:
    watch = RepeatWatch(1, stop_below=0.05)
    name, phash = _picture(1)
    near = f"{int(phash, 16) ^ 0b1001:016x}"
    draws = [(name, phash), ("0" * 64, near), ("1" * 64, FLAT), ("2" * 64, FLAT)]
    assert [watch.draw(*draw) for draw in draws] == [False, True, False, False]
