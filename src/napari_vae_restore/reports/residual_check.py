"""What was taken out of an image by a restoration: does it look like noise?

The residual y - A x of a good result is the noise and nothing else: as large as the noise
model says, and no more alike from pixel to pixel. This module compares arrays; it knows
neither networks nor windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import MAX_INTENSITY, is_usable
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.noise.correlation import lag_one
from napari_vae_restore.noise.estimation.residuals import LAGS, residual_autocorrelation
from napari_vae_restore.noise.estimation.unmeasured import repeat_side
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.blocks.mending import without_measurement
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.tasks import Denoise, Task
from napari_vae_restore.restoration.trust.evidence import Evidence, evidence
from napari_vae_restore.restoration.trust.verdict import KEEP, Verdict, check_noise, judged

_WHOLE: Final = 0.9  # residual over expected noise; its size is explained below it


@dataclass(frozen=True, slots=True, eq=False)
class ResidualCheck:
    """The residual of a restoration, and how much it is like noise.

    Attributes
    ----------
    residual : numpy.ndarray of float32
        y - A x in the image's axes and intensity units, without alpha; 0 where a pixel was
        missing.
    ratio : float or None
        Its root mean square over that of the expected noise, 0 where nothing was measured;
        None for an image that was taken as free of noise.
    correlation : (float, float)
        Lag-1 autocorrelation along Y and X, of the residual in units of the noise.
    expected : (float, float)
        The same of the noise model, the mean over channels.
    judged : Verdict
        What speaks against the result, and where; the same that the restoration said, but
        for the mean's rounding.
    """

    residual: NDArray[np.float32]
    ratio: float | None
    correlation: tuple[float, float]
    expected: tuple[float, float]
    judged: Verdict = KEEP

    @property
    def looks_like_noise(self) -> bool:
        """Whether there was noise, and nothing else was removed."""
        return self.ratio is not None and self.judged.grade == "keep"

    @property
    def verdict(self) -> str:
        """What it says about the result and what to do, in plain words."""
        if self.ratio is None:
            largest = float(np.abs(self.residual).max())
            return (
                "The image was taken as free of noise, and the result agrees with it to "
                f"within {largest:.2g}."
            )
        if self.judged.text:
            return self.judged.text
        size = f"its σ is {self.ratio:.2f} × that of the noise"
        if self.ratio < _WHOLE:
            size += ", since what is as fine as noise keeps some of it"
        y, x = (_two_digits(value) for value in self.correlation)
        expected = " and ".join(_two_digits(value) for value in self.expected)
        return (
            f"Keep it: the residual looks like noise. {size[0].upper()}{size[1:]}; neighbours "
            f"correlate by {y} along Y and {x} along X (noise: {expected})."
        )


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
    listed = tasks if isinstance(tasks, Sequence) else (tasks,)
    problem = Problem.of(tasks, layout)
    measured = layout.to_planes(image)
    estimate = Layout.of(restored, axes).to_planes(restored)
    _check_fit(measured.shape, estimate.shape, problem.factor, len(noise))
    missing = problem.missing
    if measured.dtype.kind == "f" and any(isinstance(task, Denoise) for task in listed):
        unknown = np.isnan(measured)
        missing = unknown if missing is None else np.asarray(missing) | unknown
    _check_usable(measured, estimate, missing)
    side = repeat_side(measured.reshape(-1, *measured.shape[2:]))
    missing = without_measurement(measured, missing, side)
    residual = np.zeros(measured.shape, np.float32)
    standard = np.zeros(measured.shape)
    observed = np.ones(measured.shape, bool) if missing is None else ~np.asarray(missing)
    removed = expected = 0.0
    parts = []
    for n, (plane, where) in enumerate(zip(measured, observed, strict=True)):
        predicted = problem.operator(None).apply(estimate[n].astype(np.float64))
        difference = plane.astype(np.float64) - predicted
        residual[n] = np.where(where, difference, 0.0)
        parts.append(evidence(plane, predicted, noise, where, plane=n))
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
        math.sqrt(removed / expected) if expected else 0.0,
        (float(lags[LAGS + 1, LAGS]), float(lags[LAGS, LAGS + 1])),
        (float(known[0]), float(known[1])),
        judged(Evidence.total(parts), check_noise(measured, missing, noise)),
    )


def _check_usable(
    measured: NDArray[Any], estimate: NDArray[Any], missing: NDArray[np.bool_] | None
) -> None:
    observed = measured if missing is None else measured[~np.asarray(missing)]
    is_apart = missing is not None and estimate.shape == measured.shape
    here = estimate[~np.asarray(missing)] if is_apart else estimate
    for name, values in (("image", observed), ("restored", here)):
        if values.dtype.kind == "f" and not is_usable(values).all():
            raise InputError(
                f"{name}: expected finite intensities up to {MAX_INTENSITY:g} outside the "
                "mask, but others came: give the image and what restore() returned of it"
            )


def _two_digits(correlation: float) -> str:
    """With a minus sign, but not before a rounded zero."""
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
