"""Intervals that contain the truth as often as they say, from the samples' deviation.

The standard deviation of samples is translated by the model's calibration
(:class:`~.error_calibration.ErrorCalibration`), in a unit in which pictures, noises, holes and
factors are alike, so that one curve holds for all of a kind of task. Errors grow with the noise
where a picture is plain and with its contrast where it is detailed; the geometric mean of both
is the unit of denoising. That of enlarged pictures and of holes is the contrast, times the
factor and the square root of the depth: how large a detail is that nothing was measured of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.stats import norm

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.noise.models import NoiseModel, standard_deviation
from napari_vae_restore.restoration.inference.units import BLACK_WHITE
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, SuperResolve, Task

if TYPE_CHECKING:
    from napari_vae_restore.restoration.result import Restoration

DENOISED: Final = "denoise"
FILLED: Final = "inpaint"
ENLARGED: Final = "super-resolve"
NOISY_FILLED: Final = "denoise+inpaint"  # holes beside noise; what was measured is denoised
NOISY_ENLARGED: Final = "denoise+super-resolve"
# Tasks that measure each pixel, but for holes.
_ONE_TO_ONE: Final = {Denoise.kind, Inpaint.kind}


def kind_of(tasks: Iterable[Task], *, is_noisy: bool) -> str:
    """Which calibration holds for a restoration: a key of :attr:`~.model.Model.spreads`.

    Of a mixture with holes, that of the pixels that were measured; see `kind_of_holes`.
    """
    kinds = {type(task) for task in tasks}
    if is_noisy:
        return NOISY_ENLARGED if SuperResolve in kinds else DENOISED
    return FILLED if Inpaint in kinds else ENLARGED


def kind_of_holes(tasks: Iterable[Task], *, is_noisy: bool) -> str | None:
    """Which calibration holds in the holes of a noisy image; None where there are none."""
    fills = any(isinstance(task, Inpaint) for task in tasks)
    return NOISY_FILLED if is_noisy and fills else None


def noise_of(result: Restoration) -> NDArray[np.float64] | None:
    """Standard deviation of the noise in what was measured, of the shape of `std`.

    In intensity units, at the restored intensity; None without noise.
    """
    if not result.diagnostics.noise:
        return None
    return np.sqrt(_by_channel(result, lambda model, mean: model.variance(mean)))


def error_measured(result: Restoration) -> NDArray[np.float64] | float:
    """The error of what was measured, which no result exceeds that weighed it; else infinity.

    In intensity units. A deviation of 1 behind the stabilising transform, whose floor holds
    where a noise model's variance ends.
    """
    kinds = {task["kind"] for task in result.recipe.tasks}
    if not result.diagnostics.noise or not kinds <= _ONE_TO_ONE:
        return math.inf
    error = _by_channel(result, standard_deviation)
    return error if result.filled is None else np.where(result.filled.mask, math.inf, error)


def _by_channel(
    result: Restoration, of: Callable[[NoiseModel, NDArray[Any]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """What each channel's noise model says of the mean, of the shape of `std`."""
    mean = np.asarray(result.mean)
    layout = Layout.of(mean, result.recipe.axes)
    planes = layout.to_planes(mean).astype(np.float64)
    found = [of(model, planes[:, c]) for c, model in enumerate(result.diagnostics.noise)]
    return layout.from_planes(np.stack(found, axis=1))


def unit_of(result: Restoration) -> NDArray[np.float64]:
    """Unit, in intensities, in which standard deviations are calibrated; the shape of `std`.

    With C for the contrast, which is the range of a channel's intensities: √(C × the noise's
    deviation) × the factor; without noise C × the factor, and in a hole that × the square root
    of the distance to the nearest known pixel, in pixels.
    """
    mean, axes = np.asarray(result.mean), result.recipe.axes
    layout = Layout.of(mean, axes)
    planes = layout.to_planes(mean)
    black, white = np.percentile(planes, BLACK_WHITE, axis=(0, 2, 3), keepdims=True)
    contrast = layout.from_planes(np.broadcast_to(white - black, planes.shape))
    noise, tasks = noise_of(result), {task["kind"]: task for task in result.recipe.tasks}
    factor = int(tasks[SuperResolve.kind]["factor"]) if SuperResolve.kind in tasks else 1
    if noise is not None:
        unit = np.sqrt(contrast * noise) * math.sqrt(factor)
    else:
        unit = contrast.astype(np.float64) * factor
        if Inpaint.kind in tasks:  # all samples agree on what was measured
            unit = unit * np.sqrt(_depths(np.asarray(result.std) > 0, axes))
    if result.filled is not None:
        depth = np.sqrt(_depths(result.filled.mask, axes))
        unit = np.where(result.filled.mask, contrast * factor * depth, unit)
    return np.asarray(np.maximum(unit, np.finfo(np.float32).tiny))


def _depths(is_open: NDArray[np.bool_], axes: str) -> NDArray[np.float64]:
    """Pixels from each open one to the nearest that is not; 1 there, and if there is none."""
    layout = Layout.of(is_open, axes)
    planes = layout.to_planes(is_open)
    depths = np.ones(planes.shape)
    for place in np.ndindex(planes.shape[:2]):
        if not planes[place].all():
            depths[place] = np.maximum(distance_transform_edt(planes[place]), 1.0)
    return layout.from_planes(depths)


def expected_error(result: Restoration) -> NDArray[np.float32]:
    """See :meth:`~.result.Restoration.expected_error`."""
    if result.std is None:
        raise InputError(
            "the deviation of at least two samples tells how sure a restoration is, and there "
            "are none: restore with n_samples=16"
        )
    calibration, filled = result.error_calibration, result.filled
    if calibration is None:
        return result.std
    unit = unit_of(replace(result, filled=None))
    error = np.minimum(calibration.error(result.std / unit) * unit, error_measured(result))
    if filled is not None and filled.error_calibration is not None:
        unit = unit_of(result)
        in_holes = filled.error_calibration.error(result.std / unit) * unit
        error = np.where(filled.mask, in_holes, error)
    return np.asarray(error, dtype=np.float32)


def interval(result: Restoration, level: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """See :meth:`~.result.Restoration.interval`."""
    if not 0 < level < 1:
        raise InputError(f"level: expected a share between 0 and 1, got {level}")
    calibration, filled = result.error_calibration, result.filled
    gaussian = float(norm.ppf((1 + level) / 2))
    factor = gaussian if calibration is None else calibration.factor(level)
    half = factor * expected_error(result)
    if calibration is not None and filled is not None and filled.error_calibration is not None:
        ratio = filled.error_calibration.factor(level) / factor
        half = np.where(filled.mask, ratio * half, half).astype(np.float32)
    layout = Layout.of(np.asarray(result.mean), result.recipe.axes)
    mean = layout.without_alpha(np.asarray(result.mean)).astype(np.float32)
    return mean - half, mean + half
