"""Spatially correlated noise: one family, drawn and recognised.

White noise through a Gaussian along each axis, with its variance restored: what
interpolation, resampling and shared read-out leave, to a good approximation. The width
of the Gaussian is told by the noise's lag-1 autocorrelation along that axis. Everything
is in units of the noise; this module knows neither images nor noise models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.ndimage import correlate1d
from scipy.optimize import brentq

from napari_vae_restore.errors import InputError

FloatArray: TypeAlias = NDArray[np.float64]

WHITE: Final = (0.0, 0.0)

MAX_CORRELATION: Final = 0.95  # a width of 2.2 pixels: more is hardly told from structure
_RADIUS: Final = 12  # of the kernel in pixels, over five of the widest's deviations
_WIDTHS: Final = (0.05, 3.0)  # pixels; a correlation of 1e-87 and one above the greatest
_STEP: Final = 0.01  # between the correlations that are compared with a measurement


def checked_correlation(correlation: Sequence[float]) -> tuple[float, float]:
    """Return a correlation along Y and X as two plain floats.

    Parameters
    ----------
    correlation : sequence of 2 floats
        Lag-1 autocorrelation along Y and X, each in [0, 0.95].

    Returns
    -------
    tuple of 2 floats
        The same.

    Raises
    ------
    InputError
        If these are not two such numbers.
    """
    try:
        y, x = (_number(value) for value in correlation)
    except (TypeError, ValueError):
        y = x = math.nan
    if not (0 <= y <= MAX_CORRELATION and 0 <= x <= MAX_CORRELATION):
        raise InputError(
            "The correlation of noise is a pair of numbers from 0 to "
            f"{MAX_CORRELATION}, along Y and X, for example (0.6, 0.6); not {correlation!r}."
        )
    return y, x


def correlated_noise(
    shape: tuple[int, ...], correlation: tuple[float, float], rng: np.random.Generator
) -> FloatArray:
    """Draw Gaussian noise of mean 0, variance 1 and the given correlation.

    Parameters
    ----------
    shape : tuple of int
        Shape of the noise, (..., Y, X). A single axis is taken as X.
    correlation : (float, float)
        Lag-1 autocorrelation along Y and X, each in [0, 0.95]; all other axes are
        independent.
    rng : numpy.random.Generator
        Source of the randomness.

    Returns
    -------
    numpy.ndarray of float64
        Stationary up to the borders. White noise is ``rng.standard_normal(shape)``.

    Raises
    ------
    InputError
        If `correlation` is out of range.

    Examples
    --------
    >>> noise = correlated_noise((400, 400), (0.6, 0.0), np.random.default_rng(0))
    >>> round(float(np.mean(noise[1:] * noise[:-1])), 1), abs(round(float(noise.mean()), 1))
    (0.6, 0.0)
    """
    along = dict(zip((-2, -1), checked_correlation(correlation), strict=True))
    axes = {axis: rho for axis, rho in along.items() if rho > 0 and -axis <= len(shape)}
    larger = list(shape)
    for axis in axes:
        larger[axis] += 2 * _RADIUS
    noise = rng.standard_normal(larger)
    for axis, rho in axes.items():
        kernel = _kernel(correlation_width(rho))
        noise = correlate1d(noise, kernel / math.sqrt(float(kernel @ kernel)), axis)
        noise = noise.take(range(_RADIUS, noise.shape[axis] - _RADIUS), axis)
    return np.asarray(noise)


@lru_cache(maxsize=256)
def correlation_width(correlation: float) -> float:
    """Return the standard deviation of the Gaussian that gives white noise a correlation.

    Parameters
    ----------
    correlation : float
        Lag-1 autocorrelation, in [0, 0.95].

    Returns
    -------
    float
        Pixels; 0 for white noise.

    Examples
    --------
    >>> round(correlation_width(0.6), 2)
    0.72
    """
    if correlation <= 0:
        return 0.0
    return float(brentq(lambda w: _autocorrelation(w)[1] - correlation, *_WIDTHS))


def block_spectrum(correlation: tuple[float, float], size: int) -> FloatArray:
    """Return the expected energy of each cosine coefficient of a block of noise.

    Parameters
    ----------
    correlation : (float, float)
        Lag-1 autocorrelation along Y and X, each in [0, 0.95].
    size : int
        Pixels a side of the block, at most 16.

    Returns
    -------
    numpy.ndarray of float64
        (size, size), for noise of variance 1 and an orthonormal transform: the mean is 1,
        and white noise has 1 everywhere.
    """
    return np.multiply.outer(*(_spectrum(rho, size) for rho in correlation))


def fit_correlation(energy: FloatArray, used: NDArray[np.bool_]) -> tuple[float, float]:
    """Find the correlation whose spectrum a measured one follows, by maximum likelihood.

    The energy of a coefficient is the noise's variance times `block_spectrum`, with
    gamma-distributed scatter: up to constants, minus the log-likelihood per coefficient
    is the mean of log(S) + log of the mean of (energy / S), whatever the variance.

    Parameters
    ----------
    energy : numpy.ndarray
        (size, size), mean energies of the coefficients of flat blocks, positive.
    used : numpy.ndarray of bool
        (size, size), the coefficients to compare.

    Returns
    -------
    tuple of 2 floats
        Lag-1 autocorrelation along Y and X, in steps of 0.01.
    """
    candidates, spectra = _candidates(len(energy))
    weight = used / used.sum()
    quotient = (1 / spectra) @ (energy * weight) @ (1 / spectra).T  # (candidate y, x)
    logs = np.log(spectra)
    cost = np.log(quotient) + np.add.outer(logs @ weight.sum(axis=1), logs @ weight.sum(axis=0))
    y, x = np.unravel_index(np.argmin(cost), cost.shape)
    return float(candidates[y]), float(candidates[x])


def _number(value: Any) -> float:
    return math.nan if isinstance(value, (bool, str)) else float(value)


def _kernel(width: float) -> FloatArray:
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    return np.asarray(np.exp(-0.5 * (offsets / max(width, _WIDTHS[0])) ** 2))


def _autocorrelation(width: float) -> FloatArray:
    """Return the noise's autocorrelation at lags 0, 1, 2, ..."""
    kernel = _kernel(width)
    products = np.correlate(kernel, kernel, "full")[len(kernel) - 1 :]
    return np.asarray(products / products[0])


@lru_cache(maxsize=256)
def _spectrum(correlation: float, size: int) -> FloatArray:
    """Return the variance of each cosine coefficient of `size` pixels in a row."""
    lags = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    covariance = _autocorrelation(correlation_width(correlation))[lags]
    basis = dct(np.eye(size), axis=0, norm="ortho")  # (frequency, pixel)
    spectrum = np.einsum("fp,pq,fq->f", basis, covariance, basis)
    spectrum.setflags(write=False)
    return np.asarray(spectrum)


@lru_cache(maxsize=2)
def _candidates(size: int) -> tuple[FloatArray, FloatArray]:
    """Return the correlations to try, (n,), and their spectra, (n, size)."""
    n = round(MAX_CORRELATION / _STEP) + 1
    candidates = np.linspace(0, MAX_CORRELATION, n).round(2)
    return candidates, np.array([_spectrum(float(rho), size) for rho in candidates])
