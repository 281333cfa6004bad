"""Intervals that contain the truth as often as they say, out of the samples' spread.

The standard deviation of samples is translated by what the model's calibration found
(:class:`~.spread.Spread`), in a unit in which pictures are alike: the noise's standard
deviation where there is noise, and otherwise the picture's range.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from napari_vae_restore.errors import InputError
from napari_vae_restore.layout import Layout
from napari_vae_restore.restoration.tasks import Inpaint, Task
from napari_vae_restore.restoration.units import BLACK_WHITE

if TYPE_CHECKING:
    from napari_vae_restore.restoration.result import Restoration

KINDS: Final = ("denoise", "inpaint", "super-resolve")
"""What is calibrated apart; mixtures with noise count as denoising."""


def kind_of(tasks: Iterable[Task], *, is_noisy: bool) -> str:
    """Which calibration holds for a restoration: a key of :attr:`~.model.Model.spreads`."""
    if is_noisy:
        return KINDS[0]
    return KINDS[1] if any(isinstance(task, Inpaint) for task in tasks) else KINDS[2]


def unit_of(result: Restoration) -> NDArray[np.float64]:
    """What one standard deviation is a multiple of, in intensity units.

    Parameters
    ----------
    result : Restoration
        Of any task.

    Returns
    -------
    numpy.ndarray
        The shape of `std`, or one that broadcasts to it; above 0.
    """
    noise = result.diagnostics.noise
    if not noise:
        black, white = np.percentile(np.asarray(result.mean), BLACK_WHITE)
        return np.array(max(float(white - black), np.finfo(np.float32).tiny))
    mean = np.asarray(result.mean)
    layout = Layout.of(mean, result.recipe.axes)
    planes = layout.to_planes(mean).astype(np.float64)
    variance = [model.variance(planes[:, c]) for c, model in enumerate(noise)]
    return layout.from_planes(np.sqrt(np.stack(variance, axis=1)))


def expected_error(result: Restoration) -> NDArray[np.float32]:
    """See :meth:`~.result.Restoration.expected_error`."""
    if result.std is None:
        raise InputError(
            "the spread of at least two samples tells how sure a restoration is, and there "
            "are none: restore with n_samples=16"
        )
    if result.spread is None:
        return result.std
    unit = unit_of(result)
    return np.asarray(result.spread.error(result.std / unit) * unit, dtype=np.float32)


def interval(result: Restoration, level: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """See :meth:`~.result.Restoration.interval`."""
    if not 0 < level < 1:
        raise InputError(f"level: expected a share between 0 and 1, got {level}")
    spread = result.spread
    factor = float(norm.ppf((1 + level) / 2)) if spread is None else spread.factor(level)
    half = factor * expected_error(result)
    layout = Layout.of(np.asarray(result.mean), result.recipe.axes)
    mean = layout.without_alpha(np.asarray(result.mean)).astype(np.float32)
    return mean - half, mean + half
