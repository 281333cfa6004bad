"""Hot pixels: single ones far above all of their neighbours, which no optics can draw.

A point is at least as wide as the optics' blur, so that its neighbours are bright too. A
pixel that rises many times as far above its surroundings as the next brightest of them,
and far out of the noise, is the detector's. The noise is that of a signal as bright as the
pixel itself: in the dark, a few photons are far above no photons and no more than that.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.noise.models import NoiseModel

FloatArray: TypeAlias = NDArray[np.float64]

_SIGMAS: Final = 12.0  # above the median of the surroundings, of the pixel's own noise
_PROMINENCE: Final = 6.0  # how many times the next brightest neighbour's own rise
_REACH: Final = 2  # pixels of the surroundings to each side


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
    padded = np.pad(values, ((0, 0), (_REACH, _REACH), (_REACH, _REACH)), mode="reflect")
    height, width = values.shape[1:]

    def moved(y: int, x: int) -> FloatArray:
        return padded[:, _REACH + y : _REACH + y + height, _REACH + x : _REACH + x + width]

    around = [(y, x) for y, x in product((-1, 0, 1), repeat=2) if (y, x) != (0, 0)]
    brightest = moved(*around[0]).copy()
    for offset in around[1:]:
        np.maximum(brightest, moved(*offset), out=brightest)
    # What the two conditions below imply, for the darkest pixel's noise: next to nothing
    # is left to look at closely.
    least = _SIGMAS * (1 - 1 / _PROMINENCE) * float(noise.variance(values.min())) ** 0.5
    n, rows, columns = np.nonzero(values - brightest > least)
    span = range(-_REACH, _REACH + 1)
    offsets = [(y, x) for y, x in product(span, repeat=2) if (y, x) != (0, 0)]
    surroundings = [padded[n, rows + _REACH + y, columns + _REACH + x] for y, x in offsets]
    median = np.median(surroundings, axis=0)
    value, next_brightest = values[n, rows, columns], brightest[n, rows, columns]
    rise = value - median
    hot = rise > _SIGMAS * np.sqrt(noise.variance(value))
    hot &= rise > _PROMINENCE * (next_brightest - median)
    is_hot = np.zeros(values.shape, bool)
    is_hot[n[hot], rows[hot], columns[hot]] = True
    values[n[hot], rows[hot], columns[hot]] = median[hot]
    return values, is_hot
