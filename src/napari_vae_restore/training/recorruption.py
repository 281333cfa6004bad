"""Self-supervision by noisy images whose noise is known.

Noise n, drawn like the camera's, is added and subtracted, which gives two measurements,

    y1 = y + alpha n,    y2 = y - n / alpha,

whose noises are independent if y's is Gaussian: regression of y2 on y1 then has the same
minimum as regression of the clean signal (Recorrupted-to-Recorrupted; Pang et al., CVPR
2021, equations 6 to 9). With alpha = 1 that holds for noise e of any distribution, if n has
the same: e and n can change places, so that E[e - n | e + n] = 0. Noise is therefore drawn
with the strength and the shape measured in the image. In the dark of a photon counter it is
far weaker than after ideal stabilisation, and noise drawn too strong would teach the network
to undo it twice; speckle is skewed, and Gaussian noise in its place would leave some of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve

from napari_vae_restore.models.condition import condition_tensor
from napari_vae_restore.models.devices import native_precision
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.training.local_noise import (
    LocalNoise,
    NoiseLaw,
    Plane,
    levels_of,
    shape_of,
)

PlaneConstants = tuple[float, float, float, float]

ALPHA: Final = 1.0
"""Both measurements are equally noisy, which non-Gaussian noise needs. At 0.5 the second is so
noisy that adapting for two minutes gains less than half as much (four fluorescence images)."""

_HIDDEN: Final = 0.1  # share of pixels hidden at once; their neighbours stay visible
_ROUNDS: Final = 3
_BINS: Final = 64
_MAX_SIDE: Final = 768  # pixels measured at most; a curve needs no more
_NEIGHBOURS: Final = np.array([[0.5, 1, 0.5], [1, 0, 1], [0.5, 1, 0.5]])


def local_noise(
    network: RestorationVAE,
    image: Plane,
    pilot: Plane,
    constants: PlaneConstants,
    rng: np.random.Generator,
    law: NoiseLaw | None = None,
) -> LocalNoise:
    """Measure the strength and shape of an image's noise.

    The residual's variance against the signal, both predicted without the pixel itself,
    bounds the noise's from above; the noise model does so too. Its shape, at each of a few
    levels of the signal, is that of the residual. Correlated noise can be predicted from a
    pixel's neighbours: there, `law` is used. `image` and `pilot`, its restoration, are (H, W)
    float32 in network units.
    """
    sigma, *correlation, _ = constants
    if any(correlation) and law is not None:
        return law.at(pilot)
    strength = np.ones_like(image)
    if sigma > 0 and not any(correlation):
        strength = _strength(network, image, pilot, constants, rng)
    removed = (image - pilot) / strength
    level, n_levels = levels_of(pilot)
    shapes = [shape_of(removed[level == number]) for number in range(n_levels)]
    return LocalNoise(strength, level, np.array(shapes))


def _strength(
    network: RestorationVAE,
    image: Plane,
    pilot: Plane,
    constants: PlaneConstants,
    rng: np.random.Generator,
) -> Plane:
    """Standard deviation of an image's white noise, relative to the stated one."""
    stride = network.config.stride
    height, width = (min(side, _MAX_SIDE) // stride * stride for side in image.shape)
    part = image[:height, :width]
    signals, squares = [], []
    for _ in range(_ROUNDS):
        hidden = rng.random(part.shape) < _HIDDEN
        found = _means(network, _without(part, hidden), ~hidden, constants)
        signals.append(found[hidden])
        squares.append(((part - found)[hidden] / constants[0]) ** 2)
    signal, square = np.concatenate(signals), np.concatenate(squares)
    bins = np.array_split(np.argsort(signal), _BINS)
    centres = np.array([signal[members].mean() for members in bins])
    variances = np.array([square[members].mean() for members in bins])
    variance = np.interp(pilot, centres, variances).clip(1e-3, 1)
    return np.asarray(np.sqrt(variance), dtype=np.float32)


def restored(network: RestorationVAE, image: Plane, constants: PlaneConstants) -> Plane:
    """Restore an image, (H, W) in network units, block by block."""
    pilot = np.empty_like(image)
    for rows, columns in _blocks(image.shape, network.config.stride):
        whole = np.ones(image[rows, columns].shape, bool)
        pilot[rows, columns] = _means(network, image[rows, columns], whole, constants)
    return pilot


def recorrupt(image: Plane, noise: Plane, alpha: float = ALPHA) -> tuple[Plane, Plane]:
    """Split a measurement into two, y + alpha n and y - n / alpha."""
    return image + alpha * noise, image - noise / alpha


def _without(image: Plane, hidden: NDArray[np.bool_]) -> Plane:
    """The image with hidden pixels filled from their neighbours."""
    seen = (~hidden).astype(np.float64)
    total = convolve(image * seen, _NEIGHBOURS, mode="mirror")
    weight = convolve(seen, _NEIGHBOURS, mode="mirror")
    filled = np.where(hidden, total / np.maximum(weight, 0.5), image)
    return np.asarray(filled, dtype=np.float32)


@torch.inference_mode()
def _means(
    network: RestorationVAE,
    image: Plane,
    observed: NDArray[np.bool_],
    constants: PlaneConstants,
) -> Plane:
    """E[x | c] of an image whose sides are multiples of the stride."""
    device = next(network.parameters()).device
    condition = condition_tensor(image[None, None], observed[None, None], constants)
    condition = condition.to(device, memory_format=torch.channels_last)
    with native_precision(device):
        mean = network.infer(condition).mean
    return np.asarray(mean[0, 0].float().cpu().numpy())


def _blocks(shape: tuple[int, ...], stride: int) -> list[tuple[slice, slice]]:
    """Blocks with sides that are multiples of the stride; they overlap at the far ends."""
    spans = []
    for length in shape:
        side = min(length, _MAX_SIDE) // stride * stride
        starts = [*range(0, length - side, side), length - side]
        spans.append([slice(start, start + side) for start in starts])
    return [(rows, columns) for rows in spans[0] for columns in spans[1]]
