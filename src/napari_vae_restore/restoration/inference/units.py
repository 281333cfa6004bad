"""Between the intensities of an image and the units in which a network computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_vae_restore.models.model import Normalisation
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.measurement import Measurement

# Percentiles of the smoothed image that become 0 and 1, as in training.
BLACK_WHITE: Final = (0.1, 99.9)
SMOOTHING: Final = 1.0  # pixels; takes most of the noise out of the percentiles
LEAST_RANGE: Final = 1e-6  # of a noise-free image, relative to its values; less is rounding
# Largest noise, network units, that models are trained on; more is scaled down.
MAX_SIGMA: Final = 0.25


@dataclass(frozen=True, slots=True)
class Units:
    """The way of one group of channels to network units and back."""

    # One per channel; none for a noise-free image, whose intensities are not stabilised.
    noise: tuple[NoiseModel, ...]
    normalisation: Normalisation  # from stabilised values, or from noise-free intensities
    # Whether it is decided everywhere how much of an answer is taken; see :mod:`~.blend`.
    decides: bool = False

    @classmethod
    def of(cls, measurement: Measurement) -> Units:
        """Units in which the observed part of a measurement spans about [0, 1]."""
        noise = measurement.noise
        values = measurement.filled(stabilised(noise, measurement.intensities))
        smooth = gaussian_filter(values, (0, SMOOTHING, SMOOTHING), mode="mirror")
        black, white = (float(value) for value in np.percentile(smooth, BLACK_WHITE))
        largest = max(abs(black), abs(white)) or 1.0
        least = 1 / MAX_SIGMA if noise else LEAST_RANGE * largest
        return cls(noise, Normalisation(black, max(white - black, least)))

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in network units."""
        return self.normalisation.noise_std if self.noise else 0.0

    def to_network(self, intensities: NDArray[Any]) -> NDArray[np.float32]:
        """(C, h, w) of any dtype to float32."""
        return self.normalisation.to_network(stabilised(self.noise, intensities))

    def from_network(self, signal: NDArray[Any]) -> NDArray[np.float64]:
        """(C, h, w) network units to intensities."""
        return unstabilised(self.noise, self.normalisation.from_network(signal))


def stabilised(noise: Sequence[NoiseModel], y: NDArray[Any]) -> NDArray[np.float64]:
    """(C, h, w) behind the transform of each channel's noise; as they are without noise."""
    if not noise:
        return y.astype(np.float64)
    return np.stack([model.stabilise(values) for model, values in zip(noise, y, strict=True)])


def unstabilised(noise: Sequence[NoiseModel], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Back to intensities, (C, h, w)."""
    if not noise:
        return t
    return np.stack([model.unstabilise(values) for model, values in zip(noise, t, strict=True)])


def variances(noise: Sequence[NoiseModel], signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of each channel's noise at a signal (C, h, w)."""
    return np.stack([model.variance(x) for model, x in zip(noise, signal, strict=True)])
