"""What a training improves, by which loss, and how that is judged.

The engine knows an :class:`Objective` and nothing of what is behind it:

* :class:`NoisyELBO` trains a VAE on noisy images alone, from nothing.
* :class:`Regression` trains the mean head of the model of every task, on any examples.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from napari_vae_restore.models.condition import ConditionEncoder
from napari_vae_restore.models.devices import native_precision
from napari_vae_restore.models.latents import NoiseSource, random_noise
from napari_vae_restore.models.model import Normalisation, build_network, channels_last
from napari_vae_restore.models.protocol import VAE, VAEModule
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.noise.likelihood import Likelihood, network_likelihood
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.inference.local_mean import with_local_mean
from napari_vae_restore.restoration.inference.risk import WindowRisk, difference
from napari_vae_restore.training.settings import TrainingSettings

if TYPE_CHECKING:
    from napari_vae_restore.training.data import PooledSet, TrainingSet
    from napari_vae_restore.training.examples import Batch, Examples
    from napari_vae_restore.training.self_taught import RiskPatch

_NOISE_ERROR = 0.02
"""Relative error that the variance of the noise may have."""


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

    ELBO(y) = E_q(z|y)[log p(y | s(z))] - beta * sum_l KL(q(z_l | .) || p(z_l | .))

    The likelihood is the noise model's, with the decoder's output as the clean signal s,
    so the network has no way to explain the noise but by its latents, whose price is the
    KL (Prakash et al., DivNoising, 2021, arXiv:2006.06072, equation 4).

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


@dataclass(frozen=True, slots=True)
class Judgement:
    """What held-out data say.

    Attributes
    ----------
    value : float
        Nats per pixel, larger is better: the ELBO, or the log-likelihood of the targets.
    kl : tuple of float
        KL of each level, nats per pixel, finest first; empty where there is none.
    risk : WindowRisk or None
        Where nothing else is known than noisy images: `value` is then minus half its mean,
        which is what the log-likelihood of the clean image is up to a constant.
    """

    value: float
    kl: tuple[float, ...] = ()
    risk: WindowRisk | None = None

    def is_better_than(self, first: Judgement) -> bool:
        """Whether there is no doubt, as far as the way of judging can tell."""
        if self.risk is None or first.risk is None:
            return self.value > first.value
        return difference(self.risk, first.risk, noise_error=_NOISE_ERROR).is_lower


class Objective(ABC):
    """What a training improves.

    Attributes
    ----------
    network : VAEModule
        The whole model, on the device where it is trained.
    trained : Module
        The part of it whose weights change.
    settings : TrainingSettings
        Of the optimisation.
    batch : int
        Examples of this process in a step: less than the settings say where several
        processes share them, or the memory does not suffice.
    normalisation, noise
        Of the model that comes out; see :class:`~.models.model.Model`.
    data_noise : NoiseModel or None
        Of the images, if they share it.
    n_planes, n_pixels : int
        How much there is to learn from.
    is_held_out : bool
        False where there was too little to hold any out.
    shares : tuple of float
        Of the way from the weights that were gone on from: where those lie that are judged
        while training, and then others that are tried at its end.
    """

    network: VAEModule
    trained: nn.Module
    settings: TrainingSettings
    batch: int
    normalisation: Normalisation | None
    noise: NoiseModel | None
    data_noise: NoiseModel | None
    n_planes: int
    n_pixels: int
    is_held_out: bool
    shares: tuple[float, ...] = (1.0,)

    @abstractmethod
    def move(self, device: torch.device) -> None:
        """Go on on another device. The optimiser has to be made anew."""

    @abstractmethod
    def optimiser(self) -> Optimizer:
        """A fresh optimiser of the trained part; the engine sets its learning rate."""

    @abstractmethod
    def loss(
        self, step: int, fraction: float, generator: torch.Generator
    ) -> tuple[Tensor, Judgement]:
        """Loss of a batch, and what it would be worth as a judgement.

        Parameters
        ----------
        step : int
            Of the run, from 0.
        fraction : float
            Share of the run that is over.
        generator : torch.Generator
            Of all that is drawn at random.

        Returns
        -------
        Tensor, Judgement
            A scalar to minimise; value and KL of the batch.
        """

    @abstractmethod
    def judge(self, trained: nn.Module, seed: int) -> Judgement:
        """Judge a state of the trained part by held-out data.

        Parameters
        ----------
        trained : Module
            Like `trained`, in evaluation mode.
        seed : int
            Of whatever is random about it: the same one compares states fairly.
        """

    @staticmethod
    @abstractmethod
    def part_of(network: VAEModule) -> nn.Module:
        """The part of a model like `network` that is trained."""

    @abstractmethod
    def with_weights(self, weights: dict[str, Tensor]) -> VAEModule:
        """The whole network on the CPU, for use, with other weights of its trained part."""


class NoisyELBO(Objective):
    """A VAE of noisy images, by the ELBO under their noise model.

    Parameters
    ----------
    network : VAEModule
        To be trained, all of it.
    data : TrainingSet or PooledSet
        Noisy patches.
    settings : TrainingSettings
        Of the optimisation.
    device : torch.device
        Where it runs.
    """

    def __init__(
        self,
        network: VAEModule,
        data: TrainingSet | PooledSet,
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        self.network = self.trained = channels_last(network.to(device))
        self.settings, self.batch, self._data = settings, settings.batch, data
        self._device = device
        self.normalisation, self.noise = data.normalisation, data.noise
        self.data_noise = data.noise
        self.n_planes, self.n_pixels = data.n_planes, data.n_pixels
        self.is_held_out = data.is_held_out
        self._likelihood = network_likelihood(data.noise, **asdict(data.normalisation))

    def move(self, device: torch.device) -> None:
        """See :meth:`Objective.move`."""
        self._device = device
        self.network.to(device)

    def optimiser(self) -> Optimizer:
        """See :meth:`Objective.optimiser`."""
        return torch.optim.Adamax(self.trained.parameters())

    def loss(
        self, step: int, fraction: float, generator: torch.Generator
    ) -> tuple[Tensor, Judgement]:
        """The negative ELBO, its KL weighted by the schedule's beta."""
        y = self._data.sample(self.batch, generator, step)
        y = y.to(self._device, memory_format=torch.channels_last)
        with native_precision(self._device):
            bound = elbo(self.network, y, self._likelihood, random_noise(generator))
        return -bound.value(self.settings.beta_at(fraction)), _judgement(bound)

    @torch.no_grad()
    def judge(self, trained: nn.Module, seed: int) -> Judgement:
        """The ELBO of held-out patches."""
        source = random_noise(torch.Generator().manual_seed(seed))
        y = self._data.held_out.to(self._device)
        return _judgement(elbo(cast("VAE", trained), y, self._likelihood, source))

    @staticmethod
    def part_of(network: VAEModule) -> nn.Module:
        """All of it."""
        return network

    def with_weights(self, weights: dict[str, Tensor]) -> VAEModule:
        """See :meth:`Objective.with_weights`."""
        with torch.device("meta"):
            network = build_network(self.network.config)
        network.load_state_dict(weights, assign=True)
        return network.eval()


class Regression(Objective):
    """The mean head of the model of every task, by least squares on examples.

    Everything but the condition encoder and its mean head stays as it was: samples spread
    about the new mean by the latents that the model already has.

    Parameters
    ----------
    network : RestorationVAE
        To start from.
    examples : Examples
        What to learn from.
    settings : TrainingSettings
        Of the optimisation.
    device : torch.device
        Where it runs.
    shares : tuple of float
        See :class:`Objective`.
    """

    def __init__(
        self,
        network: RestorationVAE,
        examples: Examples,
        settings: TrainingSettings,
        device: torch.device,
        shares: tuple[float, ...] = (1.0,),
    ) -> None:
        moved = copy.deepcopy(network).to(device).requires_grad_(False)
        self.network = channels_last(cast("VAEModule", moved))
        self.trained = moved.condition.requires_grad_(True)
        self.settings, self.batch, self._examples = settings, settings.batch, examples
        self._device, self.shares = device, shares
        # As the bundled model, it measures every image's range and noise.
        self.normalisation, self.noise = None, None
        self.data_noise = examples.noise
        self.n_planes, self.n_pixels = examples.n_planes, examples.n_pixels
        self.is_held_out = examples.is_held_out

    def move(self, device: torch.device) -> None:
        """See :meth:`Objective.move`."""
        self._device = device
        self.network.to(device)

    def optimiser(self) -> Optimizer:
        """See :meth:`Objective.optimiser`."""
        return torch.optim.Adam(self.trained.parameters(), betas=(0.9, 0.99))

    def loss(
        self, step: int, fraction: float, generator: torch.Generator
    ) -> tuple[Tensor, Judgement]:
        """Squared error in units of the error that is to be expected."""
        seed = int(torch.randint(2**62, (), generator=generator))
        batch = self._examples.draw(self.batch, np.random.default_rng(seed), step)
        batch = batch.to(self._device)
        with native_precision(self._device):
            squares, n = self._squares(self.trained, batch)
        # By a constant, not by what weighs in this batch: patches count by their pixels.
        loss = squares.sum() / batch.weight.numel()
        value = _log_likelihood(squares.detach(), n, batch.scale)
        return loss, Judgement(float(value.mean()))

    @torch.no_grad()
    def judge(self, trained: nn.Module, seed: int) -> Judgement:
        """Log-likelihood of held-out targets, or the risk where there are none."""
        patches = self._examples.risk_patches(np.random.default_rng([seed, 3]))
        if patches:
            risk = WindowRisk.joined([self._risk(trained, patch) for patch in patches])
            return Judgement(-risk.mean / 2, risk=risk)
        held_out = self._examples.held_out(np.random.default_rng([seed, 3]))
        values = []
        for batch in held_out:
            placed = batch.to(self._device)
            with native_precision(self._device):
                squares, n = self._squares(trained, placed, as_restored=True)
            values.append(_log_likelihood(squares, n, placed.scale).mean())
        return Judgement(float(torch.stack(values).mean()))

    @staticmethod
    def part_of(network: VAEModule) -> nn.Module:
        """The condition encoder with its mean head."""
        return cast("RestorationVAE", network).condition

    def with_weights(self, weights: dict[str, Tensor]) -> VAEModule:
        """See :meth:`Objective.with_weights`."""
        network = copy.deepcopy(self.network).cpu()
        self.part_of(network).load_state_dict(weights)
        return network.requires_grad_(True).eval()

    def _risk(self, encoder: nn.Module, patch: RiskPatch) -> WindowRisk:
        conditions = patch.conditions.to(self._device, memory_format=torch.channels_last)
        with native_precision(self._device):
            _, means = cast("ConditionEncoder", encoder)(conditions)
        means = with_local_mean(patch.conditions, means)
        return patch.risk(means[:, 0].float().cpu().numpy())

    @staticmethod
    def _squares(
        encoder: nn.Module, batch: Batch, *, as_restored: bool = False
    ) -> tuple[Tensor, Tensor]:
        """(N,) weighted squared errors relative to the scale, and (N,) their pixels."""
        _, mean = cast("ConditionEncoder", encoder)(batch.condition)
        if as_restored:
            mean = with_local_mean(batch.condition, mean)
        relative = (mean - batch.target) / batch.scale[:, None, None, None]
        squares = (relative.square() * batch.weight).sum(dim=(1, 2, 3))
        return squares, batch.weight.sum(dim=(1, 2, 3))


def _judgement(bound: ELBO) -> Judgement:
    kl = tuple(float(values.detach().mean()) for values in bound.kl)
    return Judgement(float(bound.value().detach()), kl)


def _log_likelihood(squares: Tensor, n: Tensor, scale: Tensor) -> Tensor:
    """(N,) nats per pixel of Gaussian errors with a standard deviation of `scale`."""
    per_pixel = squares / n.clamp(min=1)
    return -0.5 * (per_pixel + math.log(2 * math.pi)) - scale.log()
