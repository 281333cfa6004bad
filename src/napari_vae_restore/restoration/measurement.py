"""What was measured of one plane, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.numbers import Mask
from napari_vae_restore.operators.filling import smooth_fill


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """y of one plane or group of its channels."""

    intensities: NDArray[Any]  # (C, H, W), any dtype. What missing pixels hold does not count
    observed: Mask | None  # (C, H, W), True where a pixel was measured; None where all were
    # One for each channel; none for a measurement that is taken as free of noise.
    noise: tuple[NoiseModel, ...]
    # (C, H, W), pixels that are not observed, and that keep what they hold.
    unmeasured: Mask | None = None

    @property
    def seen(self) -> Mask:
        """`observed`, or a mask that is True everywhere."""
        return np.ones(self.intensities.shape, bool) if self.observed is None else self.observed

    def filled(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Its values in any unit, (C, H, W), with a smooth guess for missing pixels."""
        return values if self.observed is None else smooth_fill(values, self.observed)
