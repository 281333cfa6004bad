"""What the network is told of a degraded image, and the U-shaped encoder that reads it."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from napari_vae_restore.models.blocks import stack

CONDITION_CHANNELS: Final = 6
"""image, observed, noise sigma, lag-1 noise correlation along y and x, log2 of the factor."""

_FINE: Final = 2
"""Leading channels that vary from pixel to pixel; the others are maps of slow values."""


def condition_tensor(
    image: NDArray[np.float32],
    observed: NDArray[np.bool_],
    slow: tuple[float, float, float, float],
) -> Tensor:
    """Pack what is known of degraded images.

    Parameters
    ----------
    image : numpy.ndarray
        (N, 1, H, W) float32 on the output grid, network units, holes filled smoothly.
    observed : numpy.ndarray of bool
        (N, 1, H, W), False where a pixel was missing.
    slow : (float, float, float, float)
        Noise sigma in network units, its lag-1 correlation along y and x, and log2 of
        the factor of super-resolution.

    Returns
    -------
    Tensor
        (N, 6, H, W) float32.
    """
    n, _, height, width = image.shape
    maps = torch.tensor(slow, dtype=torch.float32)[None, :, None, None]
    fine = [torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in (image, observed)]
    return torch.cat([*fine, maps.expand(n, -1, height, width)], dim=1)


class ConditionEncoder(nn.Module):
    """U-shaped network from the condition to features at every level and the mean.

    The mean head is a direct regression of E[x | c], by least squares (Direct Denoiser,
    2023, arXiv:2310.15887); the features feed the student posterior q(z | c).

    Parameters
    ----------
    widths : tuple of int
        Feature channels of each level, finest first.
    blocks : tuple of int
        Residual blocks of each level, on the way down and on the way up each.
    patch : int
        Pixels along each side that the stem folds into channels.
    """

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], patch: int) -> None:
        super().__init__()
        self.patch = patch
        pairs = list(pairwise(widths))
        folded = _FINE * patch**2 + CONDITION_CHANNELS - _FINE
        self.stem = nn.Conv2d(folded, widths[0], 3, padding=1)
        self.bottom_up = nn.ModuleList(stack(w, n) for w, n in zip(widths, blocks, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.top_down = nn.ModuleList(
            stack(w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], patch**2, 3, padding=1)

    def forward(self, condition: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Features finest first, (N, width_l, h_l, w_l), and the mean (N, 1, H, W).

        Parameters
        ----------
        condition : Tensor
            (N, 6, H, W) float32, sides multiples of the coarsest stride; the image in
            network units.
        """
        fine = F.pixel_unshuffle(condition[:, :_FINE], self.patch)
        # Slow values are constant over an image.
        slow = condition[:, _FINE:, :: self.patch, :: self.patch]
        h = self.stem(torch.cat([fine, slow], dim=1))
        skips = []
        for level, blocks in enumerate(self.bottom_up):
            h = blocks(self.down[level - 1](h) if level else h)
            skips.append(h)
        features = [skips.pop()]
        for level in reversed(range(len(self.top_down))):
            coarse = F.interpolate(self.up[level](h), scale_factor=2, mode="nearest")
            h = cast("Tensor", self.top_down[level](coarse.add_(skips.pop())))
            features.append(h)
        residual = F.pixel_shuffle(self.head(h), self.patch).float()
        return tuple(reversed(features)), condition[:, :1] + residual
