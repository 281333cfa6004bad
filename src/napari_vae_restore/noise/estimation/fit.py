"""A line through measured noise variances: variance = a s + b, with clipped levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import least_squares
from scipy.special import ndtr

from napari_vae_restore.noise.numbers import FloatArray

_CLIPPING_GRID: Final = 256  # signals at which clipping is computed; interpolated between
_TINY: Final = 1e-300  # keeps quotients and logarithms finite


@dataclass(frozen=True, slots=True)
class NoiseCurve:
    """Measured noise variance against intensity, one entry per bin."""

    mean: FloatArray
    variance: FloatArray
    error: FloatArray  # standard deviation of log(variance)


@dataclass(frozen=True, slots=True)
class LineFit:
    """Variance a s + b under clipping to [low, high], and how badly it fits."""

    a: float
    b: float
    low: float
    high: float
    cost: float

    def line(self, signal: FloatArray | np.floating) -> FloatArray:
        return np.asarray(self.a * signal + self.b)


def fit_line(curve: NoiseCurve, low: float, high: float, gaussian: bool) -> LineFit:
    """Fit the variance's logarithm, one-sidedly robust: structure only ever adds."""
    darkest, brightest = float(curve.mean.min()), float(curve.mean.max())
    log_measured = np.log(curve.variance)

    def line(parameters: FloatArray) -> tuple[float, float]:
        # The variances at both ends: positive, well scaled whatever the units.
        first, last = np.exp(parameters[[0, -1]])
        a = 0.0 if gaussian or brightest == darkest else (last - first) / (brightest - darkest)
        return float(a), float(first - a * darkest)

    def residuals(parameters: FloatArray) -> FloatArray:
        predicted = _clipped_variance(curve.mean, *line(parameters), low, high)
        r = (log_measured - np.log(predicted)) / curve.error
        # Pseudo-Huber above the curve, plain squares below it.
        return np.where(r > 0, np.sqrt(2 * (np.hypot(1, r) - 1)), r)

    ends = log_measured[[np.argmin(curve.mean), np.argmax(curve.mean)]]
    calm = np.quantile(log_measured, [0.1, 0.5])
    starts = (ends[:1], calm[:1], calm[1:]) if gaussian else (ends, calm)
    results = [least_squares(residuals, start) for start in starts]
    best = min(results, key=lambda result: float(result.cost))
    return LineFit(*line(best.x), low, high, float(best.cost))


def _clipped_variance(
    mean: FloatArray, a: float, b: float, low: float, high: float
) -> FloatArray:
    """The variance that clipping leaves where the clipped values average `mean`."""
    tiny = 1e-12 * max(abs(a) * float(np.abs(mean).max()) + abs(b), _TINY)
    if math.isinf(low) and math.isinf(high):
        return np.asarray(np.maximum(a * mean + b, tiny))
    margin = 0.3 * np.ptp(mean) + math.sqrt(max(a * float(mean.max()) + b, tiny))
    signal = np.linspace(mean.min() - margin, mean.max() + margin, _CLIPPING_GRID)
    clipped_mean, variance = _censored_moments(
        signal, np.sqrt(np.maximum(a * signal + b, tiny)), low, high
    )
    rising = np.append(True, np.diff(np.maximum.accumulate(clipped_mean)) > 0)
    interpolated = np.interp(mean, clipped_mean[rising], variance[rising])
    return np.asarray(np.maximum(interpolated, tiny))


def _censored_moments(
    signal: FloatArray, std: FloatArray, low: float, high: float
) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of a Gaussian clipped to [low, high] (Foi et al. 2008, IV)."""
    lower, upper = (np.clip((level - signal) / std, -40, 40) for level in (low, high))
    below, above = ndtr(lower), ndtr(-upper)
    density_low, density_high = (
        np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) for z in (lower, upper)
    )
    first = lower * below + upper * above + density_low - density_high
    second = (
        lower**2 * below
        + upper**2 * above
        + (1 - below - above)
        + lower * density_low
        - upper * density_high
    )
    return signal + std * first, std**2 * (second - first**2)
