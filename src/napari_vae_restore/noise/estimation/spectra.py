"""Spectra of correlated noise on small blocks, and the correlation that a spectrum shows.

The cosine coefficients of a block of noise have known mean energies for any
:data:`~.correlation.Correlation`, and gamma-distributed scatter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from napari_vae_restore.noise.autoregression import Autoregression
from napari_vae_restore.noise.correlation import Correlation, autocorrelation, candidates
from napari_vae_restore.noise.numbers import FloatArray

Family: TypeAlias = Literal["blur", "geometric"]

# Energy, relative to the mean, that rounding and departures from a family leave in any
# coefficient.
_LEAST: Final = 0.01


def block_spectrum(correlation: Correlation, size: int) -> FloatArray:
    """Expected energy of each cosine coefficient of a block of noise, (size, size)."""
    if isinstance(correlation, Autoregression):
        return _spectrum_in_plane(correlation, size)
    return np.multiply.outer(*(_spectrum(rho, size) for rho in correlation))


def fit_correlation(
    energy: FloatArray, used: NDArray[np.bool_], family: Family = "blur"
) -> tuple[float, float]:
    """Find the correlation whose spectrum a measured one follows, by maximum likelihood.

    The energy of a coefficient is the noise's variance times `block_spectrum`, with
    gamma-distributed scatter: up to constants, minus the log-likelihood per coefficient
    is the mean of log(S) + log of the mean of (energy / S), whatever the variance.
    """
    tried, spectra = _candidates(family, len(energy))
    weight = used / used.sum()
    quotient = (1 / spectra) @ (energy * weight) @ (1 / spectra).T  # (candidate y, x)
    logs = np.log(spectra)
    cost = np.log(quotient) + np.add.outer(logs @ weight.sum(axis=1), logs @ weight.sum(axis=0))
    y, x = np.unravel_index(np.argmin(cost), cost.shape)
    return float(tried[y]), float(tried[x])


def mismatch(energy: FloatArray, correlation: Correlation, used: NDArray[np.bool_]) -> float:
    """How badly a correlation explains measured energies."""
    spectrum = block_spectrum(correlation, len(energy)) + _LEAST
    quotient = ((energy + _LEAST) / spectrum)[used]
    return float(np.log(quotient.mean()) - np.log(quotient).mean())


@lru_cache(maxsize=256)
def _spectrum(correlation: float, size: int) -> FloatArray:
    """Variance of each cosine coefficient of `size` pixels of blurred noise."""
    return _transformed(autocorrelation((0.0, correlation), size - 1)[size - 1, size - 1 :])


@lru_cache(maxsize=256)
def _spectrum_in_plane(noise: Autoregression, size: int) -> FloatArray:
    y, x = np.indices((size, size)).reshape(2, -1)
    lags = noise.autocorrelation(size - 1)
    covariance = lags[size - 1 + np.subtract.outer(y, y), size - 1 + np.subtract.outer(x, x)]
    both = np.kron(_basis(size), _basis(size))
    spectrum = np.einsum("fp,pq,fq->f", both, covariance, both).reshape(size, size)
    spectrum.setflags(write=False)
    return np.asarray(spectrum)


@lru_cache(maxsize=4)
def _candidates(family: Family, size: int) -> tuple[FloatArray, FloatArray]:
    """Correlations to try, (n,), and their spectra, (n, size)."""
    tried = candidates()
    if family == "blur":
        return tried, np.array([_spectrum(float(rho), size) for rho in tried])
    return tried, np.array([_transformed(rho ** np.arange(size)) for rho in tried])


def _transformed(lags: FloatArray) -> FloatArray:
    """Variance of each cosine coefficient of pixels in a row, (size,)."""
    size = len(lags)
    covariance = lags[np.abs(np.subtract.outer(np.arange(size), np.arange(size)))]
    spectrum = np.einsum("fp,pq,fq->f", _basis(size), covariance, _basis(size))
    spectrum.setflags(write=False)
    return np.asarray(spectrum)


def _basis(size: int) -> FloatArray:
    return np.asarray(dct(np.eye(size), axis=0, norm="ortho"))  # (frequency, pixel)
