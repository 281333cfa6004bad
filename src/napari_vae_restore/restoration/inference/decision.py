"""The data decide: how much of an answer is taken, by an unbiased estimate of the risk.

A measurement y = x + n with Gaussian noise of known covariance is better replaced by a
network's answer f where that is nearer to the truth x, and by nothing where it is not. Which
is the case can be seen without x. For a weight w of the difference d = f - y,

    E |y + w d - x|^2 = E |n|^2 + E |w d|^2 + 2 E w n . d ,

and Stein's lemma turns the last product into the divergence of :mod:`~.inference.risk` less
the noise's variance. Sums are taken over a smooth neighbourhood, so the weight varies over the
plane. All values are in units in which the noise is known.

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

_LEAST: Final = 1e-12  # keeps quotients finite


def weight(
    difference: FloatArray, products: FloatArray, observed: NDArray[np.bool_]
) -> FloatArray:
    """Weight (H, W), 0 to 1, of an answer that minimises the risk in each neighbourhood.

    `difference` is d = f − y, `products` an estimate of n · d pixel by pixel, of which only
    sums mean something; pixels that are not `observed` do not count.
    """
    seen = observed.astype(np.float64)
    share = np.maximum(local_sum(seen), _LEAST)
    linear = _cautious(products, seen, share)
    square = local_sum(difference * difference * seen) / share
    best = np.clip(-linear / np.maximum(square, _LEAST), 0.0, 1.0)
    return np.asarray(spread_out(best[None], observed.shape)[0])


def _cautious(products: FloatArray, seen: FloatArray, share: FloatArray) -> FloatArray:
    """Local means of products, less favourable by their standard error.

    Where the noise is next to nothing beside what was taken away, chance would decide, and
    it takes more than it gives.
    """
    mean = local_sum(products * seen) / share
    variance = np.maximum(local_sum(np.square(products) * seen) / share - mean**2, 0.0)
    n = 4 * np.pi * RADIUS**2 * share  # of independent pixels under a Gaussian
    return np.asarray(mean + np.sqrt(variance / n))


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
