"""The textbook VAE: convolutional encoder, one latent vector, decoder, N(0, I) prior.

Kingma & Welling, 2013 (arXiv:1312.6114). It accepts images of one size only, and it
is here to learn from and to compare with: :class:`~.hvae.HVAE` restores better.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from napari_vae_restore.models.config import FlatVAEConfig
from napari_vae_restore.models.latents import DiagonalGaussian
from napari_vae_restore.models.protocol import Chooser, Features, VAEModule


class FlatVAE(VAEModule):
    """VAE with a latent vector over square images of ``config.size`` pixels."""

    config: FlatVAEConfig

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
        """See :meth:`~.protocol.VAEModule.encode`; (N, C, size, size) only."""
        return (self.encoder(y),)

    def traverse(
        self, features: Features | None, shape: tuple[int, int, int] | None, choose: Chooser
    ) -> Tensor:
        """See :meth:`~.protocol.VAEModule.traverse`; of ``config.size`` only."""
        # A latent vector is a latent grid of one cell, so one Gaussian serves both VAEs.
        if features is not None:
            q = DiagonalGaussian.from_parameters(features[0][:, :, None, None])
            like = q.mean
        else:
            n = cast("tuple[int, int, int]", shape)[0]
            like = next(self.parameters()).new_zeros(n, self.config.z_dim, 1, 1)
        p = DiagonalGaussian(torch.zeros_like(like), torch.zeros_like(like))
        z = choose(0, p, p if features is None else q)
        return cast("Tensor", self.decoder(z.flatten(1))).float()
