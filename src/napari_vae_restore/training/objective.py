"""The training objective: the evidence lower bound, in nats per pixel.

ELBO(y) = E_q(z|y)[log p(y | s(z))] - beta * sum_l KL(q(z_l | .) || p(z_l | .))

The likelihood is the noise model's, with the decoder's output as the clean signal s,
so the network has no way to explain the noise but by its latents, whose price is the
KL (Prakash et al., DivNoising, 2021, arXiv:2006.06072, equation 4).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from napari_vae_restore.models.latents import NoiseSource
from napari_vae_restore.models.protocol import VAE
from napari_vae_restore.noise.likelihood import Likelihood


@dataclass(frozen=True, slots=True)
class ELBO:
    """A one-sample estimate of the bound for each image of a batch.

    Attributes
    ----------
    log_likelihood : Tensor
        (N,) nats per pixel and channel.
    kl : tuple of Tensor
        (N,) nats per pixel and channel for each level, finest first.
    """

    log_likelihood: Tensor
    kl: tuple[Tensor, ...]

    def value(self, beta: float = 1.0) -> Tensor:
        """The bound with the KL weighted by `beta`, mean over the batch; maximise it."""
        total: Tensor = self.log_likelihood - beta * sum(self.kl)
        return total.mean()


def elbo(network: VAE, y: Tensor, noise: Likelihood, source: NoiseSource) -> ELBO:
    """Estimate the ELBO of noisy images with one sample of the latents.

    Parameters
    ----------
    network : VAE
        The model of the clean signal.
    y : Tensor
        (N, C, H, W) noisy images, network units.
    noise : Likelihood
        p(y | s) in network units.
    source : NoiseSource
        Noise of the reparameterised latents.

    Returns
    -------
    ELBO
        Likelihood and KL terms, each divided by the same C * H * W.
    """
    n_pixels = y[0].numel()
    decoded = network.decode(network.encode(y), source)
    log_likelihood = noise.log_likelihood(y, decoded.signal).sum(dim=(1, 2, 3))
    return ELBO(log_likelihood / n_pixels, tuple(kl / n_pixels for kl in decoded.kl))
