"""How far a network looks: measured, since its theoretical reach is far longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from napari_vae_restore.models.bundled import stored_halo
from napari_vae_restore.models.latents import random_noise
from napari_vae_restore.models.model import Model, Normalisation
from napari_vae_restore.models.restorer import RestorationVAE

# Standard deviation of an output pixel, in units of the noise's, that may come from beyond
# the halo. The largest difference between tiles and the whole is some 20 times that, below 1
# % of the noise; samples are a little more sensitive than the mean.
_TOLERANCE = 2e-4

_SIGMAS = (0.02, 0.2)  # noise in network units at which the model of all tasks is probed

_SIDE = 384
_N_PROBES = 4
_known: WeakKeyDictionary[Model, int] = WeakKeyDictionary()


def measured_halo(model: Model) -> int:
    """Pixels of surroundings that a pixel's result depends on, a multiple of the stride.

    The gradient of output pixels with respect to the input is taken on a picture drawn
    from the model's own prior, with noise. Pixels beyond the halo could change the
    output by less than the tolerance if they were replaced by others of the same variance.
    """
    if model not in _known:
        stored = stored_halo(model)
        with torch.inference_mode(False):  # who asks may be in the middle of an inference
            _known[model] = measure_halo(model) if stored is None else stored
    return _known[model]


def measure_halo(model: Model) -> int:
    """Measure what :func:`measured_halo` remembers, or finds beside the bundled model."""
    network, stride = model.network, model.network.config.stride
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(0)
    side = -(-_SIDE // stride) * stride
    with torch.no_grad():
        clean = network.generate(1, side, side, random_noise(generator)).signal
    noise = torch.randn(clean.shape, generator=generator).to(device)
    signs = torch.randn(_N_PROBES, 2, generator=generator)
    centre, reach = side // 2, torch.zeros(side // 2)
    for y, tolerance, respond in _responses(model, clean, noise):
        y.requires_grad_()
        with torch.enable_grad():
            signal = respond(y)
        for offset in (signs * stride / 2).round().int().tolist():
            row, column = centre + offset[0], centre + offset[1]
            (gradient,) = torch.autograd.grad(signal[0, 0, row, column], y, retain_graph=True)
            squares = gradient[0].double().square().sum(dim=0).cpu() / tolerance**2
            reach = torch.maximum(reach, _energy_beyond(squares, row, column, side // 2))
    # Network units have unit variance, so the root of the energy beyond is a standard
    # deviation in network units.
    enough = (reach.sqrt() <= 1).nonzero()
    halo = int(enough[0]) if len(enough) else side // 2
    return -(-halo // stride) * stride


def _responses(
    model: Model, clean: Tensor, noise: Tensor
) -> Iterator[tuple[Tensor, float, Callable[[Tensor], Tensor]]]:
    """Inputs, the part of their reach to neglect, and the network's mean for them."""
    network = model.network
    if not isinstance(network, RestorationVAE):
        # A model of noisy images has a normalisation.
        noise_std = cast(Normalisation, model.normalisation).noise_std

        def denoised(y: Tensor) -> Tensor:
            return network.decode(network.encode(y), None).signal

        yield clean + noise_std * noise, _TOLERANCE * noise_std, denoised
        return
    for sigma in _SIGMAS:

        def mean(y: Tensor, sigma: float = sigma) -> Tensor:
            slow = torch.tensor([sigma, 0.0, 0.0, 0.0], device=y.device)[:, None, None]
            maps = slow.expand(1, -1, *y.shape[2:])
            return network.infer(torch.cat([y, torch.ones_like(y), maps], dim=1)).mean

        yield clean + sigma * noise, _TOLERANCE * max(_SIGMAS), mean


def _energy_beyond(squares: torch.Tensor, row: int, column: int, n: int) -> torch.Tensor:
    """Sum of the squares at Chebyshev distance above d from a pixel, for d = 0 ... n - 1."""
    side = squares.shape[0]
    rows, columns = (torch.arange(side) - at for at in (row, column))
    distance = torch.maximum(rows.abs()[:, None], columns.abs()[None, :])
    per_distance = torch.zeros(side + 1, dtype=squares.dtype)
    per_distance.index_add_(0, distance.flatten(), squares.flatten())
    return (squares.sum() - per_distance.cumsum(0))[:n].clamp(min=0).float()
