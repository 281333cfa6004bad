"""Errors and scores of estimates and samples, for losses.

Knows nothing of networks or of how examples are made.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCKS: Final = (1, 2, 4, 8, 16)
"""Sides in pixels of the blocks whose means are scored: coarse structure counts too."""


def multiscale_crps(a: Tensor, b: Tensor, target: Tensor, *, weight: Tensor) -> Tensor:
    """CRPS of block means from two samples; lowest if they follow the target's distribution.

    E|X - x| - E|X - X'| / 2 by Gneiting & Raftery 2007, doi:10.1198/016214506000001437,
    equation 21 with the sign of a loss; X = a, X' = b estimate it without bias.
    Arguments are (N, 1, H, W), `weight` is 1 where a pixel counts. The result is (N, 5), for
    blocks of 1, 2, 4, 8 and 16 pixels a side; 0 where these do not fit.
    """
    to_a, to_b, apart = (block_errors(d, weight) for d in (a - target, b - target, a - b))
    return (to_a + to_b - apart) / 2


def block_errors(difference: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute value of block means, (N, 5); see :func:`multiscale_crps`."""
    weighted = difference * weight / weight.mean(dim=(1, 2, 3), keepdim=True)
    fitting = [side for side in BLOCKS if side <= min(difference.shape[2:])]
    pooled = [F.avg_pool2d(weighted, side).abs().mean(dim=(1, 2, 3)) for side in fitting]
    return F.pad(torch.stack(pooled, dim=1), (0, len(BLOCKS) - len(fitting)))


def as_measured(estimate: Tensor, target: Tensor, condition: Tensor) -> Tensor:
    """Estimates (N, 1, P, P) after consistency with noise-free low-resolution pixels.

    The mean error over each such pixel is removed, whatever its kernel: this is accurate enough
    for the spread of samples. The condition is (N, 6, P, P).
    """
    results = []
    for each, truth, told in zip(estimate, target, condition, strict=True):
        factor = round(2 ** float(told[5, 0, 0]))
        is_exact = factor > 1 and float(told[2].max()) == 0 and float(told[1].min()) > 0
        if is_exact:
            means = F.avg_pool2d(each - truth, factor)
            each = each - F.interpolate(means[None], scale_factor=factor, mode="nearest")[0]
        results.append(each)
    return torch.stack(results)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over the pixels that count, (N,), of (N, 1, H, W)."""
    return (values * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
