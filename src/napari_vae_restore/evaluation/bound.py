"""ELBO of an image split into its parts, active units, reconstruction.

The bound is that of the model's training: noisy images under their noise model, clean images
under the fixed likelihood of the bundled model. Nothing here reads files or restores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.generation.latents import assembled
from napari_vae_restore.generation.network_inputs import Planes, padded_to, torch_computing
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.latents import DiagonalGaussian, random_noise
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.restorer import CLEAN_STD
from napari_vae_restore.noise.likelihood import Likelihood, network_likelihood
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.restoration.inference.units import Units

ACTIVE_VARIANCE: Final = 0.01
"""A unit is active if its posterior mean varies more over the data; Burda et al. 2016."""

N_SAMPLES: Final = 4
"""Draws of the latents: log-likelihood and KL of finer levels are means over them."""
_WINDOW: Final = 1024  # pixels: larger planes are cut into windows, each a picture of its own
_LEAST_SLOPE: Final = 1e-3
"""Least slope of the stabilised intensity per standard deviation of the noise: far below
black the transform is flat, and densities have no meaning."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over windows, from which the figures are made; levels are finest first."""

    n_values: int  # pixels times channels
    log_likelihood: float  # E_q[log p], nats in network units
    log_slope: float  # nats that turn a density in network units into one in intensities
    kl: NDArray[np.float64]  # (levels,) nats
    cells: list[int]  # latent cells of each level
    sums: list[NDArray[np.float64]]  # (latent,) of the posterior means, for each level
    squares: list[NDArray[np.float64]]  # (latent,) the same of their squares

    def __add__(self, other: Tally) -> Tally:
        """Sums over both parts of the data."""
        return Tally(
            n_values=self.n_values + other.n_values,
            log_likelihood=self.log_likelihood + other.log_likelihood,
            log_slope=self.log_slope + other.log_slope,
            kl=self.kl + other.kl,
            cells=[a + b for a, b in zip(self.cells, other.cells, strict=True)],
            sums=[a + b for a, b in zip(self.sums, other.sums, strict=True)],
            squares=[a + b for a, b in zip(self.squares, other.squares, strict=True)],
        )

    @property
    def elbo(self) -> float:
        """In nats per pixel and channel, network units, beta 1."""
        return (self.log_likelihood - float(self.kl.sum())) / self.n_values

    def bits_per_dimension(self, grey_level: float) -> float:
        """-ELBO in bits of intensities in steps of `grey_level`, per pixel and channel."""
        nats = self.elbo + self.log_slope / self.n_values + math.log(grey_level)
        return -nats / math.log(2)

    def active(self) -> list[int | None]:
        """Active units of each level, finest first; None for a level of one cell."""
        found: list[int | None] = []
        for n, sums, squares in zip(self.cells, self.sums, self.squares, strict=True):
            variance = squares / n - (sums / n) ** 2
            found.append(int((variance > ACTIVE_VARIANCE).sum()) if n > 1 else None)
        return found


def measure(
    image: Any, axes: str | None, model: Model, seed: int = 0, *, n_samples: int = N_SAMPLES
) -> tuple[Tally, NDArray[Any]]:
    """Sums of the bound over an image, and the image that the means of its latents decode to.

    The image is noisy for a model of noisy images, clean for a model of every task. Windows are
    mirrored on to the network's stride. `seed` is that of the latents' noise.
    """
    planes = Planes.of(image, axes, model)
    generator = torch.Generator().manual_seed(seed)
    side = model.network.config.fixed_size or _WINDOW
    tallies, signals = [], []
    with torch_computing():
        for group, units in zip(planes.groups, planes.units, strict=True):
            signal = np.empty(group.shape)
            likelihood = _likelihood(model, units)
            for top, left in np.ndindex(*(-(-length // side) for length in group.shape[1:])):
                place = np.s_[:, top * side : (top + 1) * side, left * side : (left + 1) * side]
                window = group[place]
                tally, found = _measure_window(
                    window, units, likelihood, model, generator, n_samples
                )
                tallies.append(tally)
                signal[place] = found[:, : window.shape[1], : window.shape[2]]
            signals.append(signal)
    return reduce(add, tallies), assembled(planes.layout, signals)


def describe_likelihood(model: Model) -> str:
    """The likelihood of the bound, in words."""
    if isinstance(model.network.config, RestorationConfig):
        return f"clean images, Gaussian of {CLEAN_STD:g} of the range"
    return "noisy images, their noise model"


def _measure_window(
    window: NDArray[Any],
    units: Units,
    likelihood: Likelihood,
    model: Model,
    generator: torch.Generator,
    n_samples: int,
) -> tuple[Tally, NDArray[np.float64]]:
    """Sums of a (C, h, w) window, and its reconstruction with the mirrored border."""
    network = model.network
    device = next(network.parameters()).device
    padded = padded_to(window, network.config.stride)
    y = torch.from_numpy(units.to_network(padded))[None].to(device)
    features = network.encode(y)
    means: dict[int, Tensor] = {}

    def note(level: int, _p: DiagonalGaussian, q: DiagonalGaussian) -> Tensor:
        means[level] = q.mean
        return q.mean

    signal = network.traverse(features, (1, *y.shape[2:]), note)
    draws = [network.decode(features, random_noise(generator)) for _ in range(n_samples)]
    log_likelihood = sum(
        float(likelihood.log_likelihood(y, drawn.signal).double().sum()) for drawn in draws
    )
    kl = np.array([[float(level) for level in drawn.kl] for drawn in draws])
    # (latent, cells) of each level
    units_of = [means[level][0].flatten(1).double().cpu().numpy() for level in sorted(means)]
    tally = Tally(
        n_values=padded.size,
        log_likelihood=log_likelihood / n_samples,
        log_slope=_log_slope(padded, units),
        kl=kl.mean(axis=0),
        cells=[each.shape[1] for each in units_of],
        sums=[each.sum(axis=1) for each in units_of],
        squares=[np.square(each).sum(axis=1) for each in units_of],
    )
    return tally, units.from_network(signal[0].cpu().numpy())


def _likelihood(model: Model, units: Units) -> Likelihood:
    if isinstance(model.network.config, RestorationConfig):
        return GaussianNoise(CLEAN_STD)
    noise = units.noise[0] if len(set(units.noise)) == 1 else None
    return network_likelihood(
        noise, offset=units.normalisation.offset, scale=units.normalisation.scale
    )


def _log_slope(window: NDArray[Any], units: Units) -> float:
    """Sum over pixels of log |d network units / d intensity|."""
    total = -window.size * math.log(units.normalisation.scale)
    for noise, intensities in zip(units.noise, window, strict=False):
        y = intensities.astype(np.float64)
        std = np.sqrt(noise.variance(y))
        # A secant over the noise: the transform is smooth on that scale.
        rise = noise.stabilise(y + std / 2) - noise.stabilise(y - std / 2)
        total += float(np.log(np.maximum(rise, _LEAST_SLOPE) / std).sum())
    return total
