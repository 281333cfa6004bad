"""The textbook VAE: convolutional encoder, one latent vector, decoder, N(0, I) prior.

Kingma & Welling, 2013 (arXiv:1312.6114). It accepts images of one size only, and it
is here to learn from and to compare with: :class:`~.hvae.HVAE` restores better.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_vae_restore.models.config import FlatVAEConfig
from napari_vae_restore.models.latents import DiagonalGaussian, NoiseSource
from napari_vae_restore.models.protocol import Chooser, Decoded, Features


class FlatVAE(nn.Module):
    """VAE with a latent vector over square images of ``config.size`` pixels."""

    def __init__(self, config: FlatVAEConfig) -> None:
        super().__init__()
        self.config = config
        width, coarse = config.width, config.size // 4
        self.encoder = nn.Sequential(
            nn.Conv2d(config.channels, width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2 * width * coarse**2, 2 * config.z_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.z_dim, 2 * width * coarse**2),
            nn.Unflatten(1, (2 * width, coarse, coarse)),
            nn.SiLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(width, config.channels, 4, stride=2, padding=1),
        )

    def encode(self, y: Tensor) -> Features:
        """See :meth:`~.protocol.VAE.encode`; (N, C, size, size) only."""
        return (self.encoder(y),)

    def decode(self, features: Features, noise: NoiseSource | None) -> Decoded:
        """See :meth:`~.protocol.VAE.decode`."""
        # A latent vector is a latent grid of one cell, so one Gaussian serves both VAEs.
        q = DiagonalGaussian.from_parameters(features[0][:, :, None, None])
        p = self._prior(q.mean)
        z = q.mean if noise is None else q.sample(noise(0, q.mean))
        return Decoded(self._signal(z), (q.kl(p).sum(dim=(1, 2, 3)),), (z,))

    def generate(
        self, n: int, height: int, width: int, noise: NoiseSource, temperature: float = 1.0
    ) -> Decoded:
        """See :meth:`~.protocol.VAE.generate`; ``height == width == config.size`` only."""
        like = next(self.parameters()).new_zeros(n, self.config.z_dim, 1, 1)
        z = self._prior(like).sample(noise(0, like), temperature)
        return Decoded(self._signal(z), (like.new_zeros(n),), (z,))

    def traverse(
        self, features: Features | None, shape: tuple[int, int, int], choose: Chooser
    ) -> Tensor:
        """See :meth:`~.protocol.VAE.traverse`; ``height == width == config.size`` only."""
        like = next(self.parameters()).new_zeros(shape[0], self.config.z_dim, 1, 1)
        p = q = self._prior(like)
        if features is not None:
            q = DiagonalGaussian.from_parameters(features[0][:, :, None, None])
        return self._signal(choose(0, p, q))

    @staticmethod
    def _prior(like: Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(torch.zeros_like(like), torch.zeros_like(like))

    def _signal(self, z: Tensor) -> Tensor:
        signal: Tensor = self.decoder(z.flatten(1))
        return signal.float()
