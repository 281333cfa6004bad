"""One model for every task: a hierarchical VAE with a student posterior q(z | c).

The condition c is a degraded image with its mask, noise and scale. Teacher q(z | x),
prior p(z) and decoder p(x | z) are the hierarchical VAE of clean images; the student
infers the same latents from c (posterior matching, Strauss & Oliva 2022,
arXiv:2205.10943), and its features also give E[x | c] in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import Tensor, nn
from torch.nn import functional as F

from napari_vae_restore.models.condition import ConditionEncoder
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.hvae import HVAE, Posterior, PosteriorHead
from napari_vae_restore.models.latents import DiagonalGaussian, NoiseSource
from napari_vae_restore.models.protocol import Chooser, Decoded, Features, VAEModule

CLEAN_STD: Final = 0.02
"""Standard deviation of p(x | z) in network units: detail below it is not worth nats."""

# Bounds that ordinary images do not reach: a picture unlike any in training must not move the
# latents to where the decoder was never trained.
_MAX_LOG_GAIN: Final = 1.5
_MAX_FEATURE: Final = 8.0
_MAX_Z: Final = 8.0
_MAX_LOG_STD: Final = 0.7


@dataclass(frozen=True, slots=True)
class Encoded:
    """A degraded image, encoded."""

    features: Features  # one grid per level, finest first
    mean: Tensor  # (N, 1, H, W) float32, E[x | c] in network units


class RestorationVAE(VAEModule):
    """Conditional hierarchical VAE; as a plain VAE, it is that of clean images."""

    config: RestorationConfig

    def __init__(self, config: RestorationConfig) -> None:
        super().__init__()
        self.config = config
        self.vae = HVAE(config.vae)
        self.condition = ConditionEncoder(
            config.widths, config.depths, config.patch, scaled=config.scaled
        )
        widths = config.vae.grid_widths
        self.student = nn.ModuleList(
            PosteriorHead(widths[place], config.widths[place], config.latent)
            for place in config.vae.places
        )
        self.gain = nn.Conv2d(config.widths[0], config.patch**2, 1)
        for parameter in self.gain.parameters():
            nn.init.zeros_(parameter)

    def infer(self, condition: Tensor) -> Encoded:
        """Read a condition (N, 6, H, W); see :class:`~.condition.ConditionEncoder`."""
        features, mean = self.condition(condition)
        return Encoded(features, mean)

    def posterior(self, features: Features) -> Posterior:
        """The student q(z | c), given the condition's features."""

        def q(layer: int, state: Tensor) -> DiagonalGaussian:
            seen = features[self.config.vae.places[layer]]
            bounded = seen.clamp(-_MAX_FEATURE, _MAX_FEATURE)
            found: DiagonalGaussian = self.student[layer](state, bounded)
            mean = found.mean.clamp(-_MAX_Z, _MAX_Z)
            return DiagonalGaussian(mean, found.log_std.clamp(max=_MAX_LOG_STD))

        return q

    def decode_posterior(self, features: Features, noise: NoiseSource | None) -> Decoded:
        """Top-down pass under the student; ``noise=None`` takes every latent's mean."""
        return self.vae.descend(features[-1], self.posterior(features), noise)

    def centre(self, features: Features) -> Tensor:
        """The decoded means of the latents, (N, 1, H, W): the same for all samples."""
        return self.decode_posterior(features, None).signal

    def sample(self, found: Encoded, centre: Tensor, noise: NoiseSource) -> Tensor:
        """A sample of q(x | c), (N, 1, H, W) float32 in network units: the mean head plus the
        deviation that the latents' noise causes.

        A gain per pixel, predicted from the condition's features, calibrates the deviation (in
        the spirit of Kuleshov et al. 2018, arXiv:1807.00263). Gradients reach the student.
        """
        deviation = self.decode_posterior(found.features, noise).signal - centre
        finest = found.features[0].clamp(-_MAX_FEATURE, _MAX_FEATURE)
        log_gain = F.pixel_shuffle(self.gain(finest), self.config.patch).float()
        return found.mean + log_gain.clamp(-_MAX_LOG_GAIN, _MAX_LOG_GAIN).exp() * deviation

    def encode(self, y: Tensor) -> Features:
        """The teacher's bottom-up pass over clean images."""
        return self.vae.encode(y)

    def traverse(
        self, features: Features | None, shape: tuple[int, int, int] | None, choose: Chooser
    ) -> Tensor:
        """Top-down pass under the teacher; see :meth:`~.protocol.VAEModule.traverse`."""
        return self.vae.traverse(features, shape, choose)
