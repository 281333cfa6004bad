"""Noise keyed to seed and place: a part of a field is the same wherever it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from napari_vae_restore.models.latents import KeyedNoise
from napari_vae_restore.noise.correlation import Correlation, impulse_response
from napari_vae_restore.noise.models import NoiseModel

# Added to coordinates, which are negative around an image, and whose keys are not.
_FAR: Final = 2**20


def noise_field(
    key: tuple[int, int, int],
    origin: tuple[int, int],
    shape: tuple[int, int],
    correlation: Correlation,
) -> NDArray[np.float64]:
    """Draw a part of a field of Gaussian noise of deviation 1; the key ends with the plane."""
    response = impulse_response(correlation)
    margins = [side // 2 for side in response.shape]
    top, left = (start - margin + _FAR for start, margin in zip(origin, margins, strict=True))
    larger = [side + 2 * margin for side, margin in zip(shape, margins, strict=True)]
    like = torch.empty((1, 1, *larger))
    white = KeyedNoise(*key, top, left, (1,))(0, like)[0, 0].numpy().astype(np.float64)
    return white if response.size == 1 else np.asarray(fftconvolve(white, response, "valid"))


def noise_fields(
    key: tuple[int, int, int],
    origin: tuple[int, int],
    shape: tuple[int, int],
    noise: Sequence[NoiseModel],
) -> NDArray[np.float64]:
    """(C, h, w): one for each channel, correlated as its noise; the key is the first one's."""
    seed, number, plane = key
    return np.stack(
        [
            noise_field((seed, number, plane + c), origin, shape, model.correlation)
            for c, model in enumerate(noise)
        ]
    )
