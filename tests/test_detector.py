"""Checkpoint ▶ verdict: calibrated, stable, the same for the same bytes."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bot.detector import BATCH, Detector
from bot.verdict import Verdict
from infra.images import ImageRefused
from model_defs.checkpoint import BundleError, Thresholds, load_bundle
from tests.bot_bundles import SMALL_CNN, network_of, photo, write_small_bundle


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return Image.open(buffer).convert("RGB")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_small_bundle(tmp_path_factory.mktemp("bundle"), temperature=0.05, bias=0.2)


@pytest.fixture(scope="module")
def detector(bundle: str) -> Detector:
    return Detector(bundle)


def test_the_probability_is_the_calibrated_sigmoid_of_the_logit(bundle: str, detector: Detector) -> None:
    network, card = load_bundle(bundle)
    picture = photo(70, 90)
    with torch.no_grad():
        logit = network(card.preprocess.to_tensor(card.preprocess.fit_image(np.array(picture))[None])).item()
    verdict = detector.check(png(picture))
    assert verdict.p_fake == pytest.approx(1 / (1 + math.exp(-(logit / 0.05 + 0.2))), abs=1e-6)
    assert verdict.model == card.id
    assert (verdict.picture.width, verdict.picture.height) == (70, 90)
    np.testing.assert_array_equal(verdict.picture.seen, card.preprocess.fit_image(np.array(picture)))


def test_each_variant_has_the_probability_of_the_picture_so_treated(detector: Detector) -> None:
    picture = photo(101, 77, seed=3)
    verdict = detector.check(png(picture), heatmaps=False)
    treated = {f"JPEG q{quality}": jpeg(picture, quality) for quality in (90, 75, 50)}
    half = picture.resize((50, 38), Image.Resampling.BICUBIC)
    treated["half size"] = half.resize(picture.size, Image.Resampling.BICUBIC)
    assert [variant.name for variant in verdict.stability.variants] == list(treated)
    for variant in verdict.stability.variants:
        expected = detector.check(png(treated[variant.name]), heatmaps=False).p_fake
        assert variant.p_fake == pytest.approx(expected, abs=1e-6)
    everything = [verdict.p_fake, *(variant.p_fake for variant in verdict.stability.variants)]
    assert (verdict.stability.p_min, verdict.stability.p_max) == (min(everything), max(everything))
    assert verdict.stability.p_max - verdict.stability.p_min > 1e-4


def test_a_camera_photo_is_shrunk_as_a_messenger_does_before_it_is_recompressed(detector: Detector) -> None:
    picture = photo(2600, 1300, seed=4)
    variant = detector.check(png(picture), heatmaps=False).stability.variants[2]
    shrunk = picture.resize((2048, 1024), Image.Resampling.BICUBIC)
    assert variant.name == "JPEG q50"
    assert variant.p_fake == pytest.approx(detector.check(png(jpeg(shrunk, 50)), heatmaps=False).p_fake, abs=1e-3)


def test_the_same_bytes_get_the_same_answer_alone_and_in_any_batch(detector: Detector) -> None:
    images = [png(photo(64 + seed, 90 - seed, seed)) for seed in range(BATCH + 3)]
    alone = [detector.check(data, heatmaps=False).p_fake for data in images]
    assert alone == [detector.check(data, heatmaps=False).p_fake for data in images]
    together = [answer.p_fake for answer in detector.check_many(images) if isinstance(answer, Verdict)]
    backwards = [answer.p_fake for answer in detector.check_many(images[::-1]) if isinstance(answer, Verdict)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert backwards[::-1] == pytest.approx(alone, abs=1e-5)


def test_a_refused_image_keeps_its_place_among_the_answers(detector: Detector, tmp_path: Path) -> None:
    photo().save(tmp_path / "good.jpg")
    images: list[bytes | Path] = [b"", tmp_path / "good.jpg", b"not an image", png(photo()), tmp_path / "missing.jpg"]
    answers = list(detector.check_many(images * 4))
    assert [isinstance(answer, ImageRefused) for answer in answers] == [True, False, True, False, True] * 4
    assert "missing.jpg" in str(answers[4])
    with pytest.raises(ImageRefused):
        detector.check(b"not an image")


def test_a_folder_of_thousands_is_not_read_at_once(detector: Detector) -> None:
    data = png(photo())
    taken = 0

    def images() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield data

    answers = detector.check_many(images())
    next(answers)
    answers.close()
    assert taken <= 3 * BATCH


@pytest.mark.parametrize(
    ("bias", "verdict", "explains"),
    [(9.0, "fake", "fake"), (-9.0, "real", "real"), (0.3, "unsure", "fake"), (-0.3, "unsure", "real")],
)
def test_the_thresholds_of_the_card_decide(tmp_path: Path, bias: float, verdict: str, explains: str) -> None:
    url = write_small_bundle(tmp_path, temperature=1e6, bias=bias)
    answer = Detector(url).check(png(photo()))
    assert (answer.verdict, answer.explains) == (verdict, explains)
    assert [layer.name for layer in answer.layers] == ["blocks.block1.conv", "blocks.block2.conv"]
    assert not answer.stability.flips


def test_a_verdict_that_recompression_changes_is_said_to_flip(detector: Detector, tmp_path: Path) -> None:
    data = png(photo(101, 77, seed=3))
    before = detector.check(data, heatmaps=False)
    furthest = max(before.stability.variants, key=lambda variant: abs(variant.p_fake - before.p_fake))
    between = (before.p_fake + furthest.p_fake) / 2
    thresholds = Thresholds(decision=between, unsure_low=between, unsure_high=between)
    url = write_small_bundle(tmp_path, temperature=0.05, bias=0.2, thresholds=thresholds)
    after = Detector(url).check(data, heatmaps=False)
    changed = next(variant for variant in after.stability.variants if variant.name == furthest.name)
    assert after.stability.flips
    assert {after.verdict, changed.verdict} == {"real", "fake"}


def test_the_verdict_as_json_holds_no_pixels(detector: Detector) -> None:
    content = json.loads(json.dumps(detector.check(png(photo())).to_json()))
    assert set(content) >= {"p_fake", "verdict", "stability", "model", "layers", "seconds"}
    assert set(content["layers"][0]) == {"name", "size", "channels", "peak", "share", "dead"}
    assert content["layers"][0]["size"] == [32, 32]
    assert set(content["stability"]) == {"p_min", "p_max", "flips", "variants"}
    assert len(json.dumps(content)) < 2000


def test_a_grey_network_answers_a_colour_photo(tmp_path: Path) -> None:
    url = write_small_bundle(tmp_path, image_size=24, colour="grey")
    answer = Detector(url).check(png(photo(300, 20)))
    assert answer.picture.seen.shape == (24, 24, 1)
    assert answer.layers[0].map.shape == (24, 24)


def test_a_network_that_answers_with_nonsense_is_refused(tmp_path: Path) -> None:
    network = network_of(SMALL_CNN)
    with torch.no_grad():
        network.get_submodule("output").weight.fill_(3e38)
        network.get_submodule("output").bias.fill_(-3e38)
        network.get_submodule("blocks.block2.conv").weight.fill_(3e38)
    url = write_small_bundle(tmp_path, network=network)
    with pytest.raises(BundleError, match="not finite"):
        Detector(url).check(png(photo()))


def test_a_file_over_the_cap_is_refused(bundle: str) -> None:
    data = png(photo())
    small = Detector(bundle, max_bytes=len(data) - 1)
    with pytest.raises(ImageRefused, match="bytes"):
        small.check(data)
    assert isinstance(next(small.check_many([data])), ImageRefused)
