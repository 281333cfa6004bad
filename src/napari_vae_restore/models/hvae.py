"""The hierarchical VAE: a fully convolutional top-down ladder of latent grids.

p(z) = p(z_L) prod_l p(z_l | z_{>l}),  q(z | y) = q(z_L | y) prod_l q(z_l | z_{>l}, y)

The topology follows the top-down inference of Soenderby et al. (Ladder VAE, 2016,
arXiv:1602.02282) and Child (VDVAE, 2021, arXiv:2011.10650), used for denoising by
Prakash et al. (HDN, 2022, arXiv:2104.01374). The top prior is one learned vector
shared over space, so a network trained on patches runs on any size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_vae_restore.models.blocks import stack
from napari_vae_restore.models.config import HVAEConfig
from napari_vae_restore.models.latents import DiagonalGaussian, NoiseSource
from napari_vae_restore.models.protocol import Chooser, Decoded, Features


class PosteriorHead(nn.Module):
    """q(z_l | z_{>l}, features): the state from above merged with what was seen below."""

    def __init__(self, width: int, feature_width: int, latent: int) -> None:
        super().__init__()
        self.merge = nn.Conv2d(width + feature_width, width, 1)
        self.parameters_of_z = nn.Sequential(
            stack(width, 1), nn.SiLU(), nn.Conv2d(width, 2 * latent, 1)
        )

    def forward(self, state: Tensor, features: Tensor) -> DiagonalGaussian:
        """From (N, width, h, w) and (N, feature_width, h, w)."""
        merged = self.merge(torch.cat([state, features], dim=1))
        return DiagonalGaussian.from_parameters(self.parameters_of_z(merged))


class LatentLevel(nn.Module):
    """One rung: prior and posterior of z_l from the state above, and the state after it."""

    def __init__(self, config: HVAEConfig) -> None:
        super().__init__()
        width, latent = config.width, config.latent
        self.prior = nn.Sequential(stack(width, 1), nn.SiLU(), nn.Conv2d(width, 2 * latent, 1))
        self.posterior = PosteriorHead(width, width, latent)
        self.inject = nn.Conv2d(latent, width, 1)
        self.blocks = stack(width, config.blocks)

    def p(self, state: Tensor) -> DiagonalGaussian:
        """p(z_l | z_{>l})."""
        return DiagonalGaussian.from_parameters(self.prior(state))

    def descend(self, state: Tensor, z: Tensor) -> Tensor:
        """The deterministic state once z_l is known."""
        updated: Tensor = self.blocks(state + self.inject(z))
        return updated


Posterior = Callable[[int, Tensor], DiagonalGaussian]
"""``(level, state from above) -> q(z_l | z_{>l}, ...)``."""


class HVAE(nn.Module):
    """Hierarchical VAE over images whose sides are multiples of ``config.stride``.

    Parameters
    ----------
    config : HVAEConfig
        Everything that the network is built from.
    """

    def __init__(self, config: HVAEConfig) -> None:
        super().__init__()
        self.config = config
        width, folded = config.width, config.channels * config.patch**2
        self.stem = nn.Conv2d(folded, width, 3, padding=1)
        self.bottom_up = nn.ModuleList(
            stack(width, config.blocks) for _ in range(config.levels)
        )
        self.down = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(config.levels - 1)
        )
        self.top = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.ladder = nn.ModuleList(LatentLevel(config) for _ in range(config.levels))
        self.head = nn.Sequential(
            stack(width, 1), nn.SiLU(), nn.Conv2d(width, folded, 3, padding=1)
        )

    def encode(self, y: Tensor) -> Features:
        """See :meth:`~.protocol.VAE.encode`; sides are multiples of ``config.stride``."""
        h = self.stem(F.pixel_unshuffle(y, self.config.patch))
        features = []
        for level, blocks in enumerate(self.bottom_up):
            h = blocks(self.down[level - 1](h) if level else h)
            features.append(h)
        return tuple(features)

    def decode(self, features: Features, noise: NoiseSource | None) -> Decoded:
        """See :meth:`~.protocol.VAE.decode`."""

        def posterior(level: int, state: Tensor) -> DiagonalGaussian:
            head = self._rung(level).posterior
            return cast("DiagonalGaussian", head(state, features[level]))

        return self.descend(features[-1], posterior, noise)

    def descend(self, top: Tensor, posterior: Posterior, noise: NoiseSource | None) -> Decoded:
        """Top-down pass under any posterior.

        Parameters
        ----------
        top : Tensor
            (N, any, h, w) on the coarsest grid; only its shape is used.
        posterior : callable
            q of each level, given the state from above.
        noise : callable or None
            Noise of the latents; None takes every latent's mean.
        """
        state = self.top.expand(top.shape[0], -1, *top.shape[2:])
        kl, latents = [], []
        for level in reversed(range(self.config.levels)):
            rung = self._rung(level)
            if level < self.config.levels - 1:
                state = F.interpolate(state, scale_factor=2, mode="nearest")
            p, q = rung.p(state), posterior(level, state)
            z = q.mean if noise is None else q.sample(noise(level, q.mean))
            kl.append(q.kl(p).sum(dim=(1, 2, 3)))
            latents.append(z)
            state = rung.descend(state, z)
        return Decoded(self._signal(state), tuple(reversed(kl)), tuple(reversed(latents)))

    def generate(
        self, n: int, height: int, width: int, noise: NoiseSource, temperature: float = 1.0
    ) -> Decoded:
        """See :meth:`~.protocol.VAE.generate`; sides are multiples of ``config.stride``."""
        stride = self.config.stride
        state = self.top.expand(n, -1, height // stride, width // stride)
        latents = []
        for level in reversed(range(self.config.levels)):
            if level < self.config.levels - 1:
                state = F.interpolate(state, scale_factor=2, mode="nearest")
            rung = self._rung(level)
            p = rung.p(state)
            latents.append(p.sample(noise(level, p.mean), temperature))
            state = rung.descend(state, latents[-1])
        zero = state.new_zeros(n, dtype=torch.float32)
        return Decoded(self._signal(state), (zero,) * len(latents), tuple(reversed(latents)))

    def traverse(
        self, features: Features | None, shape: tuple[int, int, int], choose: Chooser
    ) -> Tensor:
        """See :meth:`~.protocol.VAE.traverse`; sides are multiples of ``config.stride``."""
        n, height, width = shape
        stride = self.config.stride
        state = self.top.expand(n, -1, height // stride, width // stride)
        for level in reversed(range(self.config.levels)):
            if level < self.config.levels - 1:
                state = F.interpolate(state, scale_factor=2, mode="nearest")
            rung = self._rung(level)
            p = rung.p(state)
            q = p if features is None else rung.posterior(state, features[level])
            state = rung.descend(state, choose(level, p, q))
        return self._signal(state)

    def _rung(self, level: int) -> LatentLevel:
        return cast("LatentLevel", self.ladder[level])

    def _signal(self, state: Tensor) -> Tensor:
        return F.pixel_shuffle(self.head(state), self.config.patch).float()
