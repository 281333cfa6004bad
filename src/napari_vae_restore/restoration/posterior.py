"""Posterior inference on one tile: encode once, then the mean and any number of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from napari_vae_restore.models.latents import NoiseSource
from napari_vae_restore.models.model import Model

_T = TypeVar("_T")


class TilePosterior:
    """q(s | y) of one tile under a model.

    Parameters
    ----------
    model : Model
        The network runs on the device that its weights are on.
    y : Tensor
        (1, C, h, w) float32, network units, sides multiples of the network's stride.
    """

    def __init__(self, model: Model, y: Tensor) -> None:
        self._network = model.network
        parameter = next(self._network.parameters())
        y = y.to(parameter.device, memory_format=torch.channels_last)
        self._features = _inferred(lambda: self._network.encode(y))

    def mean(self) -> Tensor:
        """The signal decoded from the mean of every latent, (1, C, h, w)."""
        return self._decode(None)

    def sample(self, noise: NoiseSource) -> Tensor:
        """The signal decoded from a sample of the latents, (1, C, h, w)."""
        return self._decode(noise)

    def _decode(self, noise: NoiseSource | None) -> Tensor:
        return _inferred(lambda: self._network.decode(self._features, noise).signal)


def _inferred(compute: Callable[[], _T]) -> _T:
    # Entered for each computation and not around a generator's body: between two
    # yields the mode would otherwise hold for the caller's own code.
    with torch.inference_mode():
        return compute()
