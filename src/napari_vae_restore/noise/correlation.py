"""Spatially correlated noise, in units of the noise: two families, drawn and recognised.

White noise through a Gaussian along each axis, with its variance restored: what
interpolation, resampling and shared read-out leave, to a good approximation. The width
of the Gaussian follows from the noise's lag-1 autocorrelation along that axis, so a pair
of numbers says it all. Any other noise is an :class:`~.autoregression.Autoregression`:
lines along rows or columns, or any spectrum over a few pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
from scipy.ndimage import correlate1d
from scipy.optimize import brentq

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.autoregression import (
    DIRECTIONS,
    Autoregression,
    fit_autoregression,
)
from napari_vae_restore.noise.numbers import FloatArray

# Lag-1 autocorrelation along Y and X of blurred white noise, or an autoregression.
Correlation: TypeAlias = tuple[float, float] | Autoregression

WHITE: Final = (0.0, 0.0)

MAX_CORRELATION: Final = 0.95  # a width of 2.2 pixels: more looks like structure
_RADIUS: Final = 12  # of the kernel in pixels, over five of the widest's deviations
_WIDTHS: Final = (0.05, 3.0)  # pixels; a correlation of 1e-87 and one above the greatest
_STEP: Final = 0.01  # between the correlations that are compared with a measurement
_TOLD_LAGS: Final = 2  # pixels over which a blur follows an autoregression
_RESPONSE: Final = 20  # pixels that a filter reaches to each side
_LAGS: Final = 6  # pixels over which an autoregression follows a blur
# White noise in the autoregression of a blur, whose own innovations all but vanish: no
# measured noise is that smooth, and the highest frequencies would decide everything.
_LOADING: Final = 0.01


def checked_correlation(correlation: Any) -> Correlation:
    """A correlation in its plain form; raises InputError if it is none, or out of range."""
    if isinstance(correlation, Autoregression):
        return correlation
    if isinstance(correlation, Mapping):
        if set(correlation) != {"direction", "coefficients"}:
            raise InputError(
                "The JSON form of noise correlated along a line has the keys 'direction' and "
                f"'coefficients', not {sorted(map(str, correlation))}."
            )
        return Autoregression(correlation["direction"], tuple(correlation["coefficients"]))
    try:
        y, x = (_number(value) for value in correlation)
    except (TypeError, ValueError):
        y = x = math.nan
    if not (0 <= y <= MAX_CORRELATION and 0 <= x <= MAX_CORRELATION):
        raise InputError(
            "The correlation of noise is a pair of numbers from 0 to "
            f"{MAX_CORRELATION}, along Y and X, for example (0.6, 0.6), or an "
            f"Autoregression; not {correlation!r}."
        )
    return y, x


def parse_correlation(text: str) -> Correlation:
    """Read what :func:`written` gives behind its "@"; raises InputError for another form."""
    direction, colon, values = text.strip().rpartition(":")
    try:
        numbers = tuple(float(value) for value in values.split(","))
    except ValueError:
        numbers = ()
    if not colon:
        return checked_correlation(numbers)
    for known in DIRECTIONS:
        if direction.strip().lower() == known:
            return Autoregression(known, numbers)
    raise InputError(
        f"Noise is correlated along {', '.join(DIRECTIONS)}, as in 'row:0.8', not along "
        f"{direction!r}."
    )


def written(correlation: Correlation) -> str:
    """What stands behind a noise model's numbers: "@Y,X" or "@row:A"; "" for white noise."""
    if isinstance(correlation, Autoregression):
        return f"@{correlation}"
    return "" if correlation == WHITE else "@{!r},{!r}".format(*correlation)


def json_form(correlation: Correlation) -> dict[str, Any]:
    """The part of a noise model's JSON form; empty for white noise."""
    if isinstance(correlation, Autoregression):
        coefficients = list(correlation.coefficients)
        form = {"direction": correlation.direction, "coefficients": coefficients}
        return {"correlation": form}
    return {} if correlation == WHITE else {"correlation": list(correlation)}


def autocorrelation(correlation: Correlation, reach: int) -> FloatArray:
    """(2 reach + 1, 2 reach + 1): autocorrelation at lags up to `reach`, at most 24 pixels."""
    if isinstance(correlation, Autoregression):
        return correlation.autocorrelation(reach)
    lags = np.abs(np.arange(-reach, reach + 1))
    along = (_autocorrelation(correlation_width(rho))[lags] for rho in correlation)
    return np.multiply.outer(*along)


def lag_one(correlation: Correlation) -> tuple[float, float]:
    """Lag-1 autocorrelation along Y and X."""
    if not isinstance(correlation, Autoregression):
        return correlation
    lags = correlation.autocorrelation(1)
    return float(lags[2, 1]), float(lags[1, 2])


@lru_cache(maxsize=256)
def nearest_blur(correlation: Correlation) -> tuple[float, float]:
    """The blurred white noise whose autocorrelation is nearest.

    It is what to tell a network that has learned from blurred noise. On microscopy with
    noise of 0.3 to 0.95 along rows, least squares over two pixels came within 0.2 dB of the
    best pair; the lag-1 autocorrelation alone lost up to 0.5 dB, since the tail of an
    autoregression is longer than a blur's (``benchmarks/correlated_noise.py``).
    """
    if not isinstance(correlation, Autoregression):
        return correlation
    lags = correlation.autocorrelation(_TOLD_LAGS)
    tried, curves = _curves(_TOLD_LAGS)
    y, x = (
        float(tried[np.square(curves - along[_TOLD_LAGS:]).sum(axis=1).argmin()])
        for along in (lags[:, _TOLD_LAGS], lags[_TOLD_LAGS])
    )
    return y, x


@lru_cache(maxsize=256)
def as_autoregression(correlation: Correlation) -> Autoregression | None:
    """The autoregression that has a correlation; None for white noise."""
    if isinstance(correlation, Autoregression):
        return correlation
    if correlation == WHITE:
        return None
    lags = autocorrelation(correlation, _LAGS) / (1 + _LOADING)
    lags[_LAGS, _LAGS] = 1.0
    y, x = correlation
    return fit_autoregression(lags, "row" if y == 0 else "column" if x == 0 else "plane")


def correlated_noise(
    shape: tuple[int, ...], correlation: Correlation, rng: np.random.Generator
) -> FloatArray:
    """Draw Gaussian noise of mean 0, variance 1 and the given correlation, (..., Y, X).

    A single axis is taken as X. Raises InputError if the correlation is out of range.

    Examples
    --------
    >>> noise = correlated_noise((400, 400), (0.6, 0.0), np.random.default_rng(0))
    >>> round(float(np.mean(noise[1:] * noise[:-1])), 1), abs(round(float(noise.mean()), 1))
    (0.6, 0.0)
    """
    correlation = checked_correlation(correlation)
    if isinstance(correlation, Autoregression):
        return correlation.draw(shape, rng)
    along = dict(zip((-2, -1), correlation, strict=True))
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


@lru_cache(maxsize=64)
def impulse_response(correlation: Correlation) -> FloatArray:
    """The symmetric filter (Y, X), of odd sides and unit energy, that correlates white noise.

    Its transfer function is the root of the noise's spectrum, cut after a few pixels: unlike
    :func:`correlated_noise` it has a place, so that parts of a field can be drawn apart.
    """
    if correlation == WHITE:
        return np.ones((1, 1))
    spectrum = np.fft.fft2(np.fft.ifftshift(autocorrelation(correlation, _RESPONSE))).real
    response = np.fft.fftshift(np.fft.ifft2(np.sqrt(np.maximum(spectrum, 0.0))).real)
    response /= math.sqrt(float(np.square(response).sum()))
    response.setflags(write=False)
    return np.asarray(response)


@lru_cache(maxsize=64)
def averaging_std(correlation: Correlation) -> float:
    """By how much means over an area scatter more than those of white noise."""
    if correlation == WHITE:
        return 1.0
    return math.sqrt(max(float(autocorrelation(correlation, _RESPONSE).sum()), 0.0))


@lru_cache(maxsize=256)
def correlation_width(correlation: float) -> float:
    """Standard deviation of the Gaussian that gives white noise a correlation: 0.72 for 0.6."""
    if correlation <= 0:
        return 0.0
    return float(brentq(lambda w: _autocorrelation(w)[1] - correlation, *_WIDTHS))


def candidates() -> FloatArray:
    """Correlations that are compared with a measured one, rising from 0."""
    return np.linspace(0, MAX_CORRELATION, round(MAX_CORRELATION / _STEP) + 1).round(2)


def _number(value: Any) -> float:
    return math.nan if isinstance(value, (bool, str)) else float(value)


def _kernel(width: float) -> FloatArray:
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    return np.asarray(np.exp(-0.5 * (offsets / max(width, _WIDTHS[0])) ** 2))


def _autocorrelation(width: float) -> FloatArray:
    """The noise's autocorrelation at lags 0, 1, 2, ..."""
    kernel = _kernel(width)
    products = np.correlate(kernel, kernel, "full")[len(kernel) - 1 :]
    return np.asarray(products / products[0])


@lru_cache(maxsize=2)
def _curves(reach: int) -> tuple[FloatArray, FloatArray]:
    """Correlations to try, (n,), and their autocorrelations, (n, reach + 1)."""
    tried = candidates()
    widths = [correlation_width(float(rho)) for rho in tried]
    return tried, np.array([_autocorrelation(width)[: reach + 1] for width in widths])
