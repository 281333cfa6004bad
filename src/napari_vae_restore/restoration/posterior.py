"""Posterior inference on tiles: the mean, and any number of samples.

A :class:`PlanePosterior` is made for one plane or group of channels, or for a window of
it, and yields the signals of its tiles in the image's intensity units. What must be the
same for all windows of a plane, its scale, is measured before, by ``scale_of``. Here is the
posterior of models that were trained on noisy images; `conditional` and `plug_and_play`
have the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.errors import InputError
from napari_vae_restore.models.latents import KeyedNoise, NoiseSource
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.description import Description, described
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.units import Units
from napari_vae_restore.threads import fitting_threads
from napari_vae_restore.tiling import Tile

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class LatentKeys:
    """What the latent noise of one plane is keyed to, beside its place.

    Attributes
    ----------
    seed, plane : int
        See :class:`~.latents.KeyedNoise`.
    strides : tuple of int
        Pixels per latent cell of each level.
    """

    seed: int
    plane: int
    strides: tuple[int, ...]

    def noise(self, sample: int, tile: Tile) -> KeyedNoise:
        """The noise of one sample of one tile."""
        return KeyedNoise(self.seed, sample, self.plane, *tile.origin, self.strides)


class PlanePosterior(Protocol):
    """p(x | y) of one plane or group of channels."""

    @property
    def description(self) -> Description | None:
        """What the network saw in the last tile, where noise alone was to be removed."""

    def signals(
        self, tile: Tile, n_samples: int, keys: LatentKeys
    ) -> Iterator[NDArray[np.float64]]:
        """The mean and then `n_samples` samples, (C, h, w) in intensity units.

        The whole tile is yielded, halo included; only its inner part is meant to be used.
        """


class DenoisingPosterior:
    """q(s | y) under a VAE that was trained on noisy images: it removes noise only.

    Parameters
    ----------
    model : Model
        The network runs on the device that its weights are on.
    problem : Problem
        A denoising.
    measurement : Measurement
        (C, H, W), any dtype.
    scale : Units
        As `scale_of` gives them.
    """

    def __init__(
        self, model: Model, problem: Problem, measurement: Measurement, scale: Units
    ) -> None:
        self._network = model.network
        self._units = scale
        self._intensities = measurement.intensities
        self.description: Description | None = None

    @classmethod
    def scale_of(cls, model: Model, sample: Measurement) -> Units:
        """The units that the model was trained in, whatever the image's range."""
        if model.normalisation is None:
            raise InputError(f"model {model.name}: it has no normalisation: train it anew")
        return Units(sample.noise, model.normalisation)

    def signals(
        self, tile: Tile, n_samples: int, keys: LatentKeys
    ) -> Iterator[NDArray[np.float64]]:
        """See :meth:`PlanePosterior.signals`; the encoder runs once."""
        y = self._units.to_network(tile.read(self._intensities))
        network, n_pixels = self._network, y[0].size
        features = inferred(network, n_pixels, lambda: network.encode(on_device(network, y)))
        self.description = described(features, network.config.strides, tile)

        def decoded(noise: NoiseSource | None) -> NDArray[np.float64]:
            signal = inferred(network, n_pixels, lambda: network.decode(features, noise).signal)
            return self._units.from_network(signal[0].cpu().numpy())

        yield decoded(None)
        for sample in range(n_samples):
            yield decoded(keys.noise(sample, tile))


def on_device(network: torch.nn.Module, values: NDArray[np.float32] | Tensor) -> Tensor:
    """(C, h, w) or (1, C, h, w) values as a batch of one where the network's weights are."""
    tensor = torch.as_tensor(values)
    batch = tensor if tensor.ndim == 4 else tensor[None]
    device = next(network.parameters()).device
    return batch.to(device, memory_format=torch.channels_last)


def inferred(network: torch.nn.Module, n_pixels: int, compute: Callable[[], _T]) -> _T:
    """Run a network over so many pixels, without recording gradients.

    Entered for each computation and not around a generator's body: between two yields
    the mode would otherwise hold for the caller's own code.
    """
    device = next(network.parameters()).device
    with torch.inference_mode(), fitting_threads(device, n_pixels):
        return compute()
