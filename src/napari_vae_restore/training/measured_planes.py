"""Training planes whose unmeasured pixels are filled.

A margin of zeros or a lost frame would be learned as structure, and spoil the estimate of the
noise. Planes without a measured pixel are left out; others get a smooth fill with noise of
the same kind, which teaches nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.estimation.estimate import resolve_noise
from napari_vae_restore.noise.estimation.hot import without_hot_pixels
from napari_vae_restore.noise.estimation.unmeasured import repeat_side, unmeasured
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.operators.filling import smooth_fill

_LOOKED_AT: Final = 4
"""Planes from which the chance of repeated values is estimated."""


def measured_planes(
    planes: NDArray[Any], noise: NoiseModel | str, *, seed: int = 0
) -> tuple[NDArray[np.float64], list[NoiseModel]]:
    """Filled planes (M <= N, C, H, W) without hot pixels, and the noise of each channel.

    Given are (N, C, H, W) intensities of any real dtype, NaN where nothing was measured.
    """
    observed = _observed(planes)
    if observed is not None:
        kept = observed.any(axis=(1, 2, 3))
        if not kept.any():
            raise InputError("expected images with measured pixels, but each holds one value")
        planes, observed = planes[kept], observed[kept]
    models = [
        resolve_noise(
            noise, planes[:, c], observed=None if observed is None else observed[:, c]
        )
        for c in range(planes.shape[1])
    ]
    rng = np.random.default_rng([seed, 6])
    completed = [
        without_hot_pixels(
            _completed(planes[:, c], None if observed is None else observed[:, c], model, rng),
            model,
        )[0]
        for c, model in enumerate(models)
    ]
    return np.stack(completed, axis=1), models


def _observed(planes: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Mask (N, C, H, W) of measured pixels; None where all were measured."""
    sample = planes[:: max(1, len(planes) // _LOOKED_AT)]
    side = repeat_side(sample.reshape(-1, *planes.shape[2:]))
    observed: NDArray[np.bool_] | None = None
    for place in np.ndindex(planes.shape[:2]):
        found = unmeasured(planes[place], side)
        if found is not None:
            observed = np.ones(planes.shape, bool) if observed is None else observed
            observed[place] = ~found
    return observed


def _completed(
    planes: NDArray[Any],
    observed: NDArray[np.bool_] | None,
    model: NoiseModel,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    values = planes.astype(np.float64)
    if observed is None or observed.all():
        return values
    known = np.where(observed, values, 0.0)
    return np.where(observed, values, model.sample(smooth_fill(known, observed), rng))
