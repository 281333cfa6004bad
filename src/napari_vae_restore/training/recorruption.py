"""Noisy images as their own teachers, when the noise is known.

Adding noise n, drawn as the camera's, and taking it away again gives two measurements,

    y1 = y + alpha n,    y2 = y - n / alpha,

whose noises are independent if y's is Gaussian: regression of y2 on y1 then has the same
minimum as regression of the clean signal (Recorrupted-to-Recorrupted; Pang et al., CVPR
2021, equations 6 to 9). With alpha = 1 that holds for noise e of any distribution, if n has
the same: e and n can change places, so that E[e - n | e + n] = 0. Noise is therefore drawn
with the strength and the shape that are read from the image. In the dark of a photon
counter it is far weaker than stabilising promises, and noise that is taken too strong would
teach the network to undo it twice; the noise of speckle is skewed, and a Gaussian in its
place would leave some of it in.
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

Slow = tuple[float, float, float, float]

ALPHA: Final = 1.0
"""Both measurements equally noisy, as noise that is no Gaussian needs it. At 0.5 the second
one is so noisy that adapting gains less than half as much in two minutes (measured on four
fluorescence pictures)."""

_HIDDEN: Final = 0.1
"""Share of pixels hidden at once; their neighbours have to be there."""
_ROUNDS: Final = 3
_BINS: Final = 64
_MAX_SIDE: Final = 768
"""Pixels of the part that is looked at: a curve does not take more."""
_NEIGHBOURS: Final = np.array([[0.5, 1, 0.5], [1, 0, 1], [0.5, 1, 0.5]])


def local_noise(
    network: RestorationVAE,
    image: Plane,
    pilot: Plane,
    slow: Slow,
    rng: np.random.Generator,
    law: NoiseLaw | None = None,
) -> LocalNoise:
    """Read from an image how strong its noise is and what shape it has.

    The residual's variance against the signal, both predicted without the pixel itself,
    bounds the noise's from above; the noise model does so too. Its shape, at each of a few
    levels of the signal, is that of what the network takes away. Noise that neighbours share
    is predicted from a pixel's surroundings, and so hides: it is taken as `law` has it.

    Parameters
    ----------
    network : RestorationVAE
        In evaluation mode.
    image : numpy.ndarray
        (H, W) float32, network units.
    pilot : numpy.ndarray
        (H, W) float32, the same as :func:`restored`.
    slow : tuple of float
        What its condition says; see :func:`~.condition.condition_tensor`.
    rng : numpy.random.Generator
        Chooses the pixels that are looked at.
    law : NoiseLaw, optional
        Of the noise model.

    Returns
    -------
    LocalNoise
        Strengths above 0 and at most 1.
    """
    sigma, *correlation, _ = slow
    if any(correlation) and law is not None:
        return law.at(pilot)
    strength = np.ones_like(image)
    if sigma > 0 and not any(correlation):
        strength = _strength(network, image, pilot, slow, rng)
    removed = (image - pilot) / strength
    level, n_levels = levels_of(pilot)
    shapes = [shape_of(removed[level == number]) for number in range(n_levels)]
    return LocalNoise(strength, level, np.array(shapes))


def _strength(
    network: RestorationVAE, image: Plane, pilot: Plane, slow: Slow, rng: np.random.Generator
) -> Plane:
    """Standard deviation of an image's white noise, relative to what is told."""
    stride = network.config.stride
    height, width = (min(side, _MAX_SIDE) // stride * stride for side in image.shape)
    part = image[:height, :width]
    signals, squares = [], []
    for _ in range(_ROUNDS):
        hidden = rng.random(part.shape) < _HIDDEN
        found = _means(network, _without(part, hidden), ~hidden, slow)
        signals.append(found[hidden])
        squares.append(((part - found)[hidden] / slow[0]) ** 2)
    signal, square = np.concatenate(signals), np.concatenate(squares)
    bins = np.array_split(np.argsort(signal), _BINS)
    centres = np.array([signal[members].mean() for members in bins])
    variances = np.array([square[members].mean() for members in bins])
    variance = np.interp(pilot, centres, variances).clip(1e-3, 1)
    return np.asarray(np.sqrt(variance), dtype=np.float32)


def restored(network: RestorationVAE, image: Plane, slow: Slow) -> Plane:
    """An image, (H, W) in network units, as the network restores it, block by block."""
    pilot = np.empty_like(image)
    for rows, columns in _blocks(image.shape, network.config.stride):
        whole = np.ones(image[rows, columns].shape, bool)
        pilot[rows, columns] = _means(network, image[rows, columns], whole, slow)
    return pilot


def recorrupt(image: Plane, noise: Plane, alpha: float = ALPHA) -> tuple[Plane, Plane]:
    """Split a measurement into two.

    Parameters
    ----------
    image : numpy.ndarray
        y, any shape.
    noise : numpy.ndarray
        n, the same shape and distribution as the noise of `image`.
    alpha : float
        How much of it the first one gets.

    Returns
    -------
    tuple of numpy.ndarray
        y1 and y2.
    """
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
    network: RestorationVAE, image: Plane, observed: NDArray[np.bool_], slow: Slow
) -> Plane:
    """E[x | c] of an image whose sides are multiples of the stride."""
    device = next(network.parameters()).device
    condition = condition_tensor(image[None, None], observed[None, None], slow)
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
