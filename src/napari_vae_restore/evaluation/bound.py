"""What a model makes of an image: the ELBO in its parts, its units, its reconstruction.

The bound is that of its training: of noisy images under their noise model, of clean ones
under the fixed likelihood of the bundled model. Nothing here reads files or restores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
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
from napari_vae_restore.noise.likelihood import Likelihood, network_likelihood
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.training.stages import CLEAN_STD

ACTIVE_VARIANCE: Final = 0.01
"""Of a unit's posterior mean over data, above which it counts as active; Burda et al. 2016."""

_N_SAMPLES: Final = 4
"""Of the latents, over which the log-likelihood and the KL of lower levels are averaged."""
_WINDOW: Final = 1024
"""Pixels: larger planes are cut into windows, each a picture of its own."""
_LEAST_SLOPE: Final = 1e-3
"""Of the stabilised intensity, per standard deviation of the noise: far below black, where
the transform is flat, no density can be told."""


@dataclass(slots=True)
class Tally:
    """Sums over windows, from which the figures are made.

    Attributes
    ----------
    n_values : int
        Pixels times channels.
    log_likelihood, log_slope : float
        Nats, summed: E_q[log p] in network units, and the logarithm of what turns a density
        in network units into one in intensities.
    kl : numpy.ndarray
        (levels,) nats, summed, finest first.
    cells : list of int
        Latent cells of each level, finest first.
    sums, squares : list of numpy.ndarray
        (latent,) of the posterior means over cells, for each level, finest first.
    """

    n_values: int = 0
    log_likelihood: float = 0.0
    log_slope: float = 0.0
    kl: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    cells: list[int] = field(default_factory=list)
    sums: list[NDArray[np.float64]] = field(default_factory=list)
    squares: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in the sums of another part of the data."""
        if not self.n_values:
            self.kl = np.zeros_like(other.kl)
            self.cells = [0] * len(other.cells)
            self.sums = [np.zeros_like(each) for each in other.sums]
            self.squares = [np.zeros_like(each) for each in other.squares]
        self.n_values += other.n_values
        self.log_likelihood += other.log_likelihood
        self.log_slope += other.log_slope
        self.kl = self.kl + other.kl
        self.cells = [a + b for a, b in zip(self.cells, other.cells, strict=True)]
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.squares = [a + b for a, b in zip(self.squares, other.squares, strict=True)]

    @property
    def elbo(self) -> float:
        """Nats per pixel and channel, network units, beta 1."""
        return (self.log_likelihood - float(self.kl.sum())) / self.n_values

    def bits_per_dimension(self, grey_level: float) -> float:
        """-ELBO in bits of intensities in steps of `grey_level`, per pixel and channel."""
        nats = self.elbo + self.log_slope / self.n_values + math.log(grey_level)
        return -nats / math.log(2)

    def active(self) -> list[int | None]:
        """Active units of each level, finest first; None where one cell was all there was."""
        found: list[int | None] = []
        for n, sums, squares in zip(self.cells, self.sums, self.squares, strict=True):
            variance = squares / n - (sums / n) ** 2
            found.append(int((variance > ACTIVE_VARIANCE).sum()) if n > 1 else None)
        return found


def measure(
    image: Any, axes: str | None, model: Model, seed: int = 0
) -> tuple[Tally, NDArray[Any]]:
    """Measure the bound on one image, and reconstruct it from its latents' means.

    Parameters
    ----------
    image : array-like
        Noisy for a model of noisy images, clean for a model of every task.
    axes : str, optional
        As for :func:`~.restore.restore`.
    model : Model
        On the device where it is to run.
    seed : int
        Of the latents' noise.

    Returns
    -------
    Tally
        Sums over the image, mirrored on to whole windows.
    numpy.ndarray
        What the decoder makes of the latents' means, in the image's axes, dtype and range.

    Raises
    ------
    InputError
        If the image is unusable, or has other channels than the network.
    RestorationError
        If the computation fails.
    """
    planes = Planes.of(image, axes, model)
    generator = torch.Generator().manual_seed(seed)
    total = Tally()
    signals = []
    with torch_computing():
        for group, units in zip(planes.groups, planes.units, strict=True):
            signal = np.empty(group.shape)
            likelihood = _likelihood(model, units)
            for rows, columns in _windows(group.shape[1:], model):
                window = group[:, rows, columns]
                tally, found = _measure_window(window, units, likelihood, model, generator)
                total.add(tally)
                signal[:, rows, columns] = found[:, : window.shape[1], : window.shape[2]]
            signals.append(signal)
    return total, assembled(planes.layout, signals)


def describe_likelihood(model: Model) -> str:
    """Under what the bound is measured, in words."""
    if isinstance(model.network.config, RestorationConfig):
        return f"clean images, Gaussian of {CLEAN_STD:g} of the range"
    return "noisy images, their noise model"


def _measure_window(
    window: NDArray[Any],
    units: Units,
    likelihood: Likelihood,
    model: Model,
    generator: torch.Generator,
) -> tuple[Tally, NDArray[np.float64]]:
    """The sums of a (C, h, w) window, and its reconstruction with the mirrored border."""
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
    draws = [network.decode(features, random_noise(generator)) for _ in range(_N_SAMPLES)]
    log_likelihood = sum(
        float(likelihood.log_likelihood(y, drawn.signal).double().sum()) for drawn in draws
    )
    kl = np.array([[float(level) for level in drawn.kl] for drawn in draws])
    units_of = [_by_unit(means[level]) for level in range(len(means))]
    tally = Tally(
        n_values=padded.size,
        log_likelihood=log_likelihood / _N_SAMPLES,
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


def _windows(shape: tuple[int, ...], model: Model) -> list[tuple[slice, slice]]:
    side = model.network.config.fixed_size or _WINDOW
    starts = [range(0, length, side) for length in shape]
    return [(slice(y, y + side), slice(x, x + side)) for y, x in product(*starts)]


def _by_unit(mean: Tensor) -> NDArray[np.float64]:
    """(1, latent, h, w) as (latent, cells)."""
    values: NDArray[np.float64] = mean[0].flatten(1).double().cpu().numpy()
    return values
