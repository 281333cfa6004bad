"""Hot pixels: single ones far above all of their neighbours, which no optics can draw.

A point is at least as wide as the optics' blur, so that its neighbours are bright too. A
pixel that rises many times as far above its surroundings as the next brightest of them,
and far out of the noise, is the detector's.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, median_filter

from napari_vae_restore.noise.models import NoiseModel

FloatArray: TypeAlias = NDArray[np.float64]

_SIGMAS: Final = 12.0  # above the median of the surroundings
_PROMINENCE: Final = 6.0  # how many times the next brightest neighbour's own rise
_SURROUNDINGS: Final = 5  # pixels a side


def without_hot_pixels(
    planes: NDArray[Any], noise: NoiseModel
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Replace hot pixels by the median of their surroundings.

    Parameters
    ----------
    planes : numpy.ndarray
        (N, H, W), any real dtype, intensity units, finite.
    noise : NoiseModel
        Of the planes.

    Returns
    -------
    planes : numpy.ndarray of float64
        (N, H, W).
    is_hot : numpy.ndarray of bool
        (N, H, W), which were replaced.
    """
    values = planes.astype(np.float64)
    median = median_filter(values, footprint=_around(_SURROUNDINGS), mode="mirror")
    brightest = maximum_filter(values, footprint=_around(3), mode="mirror")
    sigma = np.sqrt(noise.variance(median))
    rise = values - median
    is_hot = (rise > _SIGMAS * sigma) & (rise > _PROMINENCE * (brightest - median))
    return np.where(is_hot, median, values), is_hot


def _around(side: int) -> NDArray[np.bool_]:
    """A square in the plane without its centre, (1, side, side)."""
    footprint = np.ones((1, side, side), bool)
    footprint[0, side // 2, side // 2] = False
    return footprint
