"""A coarse estimate of the noise, where an image is too small or thin for blocks.

Differences of neighbours tell noise from what is smooth. Three kinds are compared, along X,
along Y and along both, because structure adds to each by its direction and noise alike: the
one with the least spread is believed. The median of their sizes is deaf to a few edges. Of
few differences the least is too low rather than too high, and so it should be: noise that
is stated too weak leaves some of it, noise that is stated too strong takes structure away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate2d

from napari_vae_restore.noise.correlation import Correlation, autocorrelation
from napari_vae_restore.noise.estimation.fit import LineFit, NoiseCurve, fit_line
from napari_vae_restore.noise.numbers import FloatArray, Mask

_MIN_DIFFERENCES: Final = 3  # fewer have no median to speak of
_ENOUGH: Final = 30  # with fewer, pixels next to each other but for missing ones are taken too
_MAX_DIFFERENCES: Final = 2**18  # bounds time
_NORMAL_MEDIAN: Final = 0.6744897501960817  # of |x|, x standard normal

_NOISE_FREE: Final = 1e-6  # of the range of intensities; less is rounding, not noise
_IN_BIN: Final = 80
_MAX_BINS: Final = 8
_MIN_BINS: Final = 3
_MODEL_ERROR: Final = 0.15  # relative; what a bin's variance is off by for other reasons
# Variance of the logarithm of a squared median of |x|, times independent x.
_MEDIAN_ERROR: Final = 5.4


@dataclass(frozen=True, slots=True)
class _Differences:
    """Differences of one kind, of unit gain for the noise, and the means of their pixels."""

    size: FloatArray  # (n,) absolute values
    mean: FloatArray  # (n,)
    overlap: float  # of how many each one counts for as one: neighbours share pixels

    def variance(self, which: NDArray[np.intp] | slice = slice(None)) -> float:
        return float(np.median(self.size[which]) / _NORMAL_MEDIAN) ** 2


@dataclass(frozen=True, slots=True)
class CoarseFits:
    """What differences of neighbours show."""

    mean: FloatArray  # (n,) intensities at which they were taken
    constant: LineFit  # one variance for all
    # A variance that depends on the signal; None where there are too few differences.
    line: LineFit | None


def coarse_fits(
    stack: NDArray[Any], observed: Mask | None, correlation: Correlation
) -> CoarseFits | None:
    """Fit the noise variance of small planes (n, H, W); `observed` is False where missing."""
    mask = np.isfinite(stack) if observed is None else observed & np.isfinite(stack)
    seen = stack[mask]
    if len(np.unique(seen)) < 3:
        return None
    values = np.where(mask, stack, seen[0]).astype(np.float64)
    kinds = _differences(values, mask, correlation)
    if not kinds:
        return None
    least = min(kinds, key=_Differences.variance)
    variance = least.variance()
    if not variance > (_NOISE_FREE * float(np.ptp(seen.astype(np.float64)))) ** 2:
        return None
    curve, cost, line = _curve(least), 0.0, None
    if curve is not None:
        cost = fit_line(curve, -math.inf, math.inf, gaussian=True).cost
        line = fit_line(curve, -math.inf, math.inf, gaussian=False)
    constant = LineFit(0.0, variance, -math.inf, math.inf, cost)
    return CoarseFits(least.mean, constant, line)


def _differences(
    values: FloatArray, mask: Mask, correlation: Correlation
) -> list[_Differences]:
    """Each kind of which there are a few at least."""
    along_y, along_x = (_kernel(n) for n in values.shape[1:])
    kernels = [each for each in (along_x[None], along_y[:, None]) if each.size == 3]
    if along_y.size > 1 < along_x.size:
        kernels.append(np.multiply.outer(along_y, along_x))
    kinds = [_filtered(values, mask, kernel, correlation) for kernel in kernels]
    if max((len(kind.size) for kind in kinds), default=0) < _ENOUGH:
        for axis, kernel in ((2, _kernel(3)[None]), (1, _kernel(3)[:, None])):
            packed = _packed(values, mask, axis)
            kinds.append(_filtered(*packed, kernel, correlation))
    return [kind for kind in kinds if len(kind.size) >= _MIN_DIFFERENCES]


def _kernel(length: int) -> FloatArray:
    """The highest difference, up to the second, that fits; [1] where none does."""
    kernels = ([1.0], [1.0, -1.0], [1.0, -2.0, 1.0])
    kernel = np.array(kernels[min(length, 3) - 1])
    return np.asarray(kernel / np.linalg.norm(kernel))


def _filtered(
    values: FloatArray, mask: Mask, kernel: FloatArray, correlation: Correlation
) -> _Differences:
    """The kernel's products with wholly observed windows."""
    shape = kernel.shape
    if any(n < m for n, m in zip(values.shape[1:], shape, strict=True)):
        return _Differences(np.empty(0), np.empty(0), 1.0)
    view = np.lib.stride_tricks.sliding_window_view
    windows, masks = view(values, shape, (1, 2)), view(mask, shape, (1, 2))
    whole = np.flatnonzero(masks.all(axis=(-1, -2)))
    chosen = np.unravel_index(
        whole[:: -(-len(whole) // _MAX_DIFFERENCES) or 1], masks.shape[:3]
    )
    pixels = windows[chosen]
    shared = correlate2d(kernel, kernel)
    reach = max(shape) - 1
    centre = tuple(slice(reach - m + 1, reach + m) for m in shape)
    gain = float((shared * autocorrelation(correlation, reach)[centre]).sum())
    size = np.abs((pixels * kernel).sum(axis=(-1, -2))) / math.sqrt(gain)
    return _Differences(size, pixels.mean(axis=(-1, -2)), float(np.square(shared).sum()))


def _packed(values: FloatArray, mask: Mask, axis: int) -> tuple[FloatArray, Mask]:
    """What is observed of each line, moved together."""
    order = np.argsort(~mask, axis=axis, kind="stable")
    return np.take_along_axis(values, order, axis), np.take_along_axis(mask, order, axis)


def _curve(kind: _Differences) -> NoiseCurve | None:
    """Variance against intensity, where there are enough differences at several levels."""
    n = len(kind.size)
    n_bins = min(n // _IN_BIN, _MAX_BINS)
    if n_bins < _MIN_BINS:
        return None
    bins = np.array_split(np.argsort(kind.mean, kind="stable"), n_bins)
    variance = np.array([kind.variance(each) for each in bins])
    if not (variance > 0).all():
        return None
    mean = np.array([kind.mean[each].mean() for each in bins])
    sampling = [_MEDIAN_ERROR * kind.overlap / len(each) for each in bins]
    return NoiseCurve(mean, variance, np.sqrt(_MODEL_ERROR**2 + np.array(sampling)))
