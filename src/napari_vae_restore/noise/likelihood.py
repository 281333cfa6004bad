"""The likelihood of a measurement in the units of a network that is trained on it.

Stabilised and normalised, noise has one known standard deviation. What is left is its
correlation, which a likelihood must know: one that takes pixels as independent makes a model
of the signal explain the stripes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from napari_vae_restore.noise.autoregression import Autoregression
from napari_vae_restore.noise.correlation import WHITE, as_autoregression
from napari_vae_restore.noise.mixture import MixtureNoise
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel
from napari_vae_restore.noise.numbers import positive, widened

if TYPE_CHECKING:
    from torch import Tensor


class Likelihood(Protocol):
    """p(y | s) of whole images."""

    def log_likelihood(self, y: Tensor, signal: Tensor) -> Tensor:
        """Return log p(y | s) of (..., H, W), nats per element, float32 or wider.

        For correlated noise each is that of the element given those before it; the sum counts.
        """
        ...


@dataclass(frozen=True, slots=True)
class CorrelatedGaussian:
    """Gaussian noise of one standard deviation, correlated between neighbours."""

    sigma: float
    process: Autoregression

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", positive("sigma", self.sigma))

    def log_likelihood(self, y: Tensor, signal: Tensor) -> Tensor:
        """Return log p(y | s) by the chain rule; see :class:`Likelihood`."""
        # Divided before it is squared, so that no float32 overflows.
        innovations, log_scale = self.process.whiten(
            (widened(y) - widened(signal)) / self.sigma
        )
        constant = 0.5 * math.log(2 * math.pi) + math.log(self.sigma)
        return -0.5 * innovations**2 - log_scale - constant


def network_likelihood(noise: NoiseModel | None, *, offset: float, scale: float) -> Likelihood:
    """Return the likelihood of stabilised, normalised images (t - offset) / scale.

    `noise`, in intensity units, is what all images share; None, where it differs, is taken as
    white. Raises InputError unless `scale` is finite and above 0.
    """
    sigma = 1 / positive("scale", scale)
    process = as_autoregression(noise.correlation) if noise else None
    if process is not None:
        return CorrelatedGaussian(sigma, process)
    if isinstance(noise, MixtureNoise):
        return noise.stabilised(offset, scale)
    return GaussianNoise(sigma, WHITE)
