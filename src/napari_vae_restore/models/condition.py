"""The condition, which describes a degraded image, and the U-shaped encoder that reads it."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from napari_vae_restore.models.blocks import stack

# image, observed, noise sigma, lag-1 noise correlation along y and x, log2 of the factor
CONDITION_CHANNELS: Final = 6
_FINE: Final = 2  # the leading channels vary from pixel to pixel, the others are constant

_LEAST_SIGMA: Final = 0.25 / 255
_MOST_DETAIL: Final = 8.0
_DETAIL_UNIT: Final = 3.0
_OCTAVES: Final = 5.0
_BINOMIAL: Final = (1.0, 4.0, 6.0, 4.0, 1.0)


def condition_tensor(
    image: NDArray[np.float32],
    observed: NDArray[np.bool_],
    constants: tuple[float, float, float, float],
) -> Tensor:
    """Pack the condition, (N, 6, H, W) float32; see `CONDITION_CHANNELS`.

    `image` is (N, 1, H, W) float32 on the output grid, in network units, holes filled
    smoothly; `observed`, (N, 1, H, W), is False in holes; `constants` hold for the plane.
    """
    n, _, height, width = image.shape
    maps = torch.tensor(constants, dtype=torch.float32)[None, :, None, None]
    fine = [torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in (image, observed)]
    return torch.cat([*fine, maps.expand(n, -1, height, width)], dim=1)


class ConditionEncoder(nn.Module):
    """U-shaped network from the condition to features at every level and the mean.

    The mean head is a direct regression of E[x | c], by least squares (Direct Denoiser,
    2023, arXiv:2310.15887); the features feed the student posterior q(z | c).
    If `scaled`, the mean is y + s f(c) in place of y + f(c): s is the noise's standard
    deviation where only noise is to be removed, else 1, so that without noise nothing changes.
    The stem then also sees detail in units of the noise, which half precision would round away.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        patch: int,
        *,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        self.patch, self.scaled = patch, scaled
        pairs = list(pairwise(widths))
        fine, constants = _FINE + scaled, CONDITION_CHANNELS - _FINE + scaled
        folded = fine * patch**2 + constants
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

        The condition is (N, 6, H, W) float32; its sides are multiples of the coarsest stride.
        """
        fine, constants = condition[:, :_FINE], condition[:, _FINE:]
        if self.scaled:
            fine = torch.cat([fine, _detail(condition)], dim=1)
            loudness = torch.log2(255 * constants[:, :1].clamp(min=_LEAST_SIGMA)) / _OCTAVES
            constants = torch.cat([constants, loudness], dim=1)
        # These values vary from one coarse pixel to the next at most.
        constants = constants[:, :, :: self.patch, :: self.patch]
        h = self.stem(torch.cat([F.pixel_unshuffle(fine, self.patch), constants], dim=1))
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
        if self.scaled:
            residual = residual * _scale(condition)
        return tuple(reversed(features)), condition[:, :1] + residual


def _scale(condition: Tensor) -> Tensor:
    """s, (N, 1, H, W): the noise's deviation, or 1 where more than noise is to be removed."""
    observed, sigma, log_factor = condition[:, 1:2], condition[:, 2:3], condition[:, 5:6]
    only_noise = (observed > 0) & (log_factor == 0) & (sigma > 0)
    return torch.where(only_noise, sigma, torch.ones_like(sigma)).float()


def _detail(condition: Tensor) -> Tensor:
    """The image less its smooth part, over the noise's deviation, bounded; (N, 1, H, W)."""
    image, sigma = condition[:, :1].float(), condition[:, 2:3].float()
    weights = image.new_tensor(_BINOMIAL)
    kernel = (weights[:, None] * weights[None]).div(weights.sum() ** 2)[None, None]
    reach = len(_BINOMIAL) // 2
    padded = F.pad(image, (reach,) * 4, mode="replicate")
    detail = (image - F.conv2d(padded, kernel)) / sigma.clamp(min=_LEAST_SIGMA)
    return detail.clamp(-_MOST_DETAIL, _MOST_DETAIL) / _DETAIL_UNIT
