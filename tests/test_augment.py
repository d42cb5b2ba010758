"""Augmentation changes pictures the way its names say, each on its own, and knows nothing of labels."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor

from tune.augment import augment_batch
from tune.params import Augment

BLACK = torch.full((1, 3, 1, 1), -1.0)
NOTHING = {"flip": False, "shift": 0.0, "brightness": 0.0, "contrast": 0.0}


def _augment(images: Tensor, seed: int = 0, black: Tensor = BLACK, **changes: float | bool) -> Tensor:
    torch.manual_seed(seed)
    return augment_batch(images, Augment.model_validate({**NOTHING, **changes}), black)


def _images(count: int, channels: int = 3, side: int = 16) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 17])
def test_shape_and_type_stay(channels: int, side: int) -> None:
    images = _images(5, channels, side)
    before = images.clone()
    changed = _augment(images, black=BLACK[:, :channels], flip=True, shift=0.5, brightness=0.3, contrast=0.3)
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert torch.isfinite(changed).all()
    assert torch.equal(images, before)


def test_nothing_asked_changes_nothing() -> None:
    assert torch.equal(_augment(_images(4)), _images(4))
    assert torch.equal(_augment(_images(4), shift=0.01), _images(4))  # less than half a pixel


def test_the_same_seed_gives_the_same_pictures() -> None:
    asked = {"flip": True, "shift": 0.2, "brightness": 0.2, "contrast": 0.2}
    assert torch.equal(_augment(_images(8), 3, **asked), _augment(_images(8), 3, **asked))
    assert not torch.equal(_augment(_images(8), 3, **asked), _augment(_images(8), 4, **asked))


def test_flip_mirrors_about_half_and_leaves_the_others_alone() -> None:
    images = _images(400, 1, 8)
    changed = _augment(images, flip=True)
    mirrored = torch.tensor([torch.equal(c, i.flip(-1)) for c, i in zip(changed, images, strict=True)])
    same = torch.tensor([torch.equal(c, i) for c, i in zip(changed, images, strict=True)])
    assert bool((mirrored ^ same).all())
    assert 150 < int(mirrored.sum()) < 250


def test_shift_moves_pixels_both_ways_and_resamples_none() -> None:
    side, reach = 16, 4
    images = _images(200, 3, side)
    changed = _augment(images, shift=reach / side)
    moves = set()
    for before, after in zip(images, changed, strict=True):
        assert set(after.flatten().tolist()) <= set(before.flatten().tolist())
        # the middle, which no shift can push out of the picture, is found again at the shift
        middle = before[:, reach : side - reach, reach : side - reach]
        found = [
            (dy, dx)
            for dy in range(-reach, reach + 1)
            for dx in range(-reach, reach + 1)
            if torch.equal(after[:, reach + dy : side - reach + dy, reach + dx : side - reach + dx], middle)
        ]
        assert len(found) == 1
        moves.add(found[0])
    assert len(moves) > 50
    assert {dy for dy, _ in moves} == {dx for _, dx in moves} == set(range(-reach, reach + 1))


def test_brightness_scales_the_light_and_leaves_black_black() -> None:
    black = torch.tensor([-2.0, -1.5, -1.0]).view(1, 3, 1, 1)  # as ImageNet's normalisation has one for each channel
    images = black + 0.1 + torch.rand(300, 3, 8, 8)
    factors = ((_augment(images, black=black, brightness=0.4) - black) / (images - black)).flatten(1)
    assert torch.allclose(factors.amin(1), factors.amax(1), atol=1e-3)
    assert 0.6 <= factors.min() < 0.7 and 1.3 < factors.max() <= 1.4 + 1e-3
    assert torch.allclose(_augment(black.expand(4, 3, 8, 8), black=black, brightness=0.4), black.expand(4, 3, 8, 8))


def test_contrast_keeps_the_mean_and_scales_what_is_around_it() -> None:
    images = _images(300)
    changed = _augment(images, contrast=0.4)
    dims = (1, 2, 3)
    assert torch.allclose(changed.mean(dims), images.mean(dims), atol=1e-5)
    factors = changed.std(dims) / images.std(dims)
    assert 0.6 <= factors.min() < 0.7 and 1.3 < factors.max() <= 1.4 + 1e-4


def test_it_cannot_see_a_label() -> None:
    assert list(inspect.signature(augment_batch).parameters) == ["images", "params", "black"]
    # what happens to a picture depends on its place in the batch alone
    asked = {"flip": True, "shift": 0.2, "brightness": 0.2, "contrast": 0.2}
    images, other = _images(6), _images(6)
    other[3] = -other[3]
    one, two = _augment(images, 1, **asked), _augment(other, 1, **asked)
    assert torch.equal(one[[0, 1, 2, 4, 5]], two[[0, 1, 2, 4, 5]])
