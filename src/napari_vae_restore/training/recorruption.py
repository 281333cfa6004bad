"""Noisy images as their own teachers, when the noise is known.

Adding noise n, drawn as the camera's, and taking it away again gives two measurements,

    y1 = y + alpha n,    y2 = y - n / alpha,

whose noises are independent if y's is Gaussian: regression of y2 on y1 then has the same
minimum as regression of the clean signal (Recorrupted-to-Recorrupted; Pang et al., CVPR
2021, equations 6 to 9). Stabilised noise is near enough to Gaussian where there is light.
In the dark of a photon counter it is far weaker than stabilising promises, and noise that
is taken too strong would teach the network to undo it twice. How strong it is there is
therefore read from the image: from what each pixel's surroundings cannot predict of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve

from napari_vae_restore.devices import native_precision
from napari_vae_restore.models.condition import condition_tensor
from napari_vae_restore.models.restorer import RestorationVAE

Plane = NDArray[np.float32]
Slow = tuple[float, float, float, float]

ALPHA: Final = 1.0
"""Both measurements equally noisy. At 0.5 the second one is so noisy that adapting gains
less than half as much in two minutes (measured on four fluorescence pictures)."""

_HIDDEN: Final = 0.1
"""Share of pixels hidden at once; their neighbours have to be there."""
_ROUNDS: Final = 3
_BINS: Final = 64
_MAX_SIDE: Final = 768
"""Pixels of the part that is looked at: a curve does not take more."""
_NEIGHBOURS: Final = np.array([[0.5, 1, 0.5], [1, 0, 1], [0.5, 1, 0.5]])


def noise_share(
    network: RestorationVAE, image: Plane, slow: Slow, rng: np.random.Generator
) -> Plane:
    """How strong an image's noise is, pixel by pixel, relative to what is told of it.

    The residual's variance against the signal, both predicted without the pixel itself,
    bounds the noise from above; the noise model does so too.

    Parameters
    ----------
    network : RestorationVAE
        In evaluation mode.
    image : numpy.ndarray
        (H, W) float32, network units.
    slow : tuple of float
        What its condition says; see :func:`~.condition.condition_tensor`. Correlated
        noise can be predicted from a pixel's surroundings: all of it is taken as told.
    rng : numpy.random.Generator
        Chooses the pixels that are looked at.

    Returns
    -------
    numpy.ndarray
        (H, W) float32, standard deviations above 0 and at most 1.
    """
    sigma, *correlation, _ = slow
    if any(correlation) or sigma == 0:
        return np.ones_like(image)
    stride = network.config.stride
    height, width = (min(side, _MAX_SIDE) // stride * stride for side in image.shape)
    part = image[:height, :width]
    signals, squares = [], []
    for _ in range(_ROUNDS):
        hidden = rng.random(part.shape) < _HIDDEN
        found = _means(network, _without(part, hidden), ~hidden, slow)
        signals.append(found[hidden])
        squares.append(((part - found)[hidden] / sigma) ** 2)
    signal, square = np.concatenate(signals), np.concatenate(squares)
    bins = np.array_split(np.argsort(signal), _BINS)
    centres = np.array([signal[members].mean() for members in bins])
    variances = np.array([square[members].mean() for members in bins])
    pilot = np.empty_like(image)
    for rows, columns in _blocks(image.shape, stride):
        whole = np.ones(image[rows, columns].shape, bool)
        pilot[rows, columns] = _means(network, image[rows, columns], whole, slow)
    variance = np.interp(pilot, centres, variances).clip(1e-3, 1)
    return np.asarray(np.sqrt(variance), dtype=np.float32)


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
