"""What the residual y - x of a restoration tells of the noise, in stabilised units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from napari_vae_restore.noise.autoregression import Direction, fit_autoregression
from napari_vae_restore.noise.correlation import (
    MAX_CORRELATION,
    WHITE,
    Correlation,
    autocorrelation,
)
from napari_vae_restore.noise.numbers import FloatArray

LAGS: Final = 6  # pixels up to which an autocorrelation is measured

# Lag-1 autocorrelation below which noise is called white: a restoration takes up to a tenth
# of structure away, and the residual of white noise shows it.
MIN_CORRELATION: Final = 0.15

_BLUR_TOLERANCE: Final = 0.08  # of each lag, up to which a blur explains what was measured
_BLUR_LAGS: Final = 3
_OUTLIER: Final = 6.0  # standard deviations; a hot pixel would be all that is seen
_BINS: Final = 24
_MIN_IN_BIN: Final = 30
_MAX_SHARES: Final = 200


@dataclass(frozen=True, slots=True)
class VarianceCurve:
    """Measured noise variance against signal, one entry for each bin of the signal."""

    signal: FloatArray  # (n,) mean signal, intensity units, rising
    variance: FloatArray  # (n,) squared intensity units
    count: NDArray[np.intp]  # (n,) pixels


def residual_autocorrelation(residual: ArrayLike) -> FloatArray:
    """(13, 13): autocorrelation of residuals (..., H, W) up to 6 pixels, 1 at the centre.

    Pooled over all planes, pixels that are not finite left out; 0 at lags that they do not
    hold.
    """
    planes = np.asarray(residual, dtype=np.float64)
    planes = planes.reshape(-1, *planes.shape[-2:])
    height, width = planes.shape[-2:]
    shape = tuple(next_fast_len(n + LAGS, real=True) for n in (height, width))
    products = np.zeros(shape)
    pairs = np.zeros(shape)
    for plane in planes:
        seen = usual(plane)
        if not seen.any():
            continue
        values = np.where(seen, plane - plane[seen].mean(), 0.0)
        for total, field in ((products, values), (pairs, seen.astype(np.float64))):
            total += irfft2(np.abs(rfft2(field, shape)) ** 2, shape)
    lags = np.arange(-LAGS, LAGS + 1)
    square = np.ix_(lags, lags)
    mean = products[square] / np.maximum(pairs[square], 1.0)
    mean[(np.abs(lags) >= height)[:, None] | (np.abs(lags) >= width)[None]] = 0.0
    if mean[LAGS, LAGS] <= 0:
        return np.asarray((np.add.outer(np.abs(lags), np.abs(lags)) == 0).astype(np.float64))
    return np.asarray(mean / mean[LAGS, LAGS])


def choose_correlation(measured: FloatArray, direction: Direction | None = None) -> Correlation:
    """Choose the simplest description of an autocorrelation.

    White below a lag-1 of 0.15; then blurred white noise, where two numbers explain the
    lags up to 3 pixels to within 0.08; then an autoregression along the one axis along which
    neighbours correlate, or in the plane.
    """
    if direction is not None:
        return fit_autoregression(measured, direction)
    y, x = float(measured[LAGS + 1, LAGS]), float(measured[LAGS, LAGS + 1])
    if max(abs(y), abs(x)) < MIN_CORRELATION:
        return WHITE
    blur = tuple(
        round(min(rho, MAX_CORRELATION), 2) if rho >= MIN_CORRELATION else 0.0 for rho in (y, x)
    )
    near = slice(LAGS - _BLUR_LAGS, LAGS + _BLUR_LAGS + 1)
    explained = autocorrelation((blur[0], blur[1]), _BLUR_LAGS)
    if np.abs(measured[near, near] - explained).max() <= _BLUR_TOLERANCE:
        return blur[0], blur[1]
    if abs(y) < MIN_CORRELATION:
        return fit_autoregression(measured, "row")
    if abs(x) < MIN_CORRELATION:
        return fit_autoregression(measured, "column")
    return fit_autoregression(measured, "plane")


def variance_curve(signal: ArrayLike, y: ArrayLike) -> VarianceCurve:
    """Measure the variance of y - s in bins of s, deaf to hot pixels."""
    s, measured = (np.asarray(values, dtype=np.float64).ravel() for values in (signal, y))
    seen = np.isfinite(s) & np.isfinite(measured)
    s, residual = s[seen], (measured - s)[seen]
    bins = signal_bins(s)
    rows = []
    for index in np.unique(bins):
        members = np.flatnonzero(bins == index)
        members = members[usual(residual[members])]
        if len(members) > 0:
            rows.append((s[members].mean(), np.mean(residual[members] ** 2), len(members)))
    signals, variances, counts = np.array(rows).reshape(-1, 3).T
    return VarianceCurve(signals, variances, counts.astype(np.intp))


def signal_bins(signal: FloatArray) -> NDArray[np.intp]:
    """Divide signals (n,) into rising bins, half of equal counts and half of equal range.

    Bins of less than a two-hundredth of the pixels, or 30, are joined with the next.
    """
    share = np.linspace(0, 1, _BINS // 2 + 1)
    edges = np.union1d(np.quantile(signal, share), signal.min() + np.ptp(signal) * share)
    bins = np.searchsorted(edges[1:-1], signal, side="right")
    enough = max(_MIN_IN_BIN, len(signal) // _MAX_SHARES)
    joined = np.zeros(len(edges), np.intp)
    group = filled = 0
    for index, count in enumerate(np.bincount(bins, minlength=len(edges))):
        joined[index] = group
        filled += int(count)
        if filled >= enough:
            group, filled = group + 1, 0
    if filled < enough and group > 0:  # what is left over is too small for itself
        joined[joined == group] = group - 1
    return np.asarray(joined[bins])


def usual(values: FloatArray) -> NDArray[np.bool_]:
    """The finite values that are within six standard deviations of their median."""
    seen = np.isfinite(values)
    if not seen.any():
        return seen
    middle = np.median(values[seen])
    low, high = np.percentile(values[seen], (15.9, 84.1))
    spread = (high - low) / 2 or float(values[seen].std())
    with np.errstate(invalid="ignore"):
        return np.asarray(seen & (np.abs(values - middle) <= _OUTLIER * spread))
