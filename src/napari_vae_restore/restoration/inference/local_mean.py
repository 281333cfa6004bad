"""Keep the brightness of what is restored: its local mean is that of the measurement.

Noise averages out over an area, so the mean of the measurement there is known better than
any network knows it. Of few photons, whose noise is no Gaussian even behind the stabilising
transform, means came out too low in the dark.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.restoration.inference.decision import RADIUS, local_sum, spread_out

_MOST_SHARED: Final = 0.2  # correlation of neighbours' noise
# Standard errors below which a difference is noise, and nothing is changed.
SIGNIFICANT: Final = 3.0


def local_shift(
    measured: NDArray[np.float32],
    observed: NDArray[np.bool_],
    mean: NDArray[np.float64],
    sigma: float,
    *,
    significant: float = SIGNIFICANT,
) -> NDArray[np.float64]:
    """Shift (C, H, W) that brings back local means which moved by more than noise allows.

    Units are those in which white noise has a standard deviation of `sigma`. 0 nearly
    everywhere for an image whose noise is Gaussian.
    """
    weight, total = (
        np.stack([local_sum(channel) for channel in each])
        for each in (observed.astype(np.float64), np.where(observed, measured - mean, 0.0))
    )
    difference = total / np.maximum(weight, 1e-6)
    error = sigma / (2 * math.sqrt(math.pi) * RADIUS) / np.sqrt(np.maximum(weight, 1e-6))
    ratio = significant * error / np.maximum(np.abs(difference), 1e-12)
    return spread_out(difference * np.maximum(0.0, 1 - ratio**2), mean.shape[1:])


def mean_sigma(sigma: float, rho_y: float, rho_x: float, scale: float) -> float | None:
    """The noise that averages are to be expected to have; None where nothing is kept.

    It averages out by itself if its neighbours have next to nothing in common, on the grid
    that it was measured on. Weak correlation makes the averages a little worse.
    """
    if sigma == 0 or scale > 0 or max(rho_y, rho_x) > _MOST_SHARED:
        return None
    return sigma * math.sqrt((1 + 2 * rho_y) * (1 + 2 * rho_x))


def with_local_mean(condition: Tensor, mean: Tensor) -> Tensor:
    """A restored tensor (N, 1, H, W) with the local means of its condition (N, 6, H, W)."""
    kept = []
    for each, found in zip(condition.detach().float().cpu(), mean, strict=True):
        sigma = mean_sigma(*(float(value) for value in each[2:, 0, 0]))
        if sigma is None:
            kept.append(found)
            continue
        image, observed = each[:1].numpy(), each[1:2].numpy() > 0
        values = found.detach().double().cpu().numpy()
        shift = torch.from_numpy(local_shift(image, observed, values, sigma))
        kept.append(found + shift.to(found))
    return torch.stack(kept)
