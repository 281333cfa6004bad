"""The hierarchical VAE: a fully convolutional top-down ladder of latent grids.

p(z) = p(z_L) prod_l p(z_l | z_{>l}),  q(z | y) = q(z_L | y) prod_l q(z_l | z_{>l}, y)

The topology follows the top-down inference of Soenderby et al. (Ladder VAE, 2016,
arXiv:1602.02282) and Child (VDVAE, 2021, arXiv:2011.10650), used for denoising by
Prakash et al. (HDN, 2022, arXiv:2104.01374). The top prior is one learned vector
shared over space, so a network trained on patches runs on any size.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_vae_restore.models.blocks import stack
from napari_vae_restore.models.config import HVAEConfig
from napari_vae_restore.models.latents import DiagonalGaussian, NoiseSource
from napari_vae_restore.models.protocol import Chooser, Decoded, Features


class PosteriorHead(nn.Module):
    """q(z_l | z_{>l}, features): merges the state from above with the encoder's features."""

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


class LatentLayer(nn.Module):
    """One rung: prior and posterior of z_l from the state above, and the state below."""

    def __init__(self, width: int, latent: int, n_blocks: int) -> None:
        super().__init__()
        self.prior = nn.Sequential(stack(width, 1), nn.SiLU(), nn.Conv2d(width, 2 * latent, 1))
        self.posterior = PosteriorHead(width, width, latent)
        self.inject = nn.Conv2d(latent, width, 1)
        self.blocks = stack(width, n_blocks)

    def p(self, state: Tensor) -> DiagonalGaussian:
        """p(z_l | z_{>l})."""
        return DiagonalGaussian.from_parameters(self.prior(state))

    def descend(self, state: Tensor, z: Tensor) -> Tensor:
        """The deterministic state once z_l is known."""
        updated: Tensor = self.blocks(state + self.inject(z))
        return updated


Posterior = Callable[[int, Tensor], DiagonalGaussian]
"""``(layer, state from above) -> q(z_l | z_{>l}, ...)``."""
_Choose = Callable[[int, Tensor], Tensor]
"""``(layer, state from above) -> z_l``."""


class HVAE(nn.Module):
    """Hierarchical VAE over images whose sides are multiples of ``config.stride``.

    Layers of latents are numbered from the finest; several may share a grid.
    """

    def __init__(self, config: HVAEConfig) -> None:
        super().__init__()
        self.config = config
        widths, places = config.grid_widths, config.places
        pairs, folded = list(pairwise(widths)), config.channels * config.patch**2
        self.stem = nn.Conv2d(folded, widths[0], 3, padding=1)
        self.bottom_up = nn.ModuleList(stack(width, config.blocks) for width in widths)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.top = nn.Parameter(torch.zeros(1, widths[-1], 1, 1))
        self.up = nn.ModuleList(
            nn.Identity() if a == b else nn.Conv2d(b, a, 1) for a, b in pairs
        )
        self.ladder = nn.ModuleList(
            LatentLayer(widths[place], config.latent, config.blocks) for place in places
        )
        self.head = nn.Sequential(
            stack(widths[0], 1), nn.SiLU(), nn.Conv2d(widths[0], folded, 3, padding=1)
        )

    def encode(self, y: Tensor) -> Features:
        """See :meth:`~.protocol.VAE.encode`; sides are multiples of ``config.stride``."""
        h = self.stem(F.pixel_unshuffle(y, self.config.patch))
        features = []
        for level, blocks in enumerate(self.bottom_up):
            h = blocks(self.down[level - 1](h) if level else h)
            features.append(h)
        return tuple(features)

    def posterior(self, features: Features) -> Posterior:
        """The teacher q(z | y), given what :meth:`encode` made of y."""

        def q(layer: int, state: Tensor) -> DiagonalGaussian:
            seen = features[self.config.places[layer]]
            return cast("DiagonalGaussian", self._rung(layer).posterior(state, seen))

        return q

    def decode(self, features: Features, noise: NoiseSource | None) -> Decoded:
        """See :meth:`~.protocol.VAE.decode`."""
        return self.descend(features[-1], self.posterior(features), noise)

    def descend(
        self, top: Tensor, posterior: Posterior, noise: NoiseSource | None, *, kl: bool = True
    ) -> Decoded:
        """Top-down pass under any posterior.

        Of `top`, (N, any, h, w) on the coarsest grid, only the shape is used. Without `noise`,
        latents are the posterior's means; without `kl`, the prior is skipped and KL are zero.
        """
        n, _, height, width = top.shape
        zero = top.new_zeros(n, dtype=torch.float32)
        kls, latents = [zero] * len(self.ladder), [zero] * len(self.ladder)

        def choose(layer: int, state: Tensor) -> Tensor:
            q = posterior(layer, state)
            if kl:
                kls[layer] = q.kl(self._rung(layer).p(state)).sum(dim=(1, 2, 3))
            z = q.mean if noise is None else q.sample(noise(layer, q.mean))
            latents[layer] = z
            return z

        signal = self._top_down(n, (height, width), choose)
        return Decoded(signal, tuple(kls), tuple(latents))

    def generate(
        self, n: int, height: int, width: int, noise: NoiseSource, temperature: float = 1.0
    ) -> Decoded:
        """See :meth:`~.protocol.VAE.generate`; sides are multiples of ``config.stride``."""
        zero = self.top.new_zeros(n, dtype=torch.float32)
        latents = [zero] * len(self.ladder)

        def choose(layer: int, state: Tensor) -> Tensor:
            p = self._rung(layer).p(state)
            latents[layer] = p.sample(noise(layer, p.mean), temperature)
            return latents[layer]

        signal = self._top_down(n, self._coarsest(height, width), choose)
        return Decoded(signal, (zero,) * len(latents), tuple(latents))

    def traverse(
        self, features: Features | None, shape: tuple[int, int, int], choose: Chooser
    ) -> Tensor:
        """See :meth:`~.protocol.VAE.traverse`; sides are multiples of ``config.stride``."""
        posterior = None if features is None else self.posterior(features)

        def chosen(layer: int, state: Tensor) -> Tensor:
            p = self._rung(layer).p(state)
            return choose(layer, p, p if posterior is None else posterior(layer, state))

        n, height, width = shape
        return self._top_down(n, self._coarsest(height, width), chosen)

    def _top_down(self, n: int, coarsest: tuple[int, int], choose: _Choose) -> Tensor:
        """The signal, (N, C, H, W), that chosen latents decode to, the coarsest asked first."""
        places = self.config.places
        state = self.top.expand(n, -1, *coarsest)
        for layer in reversed(range(len(places))):
            if layer + 1 < len(places) and places[layer + 1] > places[layer]:
                state = F.interpolate(self.up[places[layer]](state), scale_factor=2.0)
            state = self._rung(layer).descend(state, choose(layer, state))
        return F.pixel_shuffle(self.head(state), self.config.patch).float()

    def _coarsest(self, height: int, width: int) -> tuple[int, int]:
        return height // self.config.stride, width // self.config.stride

    def _rung(self, layer: int) -> LatentLayer:
        return cast("LatentLayer", self.ladder[layer])
