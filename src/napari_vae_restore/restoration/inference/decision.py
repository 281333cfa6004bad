"""The data decide: how much of each candidate is taken, by an unbiased estimate of the risk.

A measurement y = x + n with Gaussian noise of known covariance is better replaced by a
network's answer f where that is nearer to the truth x, and by nothing where it is not. Which
is the case can be seen without x. For any weights w over candidates f_k, d_k = f_k - y,

    E |y + sum_k w_k d_k - x|^2 = E |n|^2 + E |sum_k w_k d_k|^2 + 2 E sum_k w_k n . d_k ,

and Stein's lemma turns the last product into the divergence of :mod:`~.inference.risk` less
the noise's variance. Sums are taken over a smooth neighbourhood, so the weights vary over the
plane. Weights are at least 0, with the sum 1 at most; what is missing to 1 is the share of
the measurement. All values are in units in which the noise is known.

References
----------
T. Blu, F. Luisier, "The SURE-LET approach to image denoising", IEEE TIP 16(11), 2007.
doi:10.1109/TIP.2007.906002
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from napari_vae_restore.noise.numbers import FloatArray

RADIUS: Final = 16.0  # standard deviation of the neighbourhood, pixels: some 3000 take part
# Pixels that are averaged before the neighbourhood's Gaussian, which is smooth.
COARSE: Final = 4

_TURNS: Final = 20  # of coordinate descent over several candidates
_LEAST: Final = 1e-12  # keeps quotients finite


def weights(
    differences: FloatArray, products: FloatArray, observed: NDArray[np.bool_]
) -> FloatArray:
    """Weights (K, H, W) of candidates that minimise the estimated risk in each neighbourhood.

    `differences` are d_k = f_k − y, (K, H, W), `products` estimates of n · d_k pixel by pixel,
    of which only sums mean something; pixels that are not `observed` (H, W) do not count.
    """
    seen = observed.astype(np.float64)
    share = np.maximum(local_sum(seen), _LEAST)
    linear = np.stack([_cautious(p, seen, share) for p in products])
    n = len(differences)
    square = np.empty((n, n, *linear.shape[1:]))
    for i in range(n):
        for j in range(i + 1):
            square[i, j] = square[j, i] = (
                local_sum(differences[i] * differences[j] * seen) / share
            )
    return spread_out(_least_risk(square, linear), observed.shape)


def _cautious(products: FloatArray, seen: FloatArray, share: FloatArray) -> FloatArray:
    """Local means of products, less favourable by their standard error.

    Where the noise is next to nothing beside what was taken away, chance would decide, and
    it takes more than it gives.
    """
    mean = local_sum(products * seen) / share
    variance = np.maximum(local_sum(np.square(products) * seen) / share - mean**2, 0.0)
    n = 4 * np.pi * RADIUS**2 * share  # of independent pixels under a Gaussian
    return np.asarray(mean + np.sqrt(variance / n))


def _least_risk(square: FloatArray, linear: FloatArray) -> FloatArray:
    """Minimise w . square w + 2 w . linear over w >= 0, sum w <= 1; (K, h, w)."""
    n = len(linear)
    found = np.zeros_like(linear)
    if n == 1:
        return np.asarray(np.clip(-linear / np.maximum(square[0], _LEAST), 0.0, 1.0))
    for _ in range(_TURNS):
        for k in range(n):
            others = np.einsum("jhw,jhw->hw", square[k], found) - square[k, k] * found[k]
            best = -(linear[k] + others) / np.maximum(square[k, k], _LEAST)
            room = 1.0 - (found.sum(axis=0) - found[k])
            found[k] = np.clip(best, 0.0, np.maximum(room, 0.0))
    return found


def local_sum(values: FloatArray) -> FloatArray:
    """Weighted means over neighbourhoods of (H, W), on a grid of `COARSE` pixels; 0 beyond."""
    small = F.avg_pool2d(torch.from_numpy(values)[None, None], COARSE, ceil_mode=True)
    radius = RADIUS / COARSE
    return np.asarray(gaussian_filter(small[0, 0].numpy(), radius, mode="constant"))


def spread_out(coarse: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """(K, h, w) on the grid of `COARSE` pixels to (K, H, W)."""
    planes = torch.from_numpy(coarse)[None]
    large = F.interpolate(planes, scale_factor=COARSE, mode="bilinear", align_corners=False)[0]
    return np.asarray(large.numpy()[:, : shape[0], : shape[1]])
