"""Interface of every VAE, for training, restoration and generation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torch import Tensor, nn

from napari_vae_restore.models.config import ModelConfig
from napari_vae_restore.models.latents import DiagonalGaussian, NoiseSource


@dataclass(frozen=True, slots=True)
class Decoded:
    """One pass through the decoder."""

    signal: Tensor  # (N, C, H, W) float32, network units: the mean of p(x | z), never noisy
    # KL(q || p) of each level summed over its elements, (N,) nats each, finest level first;
    # zeros when the latents came from the prior.
    kl: tuple[Tensor, ...]
    latents: tuple[Tensor, ...]  # z of each level, finest level first


Features = tuple[Tensor, ...]
"""Features of an image from the encoder, finest level first, for any number of samples."""

Chooser: TypeAlias = Callable[[int, DiagonalGaussian, DiagonalGaussian], Tensor]
"""``(level, p, q) -> z``: chooses a latent, given its prior and its posterior."""


class VAE(Protocol):
    """A variational autoencoder: prior p(z), decoder p(x | z), posterior q(z | y)."""

    config: ModelConfig

    def encode(self, y: Tensor) -> Features:
        """Bottom-up pass over (N, C, H, W); run once for any number of samples."""

    def decode(self, features: Features, noise: NoiseSource | None) -> Decoded:
        """Top-down pass under q; ``noise=None`` takes every latent's mean."""

    def generate(
        self, n: int, height: int, width: int, noise: NoiseSource, temperature: float = 1.0
    ) -> Decoded:
        """Top-down pass under the prior, `n` images of (height, width) pixels."""

    def traverse(
        self, features: Features | None, shape: tuple[int, int, int], choose: Chooser
    ) -> Tensor:
        """Top-down pass, coarsest level first, in which the caller chooses every latent.

        `choose` gives z, (N, latent, h, w), from the level, p(z_l | z_{>l}) and
        q(z_l | z_{>l}, y); without features q is p. `shape` is (N, H, W). The result is the
        decoded signal, (N, C, H, W) float32.
        """


class VAEModule(nn.Module, VAE):
    """A torch module that is a :class:`VAE`."""
