"""One model for every task: a hierarchical VAE with a student posterior q(z | c).

The condition c is a degraded image with its mask, noise and scale. Teacher q(z | x),
prior p(z) and decoder p(x | z) are the hierarchical VAE of clean images; the student
infers the same latents from c (posterior matching, Strauss & Oliva 2022,
arXiv:2205.10943), and its features also give E[x | c] in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from napari_vae_restore.models.condition import ConditionEncoder
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.hvae import HVAE, Posterior, PosteriorHead
from napari_vae_restore.models.latents import DiagonalGaussian, NoiseSource
from napari_vae_restore.models.protocol import Decoded, Features


@dataclass(frozen=True, slots=True)
class Conditioned:
    """What the condition encoder made of a degraded image.

    Attributes
    ----------
    features : tuple of Tensor
        One grid per level, finest first; good for any number of samples.
    mean : Tensor
        (N, 1, H, W) float32, E[x | c] in network units.
    """

    features: Features
    mean: Tensor


class RestorationVAE(nn.Module):
    """Conditional hierarchical VAE over images whose sides are multiples of the stride.

    Parameters
    ----------
    config : RestorationConfig
        Everything that the network is built from.
    """

    def __init__(self, config: RestorationConfig) -> None:
        super().__init__()
        self.config = config
        self.vae = HVAE(config.vae)
        self.condition = ConditionEncoder(config.widths, config.depths, config.patch)
        self.student = nn.ModuleList(
            PosteriorHead(config.width, width, config.latent) for width in config.widths
        )

    def infer(self, condition: Tensor) -> Conditioned:
        """Read a condition (N, 6, H, W); see :class:`~.condition.ConditionEncoder`."""
        features, mean = self.condition(condition)
        return Conditioned(features, mean)

    def posterior(self, features: Features) -> Posterior:
        """The student q(z | c), given the condition's features."""

        def q(level: int, state: Tensor) -> DiagonalGaussian:
            found: DiagonalGaussian = self.student[level](state, features[level])
            return found

        return q

    def decode_posterior(self, features: Features, noise: NoiseSource | None) -> Decoded:
        """Top-down pass under the student; ``noise=None`` takes every latent's mean."""
        return self.vae.descend(features[-1], self.posterior(features), noise)

    def centre(self, features: Features) -> Tensor:
        """What the latents' means decode to, (N, 1, H, W): one for all samples."""
        return self.decode_posterior(features, None).signal

    def sample(self, found: Conditioned, centre: Tensor, noise: NoiseSource) -> Tensor:
        """A sample of q(x | c): what the latents' noise changes, about the mean head.

        Parameters
        ----------
        found : Conditioned
            What :meth:`infer` made of the condition.
        centre : Tensor
            What :meth:`centre` made of its features.
        noise : callable
            Noise of the latents.

        Returns
        -------
        Tensor
            (N, 1, H, W) float32 in network units; gradients reach the student through it.
        """
        return found.mean + self.decode_posterior(found.features, noise).signal - centre

    def encode(self, y: Tensor) -> Features:
        """The teacher's bottom-up pass over clean images; see :meth:`~.protocol.VAE.encode`."""
        return self.vae.encode(y)

    def decode(self, features: Features, noise: NoiseSource | None) -> Decoded:
        """Top-down pass under the teacher; see :meth:`~.protocol.VAE.decode`."""
        return self.vae.decode(features, noise)

    def generate(
        self, n: int, height: int, width: int, noise: NoiseSource, temperature: float = 1.0
    ) -> Decoded:
        """Top-down pass under the prior; see :meth:`~.protocol.VAE.generate`."""
        return self.vae.generate(n, height, width, noise, temperature)
