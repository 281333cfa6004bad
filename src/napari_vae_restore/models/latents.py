"""Diagonal Gaussians on latent grids, and sources of their noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_LOG_STD_LIMIT = 6.0  # either way: exp(6) stays finite in every precision used
_KEY_BLOCK = 32  # side of the blocks of latent cells whose noise is drawn together

NoiseSource = Callable[[int, Tensor], Tensor]
"""``(level, like) -> standard normal values of like's shape, dtype and device``."""


@dataclass(frozen=True, slots=True)
class DiagonalGaussian:
    """A Gaussian with independent elements; `mean` and `log_std` of one shape."""

    mean: Tensor
    log_std: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor) -> DiagonalGaussian:
        """From a network's output (N, 2 z, h, w), in float32 whatever the autocast."""
        mean, raw = parameters.float().chunk(2, dim=1)
        return cls(mean, _LOG_STD_LIMIT * torch.tanh(raw / _LOG_STD_LIMIT))

    def sample(self, noise: Tensor, temperature: float = 1.0) -> Tensor:
        """Reparameterised sample ``mean + temperature * std * noise``."""
        return self.mean + temperature * self.log_std.exp() * noise

    def kl(self, prior: DiagonalGaussian) -> Tensor:
        """KL(self || prior) per element, in nats (Kingma & Welling 2013, appendix B)."""
        variance_ratio = (2 * (self.log_std - prior.log_std)).exp()
        squared_distance = ((self.mean - prior.mean) / prior.log_std.exp()).square()
        return 0.5 * (variance_ratio + squared_distance - 1) + prior.log_std - self.log_std


def random_noise(generator: torch.Generator) -> NoiseSource:
    """Noise from a generator, for training."""

    def draw(level: int, like: Tensor) -> Tensor:
        noise = torch.randn(like.shape, generator=generator, device=generator.device)
        return noise.to(like.device)

    return draw


@dataclass(frozen=True, slots=True)
class KeyedNoise:
    """Noise that depends only on seed, sample, plane, level and global position.

    Two tiles that overlap draw the same values where they overlap, so sampled
    tiles reassemble to the sampled whole, on any device and in any order.
    Values come from numpy's counter-based Philox generator, one key for each
    block of 32 x 32 latent cells (Salmon et al., SC 2011, doi:10.1145/2063384.2063405).
    """

    seed: int
    sample: int
    plane: int
    row: int  # of the tile's first pixel in the whole image, a multiple of the stride
    column: int
    strides: tuple[int, ...]  # pixels per latent cell of each level

    def __call__(self, level: int, like: Tensor) -> Tensor:
        _, channels, height, width = like.shape
        top, left = self.row // self.strides[level], self.column // self.strides[level]
        values = np.empty((channels, height, width), np.float32)
        for i in range(top // _KEY_BLOCK, -(-(top + height) // _KEY_BLOCK)):
            for j in range(left // _KEY_BLOCK, -(-(left + width) // _KEY_BLOCK)):
                block = self._block(level, i, j, channels)
                y, x = i * _KEY_BLOCK - top, j * _KEY_BLOCK - left
                rows = slice(max(y, 0), min(y + _KEY_BLOCK, height))
                columns = slice(max(x, 0), min(x + _KEY_BLOCK, width))
                values[:, rows, columns] = block[
                    :, rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
                ]
        return torch.from_numpy(values)[None].to(like.device)

    def _block(self, level: int, i: int, j: int, channels: int) -> np.ndarray:
        entropy = (self.seed, self.sample, self.plane, level, i, j)
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
        return generator.standard_normal((channels, _KEY_BLOCK, _KEY_BLOCK), np.float32)
