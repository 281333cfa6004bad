"""The VAE that training, restoration and generation know, whatever its network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from napari_vae_restore.models.config import ModelConfig
from napari_vae_restore.models.latents import DiagonalGaussian, NoiseSource


@dataclass(frozen=True, slots=True)
class Decoded:
    """One pass through the decoder."""

    signal: Tensor  # (N, C, H, W) float32, network units: the mean of p(x | z), never noisy
    # KL(q || p) of each level summed over its elements, (N,) nats each, finest level first;
    # zeros when the latents came from the prior, none where the prior was left out.
    kl: tuple[Tensor, ...]
    latents: tuple[Tensor, ...]  # z of each level, finest level first


Features = tuple[Tensor, ...]
"""Features of an image from the encoder, finest level first, for any number of samples."""

Chooser: TypeAlias = Callable[[int, DiagonalGaussian, DiagonalGaussian], Tensor]
"""``(level, p, q) -> z``: chooses a latent, given its prior and its posterior."""


class VAEModule(nn.Module, ABC):
    """A variational autoencoder: prior p(z), decoder p(x | z), posterior q(z | y).

    Sides of images are multiples of ``config.stride``.
    """

    config: ModelConfig

    @abstractmethod
    def encode(self, y: Tensor) -> Features:
        """Bottom-up pass over (N, C, H, W); run once for any number of samples."""

    @abstractmethod
    def traverse(
        self, features: Features | None, shape: tuple[int, int, int] | None, choose: Chooser
    ) -> Tensor:
        """Top-down pass, coarsest level first, in which the caller chooses every latent.

        `choose` gives z, (N, latent, h, w), from the level, p(z_l | z_{>l}) and
        q(z_l | z_{>l}, y); without features q is p, and `shape` is (N, H, W). The result is
        the decoded signal, (N, C, H, W) float32.
        """

    def decode(self, features: Features, noise: NoiseSource | None) -> Decoded:
        """Top-down pass under q; ``noise=None`` takes every latent's mean."""
        return self._sampled(features, None, noise, 1.0)

    def generate(
        self, n: int, height: int, width: int, noise: NoiseSource, temperature: float = 1.0
    ) -> Decoded:
        """Top-down pass under the prior, `n` images of (height, width) pixels."""
        return self._sampled(None, (n, height, width), noise, temperature)

    def _sampled(
        self,
        features: Features | None,
        shape: tuple[int, int, int] | None,
        noise: NoiseSource | None,
        temperature: float,
    ) -> Decoded:
        kls, latents = [], []

        def choose(level: int, p: DiagonalGaussian, q: DiagonalGaussian) -> Tensor:
            kls.append(q.kl(p).sum(dim=(1, 2, 3)))
            z = q.mean if noise is None else q.sample(noise(level, q.mean), temperature)
            latents.append(z)
            return z

        signal = self.traverse(features, shape, choose)
        return Decoded(signal, tuple(reversed(kls)), tuple(reversed(latents)))
