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
from napari_vae_restore.models.protocol import Chooser, Decoded, Features, VAEModule


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
        return cast("Tensor", self.blocks(state + self.inject(z)))


Posterior = Callable[[int, Tensor], DiagonalGaussian]
"""``(layer, state from above) -> q(z_l | z_{>l}, ...)``."""
_Choose = Callable[[int, Tensor], Tensor]
"""``(layer, state from above) -> z_l``."""


class HVAE(VAEModule):
    """Hierarchical VAE; layers of latents are numbered from the finest and may share grids."""

    config: HVAEConfig

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
        """See :meth:`~.protocol.VAEModule.encode`."""
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

    def descend(self, top: Tensor, posterior: Posterior, noise: NoiseSource | None) -> Decoded:
        """Top-down pass under any posterior; the prior is left out.

        Of `top`, (N, any, h, w) on the coarsest grid, only the shape is used. Without `noise`,
        latents are the posterior's means.
        """
        latents = []

        def choose(layer: int, state: Tensor) -> Tensor:
            q = posterior(layer, state)
            latents.append(q.mean if noise is None else q.sample(noise(layer, q.mean)))
            return latents[-1]

        n, _, height, width = top.shape
        return Decoded(self._top_down(n, height, width, choose), (), tuple(reversed(latents)))

    def traverse(
        self, features: Features | None, shape: tuple[int, int, int] | None, choose: Chooser
    ) -> Tensor:
        """See :meth:`~.protocol.VAEModule.traverse`."""
        posterior = None if features is None else self.posterior(features)

        def chosen(layer: int, state: Tensor) -> Tensor:
            q = None if posterior is None else posterior(layer, state)
            p = self._rung(layer).p(state)
            return choose(layer, p, p if q is None else q)

        if features is not None:
            n, _, height, width = features[-1].shape
        else:
            n, *sides = cast("tuple[int, int, int]", shape)
            height, width = (side // self.config.stride for side in sides)
        return self._top_down(n, height, width, chosen)

    def _top_down(self, n: int, height: int, width: int, choose: _Choose) -> Tensor:
        """The signal, (N, C, H, W), that chosen latents decode to, the coarsest asked first.

        `height` and `width` are those of the coarsest grid.
        """
        places = self.config.places
        state = self.top.expand(n, -1, height, width)
        for layer in reversed(range(len(places))):
            if layer + 1 < len(places) and places[layer + 1] > places[layer]:
                state = F.interpolate(self.up[places[layer]](state), scale_factor=2.0)
            state = self._rung(layer).descend(state, choose(layer, state))
        return F.pixel_shuffle(self.head(state), self.config.patch).float()

    def _rung(self, layer: int) -> LatentLayer:
        return cast("LatentLayer", self.ladder[layer])
