"""What was taken out of an image by a restoration: does it look like noise?

The residual y - A x of a good result is the noise and nothing else: as large as the noise
model says, and no more alike from pixel to pixel. This module compares arrays; it knows
neither networks nor windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.arrays import MAX_INTENSITY, is_usable
from napari_vae_restore.errors import InputError
from napari_vae_restore.layout import Layout
from napari_vae_restore.noise.correlation import lag_one
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.residuals import LAGS, MIN_CORRELATION, residual_autocorrelation
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.tasks import Task

RATIO_LOW, RATIO_HIGH = 0.85, 1.15
"""Residual over expected noise within which a result needs no comment."""


@dataclass(frozen=True, slots=True, eq=False)
class ResidualCheck:
    """The residual of a restoration, and how much it is like noise.

    Attributes
    ----------
    residual : numpy.ndarray of float32
        y - A x in the image's axes and intensity units, without alpha; 0 where a pixel was
        missing.
    ratio : float or None
        Its root mean square over that of the expected noise; None for an image that was
        taken as free of noise.
    correlation : (float, float)
        Lag-1 autocorrelation along Y and X, of the residual in units of the noise.
    expected : (float, float)
        The same of the noise model, the mean over channels.
    """

    residual: NDArray[np.float32]
    ratio: float | None
    correlation: tuple[float, float]
    expected: tuple[float, float]

    @property
    def looks_like_noise(self) -> bool:
        """Whether neither its size nor its neighbours speak against noise."""
        if self.ratio is None:
            return False
        return RATIO_LOW <= self.ratio <= RATIO_HIGH and self._excess < MIN_CORRELATION

    @property
    def verdict(self) -> str:
        """What it says about the result and what to do, in plain words."""
        if self.ratio is None:
            largest = float(np.abs(self.residual).max())
            return (
                "The image was taken as free of noise, and the result agrees with it to "
                f"within {largest:.2g}."
            )
        y, x = self.correlation
        size = f"its σ is {self.ratio:.2f} × that of the noise"
        alike = f"neighbours correlate by {_told(y)} along Y and {_told(x)} along X"
        expected = " and ".join(_told(value) for value in self.expected)
        if self._excess >= MIN_CORRELATION:
            return (
                f"Structure was removed: in the residual {alike}, in the noise by {expected}. "
                "Look where it shows edges or shapes, then state the noise or adapt the model "
                "in Train & Adapt."
            )
        if self.ratio > RATIO_HIGH:
            return (
                f"More than noise was removed: {size}. Fine structure may be missing; check "
                "the noise."
            )
        if self.ratio < RATIO_LOW:
            return f"Some noise remains: {size}. State a stronger noise to remove more."
        return f"The residual looks like noise: {size}, and {alike} (noise: {expected})."

    @property
    def _excess(self) -> float:
        """By how much neighbours are more alike than those of the noise."""
        pairs = zip(self.correlation, self.expected, strict=True)
        return max(found - expected for found, expected in pairs)


def check_residual(
    image: NDArray[Any],
    restored: NDArray[Any],
    tasks: Task | Sequence[Task],
    noise: Sequence[NoiseModel],
    *,
    axes: str,
) -> ResidualCheck:
    """Compare what a restoration removed with the noise that was expected.

    Parameters
    ----------
    image, restored : numpy.ndarray
        The measurement y and the estimate x, in the same axes and intensity units.
    tasks : Task or sequence of Task
        What was done to the image; missing pixels are left out.
    noise : sequence of NoiseModel
        One for each channel, such as ``out.diagnostics.noise``; none for an image that was
        taken as free of noise.
    axes : str
        One letter per dimension, such as ``out.recipe.axes``.

    Returns
    -------
    ResidualCheck
        The residual and what it says.

    Raises
    ------
    InputError
        If the shapes do not fit each other, the axes or the tasks, or there are not as many
        noise models as channels.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vae_restore import Denoise, GaussianNoise
    >>> flat, rng = np.full((64, 64), 100.0), np.random.default_rng(0)
    >>> noise = GaussianNoise(5.0)
    >>> noisy = noise.sample(flat, rng)
    >>> check_residual(noisy, flat, Denoise(), [noise], axes="YX").looks_like_noise
    True
    """
    layout = Layout.of(image, axes)
    problem = Problem.of(tasks, layout)
    measured = layout.to_planes(image)
    estimate = Layout.of(restored, axes).to_planes(restored)
    _check_fit(measured.shape, estimate.shape, problem.factor, len(noise))
    _check_usable(measured, estimate, problem.missing)
    residual = np.zeros(measured.shape, np.float32)
    standard = np.zeros(measured.shape)
    removed = expected = 0.0
    for n, plane in enumerate(measured):
        predicted = problem.operator(None).apply(estimate[n].astype(np.float64))
        missing = problem.missing
        where = np.ones(plane.shape, bool) if missing is None else ~np.asarray(missing[n])
        difference = plane.astype(np.float64) - predicted
        residual[n] = np.where(where, difference, 0.0)
        standard[n] = np.where(where, difference, np.nan)
        for channel, model in enumerate(noise):
            variance = model.variance(predicted[channel])
            removed += float(np.square(difference[channel]).sum(where=where[channel]))
            expected += float(variance.sum(where=where[channel]))
            standard[n, channel] /= np.sqrt(variance)
    if not noise:
        return ResidualCheck(layout.from_planes(residual), None, (0.0, 0.0), (0.0, 0.0))
    lags = residual_autocorrelation(standard)
    known = np.mean([lag_one(model.correlation) for model in noise], axis=0)
    return ResidualCheck(
        layout.from_planes(residual),
        math.sqrt(removed / expected) if expected else None,
        (float(lags[LAGS + 1, LAGS]), float(lags[LAGS, LAGS + 1])),
        (float(known[0]), float(known[1])),
    )


def _check_usable(
    measured: NDArray[Any], estimate: NDArray[Any], missing: NDArray[np.bool_] | None
) -> None:
    observed = measured if missing is None else measured[~np.asarray(missing)]
    for name, values in (("image", observed), ("restored", estimate)):
        if values.dtype.kind == "f" and not is_usable(values).all():
            raise InputError(
                f"{name}: expected finite intensities up to {MAX_INTENSITY:g} outside the "
                "mask, but others came: give the image and what restore() returned of it"
            )


def _told(correlation: float) -> str:
    """Two digits, with a minus sign, but not before a rounded zero."""
    return f"{round(correlation, 2) + 0.0:.2f}".replace("-", "−")


def _check_fit(
    image: tuple[int, ...], restored: tuple[int, ...], factor: int, n_noise: int
) -> None:
    enlarged = (*image[:2], *(factor * side for side in image[2:]))
    if restored != enlarged:
        raise InputError(
            f"restored: expected {enlarged} (planes, channels, height, width), {factor} times "
            f"the image's height and width, got {restored}: give the image that it was made of"
        )
    if n_noise not in (0, image[1]):
        raise InputError(
            f"noise: expected none, or one model for each of {image[1]} channels, got {n_noise}"
        )
