"""Between the intensities of an image and the units in which a network computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_vae_restore.models.model import Normalisation
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.measurement import Measurement

BLACK_WHITE: Final = (0.1, 99.9)
"""Percentiles of the smoothed image that become 0 and 1, as in training."""
SMOOTHING: Final = 1.0
"""Pixels; takes most of the noise out of the percentiles."""
LEAST_RANGE: Final = 1e-6
"""Of a noise-free image, relative to its values: less is rounding, of a constant image."""
MAX_SIGMA: Final = 0.25
"""Largest noise in network units that models are trained on; more is scaled down to it."""


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
        values = measurement.filled(_stabilised(measurement.intensities, noise))
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
        return self.normalisation.to_network(_stabilised(intensities, self.noise))

    def from_network(self, signal: NDArray[Any]) -> NDArray[np.float64]:
        """(C, h, w) network units to intensities."""
        stabilised = self.normalisation.from_network(signal)
        if not self.noise:
            return stabilised
        return np.stack(
            [noise.unstabilise(t) for noise, t in zip(self.noise, stabilised, strict=True)]
        )


def _stabilised(
    intensities: NDArray[Any], noise: tuple[NoiseModel, ...]
) -> NDArray[np.float64]:
    if not noise:
        return intensities.astype(np.float64)
    return np.stack([model.stabilise(y) for model, y in zip(noise, intensities, strict=True)])
