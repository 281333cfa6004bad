"""Noise models p(y | s): how a measurement y scatters about the clean signal s.

Signals, measurements and noise parameters are all in the image's own intensity
units. Noise may be correlated between neighbouring pixels: a model carries by how much
(:mod:`~.noise.correlation`) and draws such noise, while everything else about it is
marginal, one pixel at a time. torch is imported for type checking only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.anscombe import stabilised, unstabilised
from napari_vae_restore.noise.correlation import (
    WHITE,
    Correlation,
    checked_correlation,
    correlated_noise,
    json_form,
    written,
)
from napari_vae_restore.noise.numbers import FloatArray, finite, positive, widened

if TYPE_CHECKING:
    from torch import Tensor

JsonForm: TypeAlias = dict[str, Any]

# A variance of zero has no log-likelihood. The floor, in squared photons, is a
# thirtieth of a photon's standard deviation: far below any detector's.
_VARIANCE_FLOOR: Final = 1e-3

# b / a^2, in squared photons, from which on s is lost in rounding: f(y) squared holds
# both, and a double has sixteen digits.
_MAX_READ_VARIANCE: Final = 1e12


class NoiseModel(Protocol):
    """What every noise model offers.

    `variance`, `stabilise`, `unstabilise` and `log_likelihood` speak of single pixels:
    the likelihood takes pixels as independent given s, whatever the correlation.

    Attributes
    ----------
    correlation : (float, float) or Autoregression
        Lag-1 autocorrelation of the noise along Y and X, (0, 0) for white noise; or an
        autoregression, for noise that is correlated in another way.
    """

    kind: ClassVar[str]

    @property
    def correlation(self) -> Correlation: ...

    def variance(self, signal: ArrayLike) -> FloatArray:
        """Return the variance of y given s.

        Parameters
        ----------
        signal : array_like
            Clean signal s, any shape, intensity units.

        Returns
        -------
        numpy.ndarray of float64
            Variance, the signal's shape, squared intensity units, positive.
        """
        ...

    def log_likelihood(self, y: Tensor, signal: Tensor) -> Tensor:
        """Return log p(y | s) of every element.

        Parameters
        ----------
        y : torch.Tensor
            Measurement, any shape, floating, intensity units.
        signal : torch.Tensor
            Clean signal s, a shape that broadcasts with `y`, same device.

        Returns
        -------
        torch.Tensor
            Nats per element, float32 or wider, differentiable in both arguments.
        """
        ...

    def sample(self, signal: ArrayLike, rng: np.random.Generator) -> FloatArray:
        """Draw y from p(y | s).

        Parameters
        ----------
        signal : array_like
            Clean signal s, (..., Y, X), intensity units.
        rng : numpy.random.Generator
            Source of the randomness.

        Returns
        -------
        numpy.ndarray of float64
            Measurement, the signal's shape, neither clipped nor quantised.
        """
        ...

    def stabilise(self, y: ArrayLike) -> FloatArray:
        """Transform measurements so that their noise has a standard deviation of about 1.

        Parameters
        ----------
        y : array_like
            Measurement, any shape, intensity units.

        Returns
        -------
        numpy.ndarray of float64
            Stabilised values t, the shape of `y`, dimensionless.
        """
        ...

    def unstabilise(self, t: ArrayLike) -> FloatArray:
        """Map the mean of stabilised measurements, E[t | s], back to s without bias.

        Parameters
        ----------
        t : array_like
            Denoised stabilised values, any shape, finite.

        Returns
        -------
        numpy.ndarray of float64
            Clean signal s, the shape of `t`, intensity units, monotone in `t`.
        """
        ...

    def to_dict(self) -> JsonForm:
        """Return the JSON form that :func:`noise_from_dict` reads back.

        Returns
        -------
        dict
            The kind under ``"kind"`` and the parameters under their own names,
            ``"correlation"``, a list of 2 or the form of an autoregression, only where the
            noise is not white.
        """
        ...


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Gaussian noise: y = s + sigma n, with n standard normal.

    The likelihood takes pixels as independent given s; see :class:`NoiseModel`.

    Parameters
    ----------
    sigma : float
        Standard deviation in intensity units, positive and finite.
    correlation : (float, float) or Autoregression, optional
        Lag-1 autocorrelation of the noise along Y and X, each in [0, 0.95], or an
        autoregression.

    Raises
    ------
    InputError
        If `sigma` is not a positive finite number, or `correlation` out of range.

    Examples
    --------
    >>> str(GaussianNoise(12.5))
    'gaussian:12.5'
    >>> str(GaussianNoise(25, (0.6, 0.6)))
    'gaussian:25.0@0.6,0.6'
    >>> from napari_vae_restore.noise.notation import parse_noise
    >>> parse_noise("gaussian:25@row:0.8").correlation
    Autoregression(direction='row', coefficients=(0.8,))
    """

    sigma: float
    correlation: Correlation = WHITE
    kind: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", positive("sigma", self.sigma))
        object.__setattr__(self, "correlation", checked_correlation(self.correlation))

    def __str__(self) -> str:
        return f"{self.kind}:{self.sigma!r}{written(self.correlation)}"

    def variance(self, signal: ArrayLike) -> FloatArray:
        """Return sigma squared in the signal's shape; see :class:`NoiseModel`."""
        return np.full(np.shape(signal), self.sigma**2)

    def log_likelihood(self, y: Tensor, signal: Tensor) -> Tensor:
        """Return log p(y | s) in nats per element; see :class:`NoiseModel`."""
        # Divided before it is squared, so that no float32 overflows.
        z = (widened(y) - widened(signal)) / self.sigma
        return -0.5 * (z**2 + math.log(2 * math.pi)) - math.log(self.sigma)

    def sample(self, signal: ArrayLike, rng: np.random.Generator) -> FloatArray:
        """Draw y from p(y | s); see :class:`NoiseModel`."""
        signal = np.asarray(signal, dtype=np.float64)
        noise = correlated_noise(signal.shape, self.correlation, rng)
        return np.asarray(signal + self.sigma * noise)

    def stabilise(self, y: ArrayLike) -> FloatArray:
        """Return y / sigma; see :class:`NoiseModel`."""
        return np.asarray(np.asarray(y, dtype=np.float64) / self.sigma)

    def unstabilise(self, t: ArrayLike) -> FloatArray:
        """Return sigma t; see :class:`NoiseModel`."""
        return np.asarray(np.asarray(t, dtype=np.float64) * self.sigma)

    def to_dict(self) -> JsonForm:
        """Return the JSON form; see :class:`NoiseModel`."""
        return {"kind": self.kind, "sigma": self.sigma, **json_form(self.correlation)}


@dataclass(frozen=True, slots=True)
class PoissonGaussianNoise:
    """Photon and read-out noise: p(y | s) is Gaussian with variance a s + b.

    One photon adds `a` intensity units, and the read-out adds Gaussian noise. Both
    together are taken as Gaussian with their common variance (Foi et al. 2008,
    section II), in `log_likelihood` and in `sample`. `unstabilise` is exact for true
    Poisson counts, whose skewness matters below about five photons. The likelihood takes
    pixels as independent given s; see :class:`NoiseModel`.

    Parameters
    ----------
    a : float
        Intensity units per photon, positive and finite.
    b : float
        Variance at s = 0, squared intensity units, finite. Negative where the camera
        adds a pedestal: the signal without light is then -b / a.
    correlation : (float, float) or Autoregression, optional
        Lag-1 autocorrelation of the noise along Y and X, each in [0, 0.95], or an
        autoregression.

    Raises
    ------
    InputError
        If `a` is not a positive finite number, `b` not a finite one, `correlation` out of
        range, or `a` so small beside `b` that double precision cannot tell single photons.

    References
    ----------
    A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian, "Practical Poissonian-Gaussian
    noise modeling and fitting for single-image raw-data", IEEE TIP 17(10), 2008.
    doi:10.1109/TIP.2008.2001399

    M. Makitalo, A. Foi, "Optimal inversion of the generalized Anscombe transformation
    for Poisson-Gaussian noise", IEEE TIP 22(1), 2013. doi:10.1109/TIP.2012.2202675

    Examples
    --------
    >>> PoissonGaussianNoise(a=2.0, b=9.0).variance([0.0, 100.0]).tolist()
    [9.0, 209.0]
    """

    a: float
    b: float
    correlation: Correlation = WHITE
    kind: ClassVar[str] = "poisson-gaussian"

    def __post_init__(self) -> None:
        object.__setattr__(self, "a", positive("a", self.a))
        object.__setattr__(self, "b", finite("b", self.b))
        object.__setattr__(self, "correlation", checked_correlation(self.correlation))
        if abs(self.b) > _MAX_READ_VARIANCE * self.a**2:
            sigma = math.sqrt(abs(self.b))
            raise InputError(
                f"With a = {self.a!r} and b = {self.b!r} the noise hardly depends on the "
                f"signal; use 'gaussian:{sigma:.6g}'."
            )

    def __str__(self) -> str:
        return f"{self.kind}:{self.a!r},{self.b!r}{written(self.correlation)}"

    def variance(self, signal: ArrayLike) -> FloatArray:
        """Return a s + b, held above a tiny floor; see :class:`NoiseModel`."""
        linear = self.a * np.asarray(signal, dtype=np.float64) + self.b
        return np.asarray(np.maximum(linear, _VARIANCE_FLOOR * self.a**2))

    def log_likelihood(self, y: Tensor, signal: Tensor) -> Tensor:
        """Return log p(y | s) in nats per element; see :class:`NoiseModel`."""
        y, signal = widened(y), widened(signal)
        # In photons, where the floor is far from the smallest float32 whatever a is.
        variance = ((signal + self.b / self.a) / self.a).clamp(min=_VARIANCE_FLOOR)
        residual = (y - signal) / self.a
        constant = math.log(2 * math.pi) + 2 * math.log(self.a)
        return -0.5 * (residual**2 / variance + variance.log() + constant)

    def sample(self, signal: ArrayLike, rng: np.random.Generator) -> FloatArray:
        """Draw y from the Gaussian p(y | s); see :class:`NoiseModel`."""
        signal = np.asarray(signal, dtype=np.float64)
        noise = correlated_noise(signal.shape, self.correlation, rng)
        return np.asarray(signal + np.sqrt(self.variance(signal)) * noise)

    def stabilise(self, y: ArrayLike) -> FloatArray:
        """Apply the generalised Anscombe transform; see :mod:`~.noise.anscombe`."""
        photons = (np.asarray(y, dtype=np.float64) - self._dark) / self.a
        return stabilised(photons, self._read_variance)

    def unstabilise(self, t: ArrayLike) -> FloatArray:
        """Invert E[t | s] without bias; see :class:`NoiseModel` and :mod:`~.noise.anscombe`."""
        return unstabilised(t, self._read_variance) * self.a + self._dark

    @property
    def _dark(self) -> float:
        """The signal without light."""
        return -min(self.b, 0.0) / self.a

    @property
    def _read_variance(self) -> float:
        """In squared photons."""
        return max(self.b / self.a**2, 0.0)

    def to_dict(self) -> JsonForm:
        """Return the JSON form; see :class:`NoiseModel`."""
        return {"kind": self.kind, "a": self.a, "b": self.b, **json_form(self.correlation)}


def standard_deviation(noise: NoiseModel, signal: ArrayLike) -> FloatArray:
    """What is a deviation of 1 behind a stabilising transform, in intensity units.

    That of the noise, but for where its variance ends: there the transform goes on along its
    tangent, and the deviation stays above zero.
    """
    x = np.asarray(signal, dtype=np.float64)
    step = 0.05 * math.sqrt(float(np.mean(noise.variance(x))))
    step = np.maximum(step, 4 * np.spacing(np.abs(x)))  # of huge values, less is no step
    rise = np.asarray(noise.stabilise(x + step / 2)) - np.asarray(noise.stabilise(x - step / 2))
    return np.asarray(step / rise)
