"""Distribution of noise after the stabilising transform, pixel by pixel.

Stabilising promises a standard deviation of 1 and the shape of a Gaussian, and keeps that
where there is light. In the dark, and at levels to which a camera clips, noise is weaker and
skewed. `NoiseLaw` follows from a noise model with such levels; `LocalNoise` describes one
image and draws its noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.inference.units import Units

Plane = NDArray[np.float32]
FloatArray = NDArray[np.float64]
Clipped = tuple[float, float]
"""Levels to which intensities were clipped, -inf and inf where they were not."""

GAUSSIAN: Final = np.linspace(-3.5, 3.5, 57)
"""Normal quantiles at which a shape is tabulated."""
DENSITY: Final = norm.pdf(GAUSSIAN) / norm.pdf(GAUSSIAN).sum()
LEAST_SPREAD: Final = 1e-6
"""Network units; a shape cannot be read from less removed noise."""

_LEVELS: Final = 8
"""Levels of the signal, each with its own distribution."""
_PER_LEVEL: Final = 4096
"""Pixels needed for each level."""
_SIGNALS: Final = 256
"""Signals at which the law is tabulated."""
_BEYOND: Final = 4.0
"""Standard deviations beyond a clipped level at which a signal is invisible."""


@dataclass(frozen=True, slots=True, eq=False)
class LocalNoise:
    """Distribution of one image's noise, pixel by pixel."""

    strength: Plane  # (H, W) float32, standard deviation relative to the stated one
    level: NDArray[np.uint8]  # (H, W) index into `shapes`
    # (levels, 57): quantiles of mean 0 and variance 1 at 57 even values of a normal variable.
    shapes: FloatArray

    @property
    def skewness(self) -> float:
        """Mean skewness of the levels; 0 for a Gaussian."""
        return float(np.mean([skewness_of(shape) for shape in self.shapes]))

    def shaped(self, normal: FloatArray, rows: slice, columns: slice) -> Plane:
        """Turn normal variables (h, w), perhaps correlated, into noise of that part."""
        level, noise = self.level[rows, columns], np.empty(normal.shape, np.float32)
        for number in np.unique(level):
            here = level == number
            noise[here] = np.interp(normal[here], GAUSSIAN, self.shapes[number])
        return noise * self.strength[rows, columns]


@dataclass(frozen=True, slots=True, eq=False)
class NoiseLaw:
    """Distribution of stabilised measurements t by their mean, under a noise model."""

    mean: FloatArray  # (n,) rising, network units: E[t | s] of rising signals s
    strength: FloatArray  # (n,) standard deviation of t relative to the stabilised one
    shapes: FloatArray  # (n, 57) as those of :class:`LocalNoise`

    @classmethod
    def of(
        cls, model: NoiseModel, units: Units, signals: tuple[float, float], clipped: Clipped
    ) -> NoiseLaw:
        """The law between the darkest and the brightest signal, in intensity units."""
        ends = np.array(signals, np.float64)
        reach = _BEYOND * np.sqrt(model.variance(ends)) * np.isfinite(clipped)
        s = np.linspace(ends[0] - reach[0], ends[1] + reach[1], _SIGNALS)
        y = s[:, None] + np.sqrt(model.variance(s))[:, None] * GAUSSIAN  # (n, 57)
        t = units.to_network(y.clip(*clipped)[None])[0].astype(np.float64)
        mean = np.maximum.accumulate(t @ DENSITY)
        centred = t - (t @ DENSITY)[:, None]
        spread = np.sqrt(centred**2 @ DENSITY)
        shapes = np.where(
            spread[:, None] > LEAST_SPREAD,
            centred / np.maximum(spread, LEAST_SPREAD)[:, None],
            GAUSSIAN,
        )
        promised = units.sigma * math.sqrt(float(GAUSSIAN**2 @ DENSITY))
        return cls(mean, (spread / promised).clip(0, 1), shapes)

    def at(self, pilot: Plane) -> LocalNoise:
        """Noise of an image, given its stabilised mean."""
        strength = np.interp(pilot, self.mean, self.strength).astype(np.float32)
        level, n_levels = levels_of(pilot)
        shapes = [self.shape_at(pilot[level == number]) for number in range(n_levels)]
        return LocalNoise(strength, level, np.array(shapes))

    def shape_at(self, means: Plane) -> FloatArray:
        """The shape at the median of some means."""
        if means.size == 0:
            return GAUSSIAN
        index = int(np.searchsorted(self.mean, np.median(means)))
        return np.asarray(self.shapes[min(index, len(self.mean) - 1)])


def levels_of(pilot: Plane) -> tuple[NDArray[np.uint8], int]:
    """Levels of the signal with equal numbers of pixels, and their number."""
    bounds = np.linspace(0, 1, max(1, min(_LEVELS, pilot.size // _PER_LEVEL)) + 1)[1:-1]
    level = np.searchsorted(np.quantile(pilot, bounds), pilot).astype(np.uint8)
    return level, len(bounds) + 1


def shape_of(values: NDArray[np.floating]) -> FloatArray:
    """Quantiles of values at those of a normal variable, scaled to mean 0, variance 1."""
    if values.size == 0:
        return GAUSSIAN
    found = np.quantile(values.astype(np.float64), norm.cdf(GAUSSIAN))
    found = found - DENSITY @ found
    spread = float(np.sqrt(DENSITY @ found**2))
    return found / spread if spread > LEAST_SPREAD else GAUSSIAN


def skewness_of(shape: FloatArray) -> float:
    """Skewness of a distribution in this form; 0 for a Gaussian."""
    return float(shape**3 @ DENSITY)
