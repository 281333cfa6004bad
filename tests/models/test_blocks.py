"""Strips of a large grid give what the whole gives, and gradients are what they were."""

from __future__ import annotations

import pytest
import torch

from napari_vae_restore.models import blocks

WIDTH = 6


def stack(strip_bytes: int = 1) -> torch.nn.Sequential:
    """Three blocks whose updates count."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = blocks.stack(WIDTH, 3, strip_bytes=strip_bytes)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return made


def grid(height: int) -> torch.Tensor:
    """(1, WIDTH, height, 23) as convolutions like them, some values beyond the ceiling."""
    values = 3 * torch.randn(1, WIDTH, height, 23, generator=torch.Generator().manual_seed(1))
    return values.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("height", [16, 17, 33, 50])
def test_strips_equal_the_whole(height: int) -> None:
    x = grid(height)
    before = x.clone()
    with torch.inference_mode():
        whole = stack(2**24)(x)
        torch.testing.assert_close(stack()(x), whole, rtol=1e-5, atol=1e-5)
    assert torch.equal(x, before)  # the first block's input may be another's, too


def test_a_batch_gives_what_its_images_give() -> None:
    x, in_strips = grid(40), stack()
    with torch.inference_mode():
        torch.testing.assert_close(in_strips(torch.cat([x, -x]))[:1], in_strips(x))


def test_gradients_are_those_of_finite_differences() -> None:
    block = blocks.ResidualBlock(2, overwrites=True).double()
    x = torch.randn(1, 2, 4, 5, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(block, (x.requires_grad_(),))
