"""The generalised Anscombe transform of photon counts, continued to all real numbers.

Counts with Gaussian read-out noise have a standard deviation of about 1 behind
2 sqrt(z + r + 3/8), with z the photons and r the variance of the read-out. The root ends at
z = -r - 3/8, while measurements do not: a background that was subtracted too far, a CT number
or the difference of two images lies below. From half a photon above the end the transform
goes on along its tangent, so it and its inverse rise everywhere. Since z + r is the noise's
variance wherever the zero of intensities was put, what is called no light does not matter.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlogy

FloatArray: TypeAlias = NDArray[np.float64]


OFFSET: Final = 3 / 8

# The exact inverse is tabulated up to this many photons; beyond it the variance of
# the stabilised noise is 1 to within 1e-3, and so is the asymptotic inverse.
TABLE_PHOTONS: Final = 200.0
_TABLE_SIZE: Final = 512
_DARK_SIZE: Final = 256
_HERMITE_NODES: Final = 24


def stabilised(photons: ArrayLike, read_variance: float) -> FloatArray:
    """Return t with a noise of about 1 (Makitalo & Foi 2013, eq. (2))."""
    start, root = tangent(read_variance)
    z = np.asarray(photons, dtype=np.float64)
    curved = 2 * np.sqrt(np.maximum(z, start) + read_variance + OFFSET)
    return np.asarray(curved + np.minimum(z - start, 0.0) / root)


def tangent(read_variance: float) -> tuple[float, float]:
    """Photons below which the transform is straight, and 1 over its slope there."""
    start = -max(read_variance - 0.5, read_variance / 2)
    return start, math.sqrt(start + read_variance + OFFSET)


def unstabilised(t: ArrayLike, read_variance: float) -> FloatArray:
    """Return the photons whose stabilised counts have the mean t.

    The exact unbiased inverse of Makitalo & Foi 2013, section III: with D the mean and v
    the variance of the transformed counts, E[t^2] = D^2 + v gives the photons
    (D^2 + v) / 4 - 3/8 - r. What is added to D^2 / 4 - r is tabulated; above the table v is 1.
    Below the table nothing but the tangent counts, which is inverted as it is.
    """
    means, excess = inverse_table(read_variance)
    at = np.asarray(t, dtype=np.float64)
    inside = np.maximum(at, means[0])
    photons = inside**2 / 4 - read_variance + np.interp(inside, means, excess)
    below = np.minimum(at - means[0], 0.0) * tangent(read_variance)[1]
    return np.asarray(photons + below)


@lru_cache(maxsize=16)
def inverse_table(read_variance: float) -> tuple[FloatArray, FloatArray]:
    """Rising means D of transformed counts, and their photons + read variance - D^2 / 4.

    From where the noise's variance z + r ends, up to `TABLE_PHOTONS`; below no light the noise
    is taken as Gaussian.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_HERMITE_NODES)
    weights = weights / weights.sum()
    # Even steps of the square root are about even steps of D.
    photons = np.linspace(0.0, math.sqrt(TABLE_PHOTONS), _TABLE_SIZE) ** 2
    counts = np.arange(TABLE_PHOTONS + 10 * math.sqrt(TABLE_PHOTONS))
    read = math.sqrt(read_variance) * nodes
    given_count = stabilised(counts[:, None] + read, read_variance) @ weights
    rates = photons[:, None]
    poisson = np.exp(xlogy(counts, rates) - rates - gammaln(counts + 1))
    variance = np.linspace(0.0, math.sqrt(read_variance), _DARK_SIZE, endpoint=False) ** 2
    dark = variance - read_variance
    below = stabilised(dark[:, None] + np.sqrt(variance)[:, None] * nodes, read_variance)
    means = below @ weights
    if read_variance == 0:  # no light is the end
        means, dark = means[:0], dark[:0]
    means = np.concatenate([means, poisson @ given_count])
    excess = np.concatenate([dark, photons]) + read_variance - means**2 / 4
    for table in (means, excess):
        table.setflags(write=False)
    return means, excess
