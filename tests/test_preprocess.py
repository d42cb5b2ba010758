"""Image ▶ tensor: where every pixel goes, and that training and serving see the same."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infra.images import decode_image
from infra.params import ParamsError, validate
from model_defs.checkpoint import load_bundle
from model_defs.preprocess import IMAGENET_MEAN, IMAGENET_STD, MID_GREY, Preprocess
from tests.bot_bundles import photo, write_small_bundle
from tests.tiny_dataset import make_dataset

FITS = ("crop", "squash", "pad")


def preprocess(image_size: int = 16, **fields: Any) -> Preprocess:
    return Preprocess(image_size=image_size, **fields)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def stripes(height: int, width: int) -> NDArray[np.uint8]:
    """Red to the left, green in the middle, blue to the right; or from top to bottom when it is higher than wide."""
    along = np.arange(max(height, width)) * 3 // max(height, width)
    line = np.eye(3, dtype=np.uint8)[along] * 255
    picture = np.broadcast_to(line[None] if width >= height else line[:, None], (height, width, 3))
    return np.ascontiguousarray(picture)


class TestGeometry:
    @pytest.mark.parametrize("fit", FITS)
    @pytest.mark.parametrize("colour", ["rgb", "grey"])
    @pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (16, 16), (15, 17), (200, 90), (3, 2), (1, 20_000)])
    def test_the_shape_is_always_the_same(self, fit: Any, colour: Any, size: tuple[int, int]) -> None:
        out = preprocess(fit=fit, colour=colour).fit_image(noise(*size))
        assert out.shape == (16, 16, {"rgb": 3, "grey": 1}[colour])
        assert out.dtype == np.uint8

    @pytest.mark.parametrize("fit", FITS)
    def test_a_picture_of_the_right_size_is_left_alone(self, fit: Any) -> None:
        picture = noise(16, 16)
        assert np.array_equal(preprocess(fit=fit).fit_image(picture), picture)

    @pytest.mark.parametrize(("height", "width"), [(30, 90), (90, 30)])
    def test_crop_keeps_the_middle(self, height: int, width: int) -> None:
        out = preprocess(fit="crop").fit_image(stripes(height, width))
        assert (out == [0, 255, 0]).all()

    def test_crop_of_the_same_pixels(self) -> None:
        picture = noise(16, 21)
        assert np.array_equal(preprocess(fit="crop").fit_image(picture), picture[:, 2:18])

    def test_squash_keeps_the_whole(self) -> None:
        wide = preprocess(15, fit="squash").fit_image(stripes(15, 45))
        high = preprocess(15, fit="squash").fit_image(stripes(45, 15))
        for column, colour in ((1, [255, 0, 0]), (7, [0, 255, 0]), (13, [0, 0, 255])):
            assert (wide[:, column] == colour).all()
            assert (high[column] == colour).all()

    def test_pad_keeps_the_whole_and_its_shape(self) -> None:
        wide = preprocess(30, fit="pad").fit_image(stripes(30, 90))
        assert (wide[:10] == MID_GREY).all() and (wide[20:] == MID_GREY).all()
        for column, colour in ((4, [255, 0, 0]), (15, [0, 255, 0]), (25, [0, 0, 255])):
            assert (wide[10:20, column] == colour).all()
        high = preprocess(30, fit="pad").fit_image(stripes(90, 30))
        assert np.array_equal(high, wide.transpose(1, 0, 2))

    def test_pad_never_makes_the_square_in_full_size(self) -> None:
        """50,000 × 50,000 pixels would be 7.5 GB."""
        strip = noise(2, 50_000)
        tracemalloc.start()
        out = preprocess(fit="pad").fit_image(strip)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000
        assert (out[0] == MID_GREY).all() and not (out[7] == MID_GREY).all()

    @pytest.mark.parametrize("fit", FITS)
    def test_a_flat_picture_stays_flat(self, fit: Any) -> None:
        picture = np.full((33, 33, 3), 77, np.uint8)
        assert (preprocess(fit=fit).fit_image(picture) == 77).all()

    def test_grey_is_luma(self) -> None:
        colours = np.eye(3, dtype=np.uint8).reshape(1, 3, 3).repeat(8, 0) * 255
        out = preprocess(8, colour="grey", fit="squash").fit_image(np.repeat(colours, 8, axis=1))
        assert [int(out[4, column, 0]) for column in (0, 7)] == [76, 29]  # 0.299 and 0.114 of 255
        assert np.array_equal(
            preprocess(colour="grey").fit_image(np.full((16, 16, 3), 99, np.uint8)), np.full((16, 16, 1), 99)
        )

    def test_making_smaller_averages(self) -> None:
        """A chequer of single pixels becomes grey, not a pattern that was never there."""
        chequer = (np.add.outer(np.arange(256), np.arange(256)) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
        out = preprocess(fit="squash").fit_image(chequer)
        assert out[2:-2, 2:-2].min() >= 126 and out[2:-2, 2:-2].max() <= 129


class TestTensor:
    def test_values_and_layout(self) -> None:
        pictures = noise(2 * 16, 16).reshape(2, 16, 16, 3)
        out = preprocess().to_tensor(pictures)
        assert out.shape == (2, 3, 16, 16)
        assert out.dtype == torch.float32 and out.is_contiguous()
        assert out[1, 2, 5, 7].item() == pytest.approx(pictures[1, 5, 7, 2] / 127.5 - 1, abs=1e-6)

    def test_range(self) -> None:
        ends = np.array([0, 255], np.uint8).repeat(8 * 8 * 3).reshape(2, 8, 8, 3)
        out = preprocess(8).to_tensor(ends)
        assert (out.min().item(), out.max().item()) == (-1.0, 1.0)
        imagenet = preprocess(8, mean=IMAGENET_MEAN, std=IMAGENET_STD).to_tensor(ends)
        for channel in range(3):
            mean, std = IMAGENET_MEAN[channel], IMAGENET_STD[channel]
            assert imagenet[0, channel, 0, 0].item() == pytest.approx(-mean / std, rel=1e-5)
            assert imagenet[1, channel, 0, 0].item() == pytest.approx((1 - mean) / std, rel=1e-5)

    def test_the_input_is_not_changed_and_may_be_read_only(self) -> None:
        pictures = noise(16, 16)[None]
        pictures.setflags(write=False)
        before = pictures.copy()
        preprocess().to_tensor(pictures).zero_()
        assert np.array_equal(pictures, before)

    def test_a_batch_is_its_pictures(self) -> None:
        pictures = noise(4 * 16, 16).reshape(4, 16, 16, 3)
        together = preprocess().to_tensor(pictures)
        assert torch.equal(together, torch.cat([preprocess().to_tensor(pictures[n : n + 1]) for n in range(4)]))

    def test_an_empty_batch(self) -> None:
        assert preprocess().to_tensor(np.empty((0, 16, 16, 3), np.uint8)).shape == (0, 3, 16, 16)


class TestParams:
    @pytest.mark.parametrize(
        ("content", "line"),
        [
            ({}, "image_size: is required"),
            ({"image_size": 4}, "image_size: should be greater than or equal to 8, not 4"),
            ({"image_size": 8, "std": [0.0]}, "std: each should be from 1e-06 to 1, not [0.0]"),
            ({"image_size": 8, "mean": [127.5]}, "mean: each should be from 0 to 1, not [127.5]"),
            ({"image_size": 8, "mean": []}, "mean needs one number, or 3 for rgb pictures"),
            ({"image_size": 8, "mean": [0.1, 0.2]}, "mean needs one number, or 3 for rgb pictures"),
            ({"image_size": 8, "colour": "grey", "std": [0.1, 0.2, 0.3]}, "std needs one number, or 1 for grey"),
            ({"image_size": 8, "fit": "zoom"}, "fit: should be 'crop', 'squash' or 'pad', not 'zoom'"),
        ],
    )
    def test_what_cannot_be(self, content: dict[str, Any], line: str) -> None:
        with pytest.raises(ParamsError) as caught:
            validate(Preprocess, content, "card")
        assert line in str(caught.value)

    def test_json_round_trip(self) -> None:
        one = preprocess(mean=IMAGENET_MEAN, std=IMAGENET_STD, fit="pad")
        assert Preprocess.model_validate_json(one.model_dump_json()) == one


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    image_size=st.integers(8, 40),
    fit=st.sampled_from(FITS),
    colour=st.sampled_from(["rgb", "grey"]),
    level=st.integers(0, 255),
)
def test_same_in_same_out_and_flat_stays_flat(
    height: int, width: int, image_size: int, fit: Any, colour: Any, level: int
) -> None:
    steps = preprocess(image_size, fit=fit, colour=colour)
    picture = noise(height, width)
    one, two = (steps.to_tensor(steps.fit_image(picture.copy())[None]) for _ in range(2))
    assert torch.equal(one, two)
    assert one.min() >= -1 and one.max() <= 1
    flat = steps.fit_image(np.full((height, width, 3), level, np.uint8))
    assert set(np.unique(flat).tolist()) <= {level, MID_GREY}
    assert fit == "pad" or set(np.unique(flat).tolist()) == {level}


class TestTrainingAndServing:
    @pytest.mark.parametrize("colour", ["rgb", "grey"])
    @pytest.mark.parametrize("fit", FITS)
    def test_same_bytes_same_tensor(self, tmp_path: Path, colour: Any, fit: Any) -> None:
        """The decode cache of training against decode-and-fit of the bot, for a batch and one by one."""
        from bot.detector import Detector
        from infra.storage import open_storage
        from tune.data import load_split

        manifest = make_dataset(tmp_path / "data", {"train": 4}, side=37)
        url = write_small_bundle(tmp_path / "bundle", colour=colour)
        steps = load_bundle(url)[1].preprocess.model_copy(update={"fit": fit})
        detector = Detector(url)
        detector.card = detector.card.model_copy(update={"preprocess": steps})
        split = load_split(manifest, "train", steps, tmp_path / "cache")
        trained = steps.to_tensor(split.pictures)
        for number, row in enumerate(split.rows):
            image = decode_image(open_storage(manifest.url).get(row.key))
            served = steps.to_tensor(detector.prepare(image).inputs[:1])
            assert torch.equal(trained[number : number + 1], served)

    def test_a_jpeg_of_any_shape(self) -> None:
        steps = preprocess(32)
        for width, height in ((96, 80), (33, 120), (32, 32)):
            buffer = io.BytesIO()
            photo(width, height).save(buffer, "jpeg", quality=85)
            tensors = [steps.to_tensor(steps.fit_image(decode_image(buffer.getvalue()).rgb)[None]) for _ in range(2)]
            assert torch.equal(tensors[0], tensors[1])

    def test_a_real_face(self, faces_dir: Path) -> None:
        face = next(iter(sorted((faces_dir / "real").rglob("*.jpg"))))
        out = preprocess(64).fit_image(decode_image(face.read_bytes()).rgb)
        assert out.shape == (64, 64, 3)
        assert out.std() > 10
