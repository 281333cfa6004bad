"""Posterior inference on tiles: the mean, and any number of samples.

A :class:`PlanePosterior` is made for one plane or group of channels, or for a window of
it, and yields the signals of its tiles in the image's intensity units. What must be the
same for all windows of a plane, its scale, is measured before, by ``scale_of``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.latents import NoiseSource
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.protocol import Features
from napari_vae_restore.models.threads import fitting_threads
from napari_vae_restore.restoration.inference.blend import LITTLE_NOISE, Blend, TileDecision
from napari_vae_restore.restoration.inference.description import Description, described
from napari_vae_restore.restoration.inference.keys import LatentKeys
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.restoration.problem import Problem

_T = TypeVar("_T")


class PlanePosterior(Protocol):
    """p(x | y) of one plane or group of channels."""

    @property
    def description(self) -> Description | None:
        """What the network saw in the last tile, where noise alone was to be removed."""

    @property
    def decided(self) -> TileDecision | None:
        """How much of the network's answer was taken in the last tile."""

    def signals(
        self, tile: Tile, n_samples: int, keys: LatentKeys
    ) -> Iterator[NDArray[np.float64]]:
        """The mean, then samples, (C, h, w) intensities of the tile, halo included."""


class DenoisingPosterior:
    """q(s | y), (C, H, W), of a VAE that was trained on noisy images: it removes noise only."""

    def __init__(
        self, model: Model, problem: Problem, measurement: Measurement, scale: Units
    ) -> None:
        self._network = model.network
        self._measured = measurement.filled(scale.to_network(measurement.intensities))
        self._blend = Blend(model, problem, measurement, scale, self._measured)
        self.description: Description | None = None

    @classmethod
    def scale_of(cls, model: Model, sample: Measurement) -> Units:
        """The units that the model was trained in, whatever the image's range."""
        if model.normalisation is None:
            raise InputError(f"model {model.name}: it has no normalisation: train it anew")
        units = Units(sample.noise, model.normalisation)
        # Such units have the images' standard deviation, some quarter of their range, for 1.
        return replace(units, decides=units.sigma < 4 * LITTLE_NOISE)

    @property
    def decided(self) -> TileDecision | None:
        return self._blend.decided

    def signals(
        self, tile: Tile, n_samples: int, keys: LatentKeys
    ) -> Iterator[NDArray[np.float64]]:
        """See :meth:`PlanePosterior.signals`; the encoder runs once."""
        features = self._encoded(self._measured, tile)
        self.description = described(features, self._network.config.grids, tile)
        mean = self._decoded(features, None, tile)
        mean += (shift := self._blend.mean_shift(mean, tile))

        def again(measured: NDArray[np.float32]) -> NDArray[np.float64]:
            return self._decoded(self._encoded(measured, tile), None, tile) + shift

        def draw(sample: int) -> NDArray[np.float64]:
            return self._decoded(features, keys.noise(sample, tile), tile) + shift

        yield from self._blend.signals(tile, mean, again, draw, n_samples, keys)

    def _encoded(self, measured: NDArray[np.float32], tile: Tile) -> Features:
        network, device = self._network, next(self._network.parameters()).device
        y = torch.as_tensor(tile.read(measured))[None]
        y = y.to(device, memory_format=torch.channels_last)
        return inferred(network, tile.n_pixels, lambda: network.encode(y))

    def _decoded(
        self, features: Features, noise: NoiseSource | None, tile: Tile
    ) -> NDArray[np.float64]:
        """(C, h, w) in network units."""
        network = self._network
        signal = inferred(
            network, tile.n_pixels, lambda: network.decode(features, noise).signal
        )
        return signal[0].cpu().numpy().astype(np.float64)


def inferred(network: torch.nn.Module, n_pixels: int, compute: Callable[[], _T]) -> _T:
    """Run a network over so many pixels, without recording gradients.

    Entered for each computation and not around a generator's body: between two yields
    the mode would otherwise hold for the caller's own code.
    """
    device = next(network.parameters()).device
    with torch.inference_mode(), fitting_threads(device, n_pixels):
        return compute()
