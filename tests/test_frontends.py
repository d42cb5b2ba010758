"""Front ends: what each must show of a picture whose answer is known, and what none may do."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from model_defs.frontends import build_frontend, luma
from model_defs.spec import Colour, Frontend, frontend_channels

NAMES: tuple[Frontend, ...] = get_args(Frontend)
SIZES = [(8, 8), (64, 64), (15, 15), (33, 33), (9, 16), (1, 8)]


def pictures(channels: int, height: int = 32, width: int = 32, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


class TestEveryFrontEnd:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("colour", get_args(Colour))
    @pytest.mark.parametrize(("height", "width"), SIZES)
    def test_shape(self, name: Frontend, colour: Colour, height: int, width: int) -> None:
        out = build_frontend(name)(pictures({"rgb": 3, "grey": 1}[colour], height, width))
        assert out.shape == (2, frontend_channels(name, colour), height, width)
        assert out.dtype == torch.float32
        assert out.isfinite().all()

    @pytest.mark.parametrize("name", NAMES)
    def test_nothing_to_train_and_nothing_to_save(self, name: Frontend) -> None:
        module = build_frontend(name)
        assert list(module.parameters()) == []
        assert module.state_dict() == {}

    @pytest.mark.parametrize("name", NAMES)
    def test_no_picture_changes_another_and_the_input_stays(self, name: Frontend) -> None:
        batch = pictures(3, count=3)
        before = batch.clone()
        out = build_frontend(name)(batch)
        assert torch.equal(batch, before)
        alone = torch.cat([build_frontend(name)(batch[n : n + 1]) for n in range(3)])
        torch.testing.assert_close(out, alone, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("batch", [pictures(3), torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), -1.0)])
    def test_the_gradient_reaches_the_input_and_is_finite(self, name: Frontend, batch: Tensor) -> None:
        batch = batch.clone().requires_grad_(True)
        build_frontend(name)(batch).square().sum().backward()
        assert batch.grad is not None and batch.grad.isfinite().all()

    @pytest.mark.parametrize("name", NAMES)
    def test_mixed_precision_loses_nothing(self, name: Frontend) -> None:
        """A residue of a few grey levels is all there is; bfloat16 keeps only one in 128."""
        batch = pictures(3) * 0.01 + 0.7
        plain = build_frontend(name)(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = build_frontend(name)(batch)
        assert mixed.dtype == torch.float32
        assert torch.equal(plain, mixed)

    def test_none_is_the_picture(self) -> None:
        batch = pictures(3)
        assert torch.equal(build_frontend("none")(batch), batch)


class TestNPR:
    @pytest.mark.parametrize("size", [8, 9, 32])
    def test_a_picture_that_was_doubled_leaves_nothing(self, size: int) -> None:
        doubled = pictures(3, 16, 16).repeat_interleave(2, -1).repeat_interleave(2, -2)[..., :size, :size]
        assert torch.count_nonzero(build_frontend("npr")(doubled)) == 0

    def test_values(self) -> None:
        picture = torch.tensor([[0.0, 0.3, 0.5], [0.6, 0.9, 0.5], [0.2, 0.5, 0.8]]).view(1, 1, 3, 3)
        expected = torch.tensor([[0.0, 0.2, 0.0], [0.4, 0.6, 0.0], [0.0, 0.2, 0.0]])
        torch.testing.assert_close(build_frontend("npr")(picture)[0, 0], expected)

    def test_range(self) -> None:
        assert build_frontend("npr")(pictures(3).sign()).abs().max().item() == pytest.approx(4 / 3)


class TestSRM:
    @pytest.mark.parametrize("level", [-1.0, 0.0, 0.37, 1.0])
    def test_a_constant_leaves_nothing(self, level: float) -> None:
        assert build_frontend("srm")(torch.full((1, 3, 16, 16), level)).abs().max().item() < 1e-6

    def test_a_ramp_leaves_nothing_inside(self) -> None:
        ramp = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
        assert build_frontend("srm")(ramp)[..., 2:-2, 2:-2].abs().max().item() < 1e-5

    def test_a_point_shows_the_three_kernels(self) -> None:
        """Published values: 1/4, 1/12 and 1/2 times whole numbers; all symmetric, so no flip shows."""
        point = torch.zeros(1, 1, 9, 9)
        point[0, 0, 4, 4] = 1
        out = build_frontend("srm")(point)[0, :, 2:7, 2:7]
        assert [out[n, 2, 2].item() for n in range(3)] == pytest.approx([-4 / 4, -12 / 12, -2 / 2])
        torch.testing.assert_close(out[0, 1] * 4, torch.tensor([0.0, -1, 2, -1, 0]))
        torch.testing.assert_close(out[1, 0] * 12, torch.tensor([-1.0, 2, -2, 2, -1]))
        torch.testing.assert_close(out[1, 1] * 12, torch.tensor([2.0, -6, 8, -6, 2]))
        torch.testing.assert_close(out[2, 2] * 2, torch.tensor([0.0, 1, -2, 1, 0]))
        assert out.sum(dim=(1, 2)).abs().max().item() < 1e-6


class TestSpectrum:
    @pytest.mark.parametrize(("size", "cycles_x", "cycles_y"), [(32, 5, 0), (32, 0, 7), (64, 9, 4), (33, 6, 2)])
    def test_a_grating_peaks_at_its_frequency(self, size: int, cycles_x: int, cycles_y: int) -> None:
        place = torch.arange(size) / size
        phase = 2 * torch.pi * (cycles_x * place.view(1, -1) + cycles_y * place.view(-1, 1))
        spectrum = build_frontend("spectrum")(phase.cos().expand(1, 3, size, size))[0, 0]
        centre = size // 2
        peaks = {(n // size - centre, n % size - centre) for n in spectrum.flatten().topk(2).indices.tolist()}
        assert peaks == {(cycles_y, cycles_x), (-cycles_y, -cycles_x)}

    def test_every_picture_is_standardised(self) -> None:
        batch = pictures(3) * torch.tensor([0.01, 1.0]).view(2, 1, 1, 1)
        out = build_frontend("spectrum")(batch)
        torch.testing.assert_close(out.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
        torch.testing.assert_close(out.std(dim=(1, 2, 3), correction=0), torch.ones(2), atol=1e-3, rtol=0)

    @pytest.mark.parametrize("level", [0.0, 1.0])
    def test_a_constant_is_finite(self, level: float) -> None:
        assert build_frontend("spectrum")(torch.full((1, 1, 16, 16), level)).isfinite().all()


def test_luma_is_that_of_jpeg() -> None:
    colours = torch.eye(3).view(3, 3, 1, 1)
    assert luma(colours).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])
    grey = pictures(1)
    assert luma(grey) is grey
    torch.testing.assert_close(luma(grey.expand(-1, 3, -1, -1)), grey)
