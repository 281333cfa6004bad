"""Scores of estimates and samples: proper, and blind to what does not count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bundled_model.scores import as_measured, multiscale_crps


class TestMultiscaleCRPS:
    STD = 0.1

    @pytest.fixture
    def draws(self) -> Tensor:
        """Three independent drawings of images: a target and the noise of two samples."""
        generator = torch.Generator().manual_seed(0)
        blocks = torch.randn(3, 500, 1, 4, 4, generator=generator).repeat_interleave(4, -1)
        white = torch.randn(3, 500, 1, 16, 16, generator=generator)
        return self.STD * (blocks.repeat_interleave(4, -2) + white) / 2**0.5

    @staticmethod
    def score(a: Tensor, b: Tensor, target: Tensor) -> Tensor:
        return multiscale_crps(a, b, target, weight=torch.ones_like(target)).mean(0)

    def test_is_lowest_at_the_right_spread(self, draws: Tensor) -> None:
        target, a, b = draws
        half, narrow, right, wide, double = (
            self.score(scale * a, scale * b, target) for scale in (0.5, 0.8, 1.0, 1.25, 2.0)
        )
        assert ((half > narrow) & (narrow > right) & (right < wide) & (wide < double)).all()

    def test_of_a_gaussian_is_the_closed_form(self, draws: Tensor) -> None:
        target, a, b = draws
        expected = self.STD / np.sqrt(np.pi)
        assert float(self.score(a, b, target)[0]) == pytest.approx(expected, rel=0.02)

    def test_sees_coarse_structure(self, draws: Tensor) -> None:
        target, a, b = draws
        order = torch.randperm(256, generator=torch.Generator().manual_seed(0))
        white = [each.flatten(2)[..., order].view_as(a) for each in (a, b)]
        worse = self.score(*white, target) / self.score(a, b, target)
        assert float(worse[0]) == pytest.approx(1, rel=0.02)
        assert worse[2] > 1.05

    def test_pixels_without_weight_do_not_count(self) -> None:
        a, b = (torch.full((1, 1, 8, 8), v, requires_grad=True) for v in (1.0, 3.0))
        weight = torch.zeros(1, 1, 8, 8)
        weight[..., :4] = 1
        score = multiscale_crps(a, b, torch.zeros_like(a), weight=weight)
        assert score.tolist() == [[1.0, 1.0, 1.0, 1.0, 0.0]]  # (1 + 3 - 2) / 2
        score.sum().backward()
        assert b.grad is not None
        assert (b.grad[..., 4:] == 0).all()

    @pytest.mark.parametrize(("side", "scales"), [(1, 1), (6, 3), (15, 4), (24, 5)])
    def test_small_images_have_fewer_scales(self, side: int, scales: int) -> None:
        one, zero = torch.ones(2, 1, side, side), torch.zeros(2, 1, side, side)
        assert self.score(one, one, zero).tolist() == [1.0] * scales + [0.0] * (5 - scales)


def test_what_was_measured_is_no_error_of_a_sample() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, estimate = torch.randn(2, 4, 1, 24, 24, generator=generator)
    told = torch.zeros(4, 6, 24, 24)
    told[:, 1] = 1
    told[:3, 5] = np.log2(3)
    told[1, 2] = 0.1  # noisy
    told[2, 1, 4, 4] = 0  # with a hole
    found = as_measured(estimate, truth, told)
    means = torch.nn.functional.avg_pool2d(found - truth, 3)
    assert means[0].abs().max() < 1e-6
    assert (found[0] - truth[0]).std() > 0.8
    assert torch.equal(found[1:], estimate[1:])
