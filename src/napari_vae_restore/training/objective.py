"""Objectives of training: the loss and its score on held-out data.

The engine knows the interface, :class:`Objective`, only:

* :class:`NoisyELBO` trains a VAE on noisy images alone, from nothing.
* :class:`Regression` trains the mean head of the model of every task, on any examples.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from napari_vae_restore.models.condition import ConditionEncoder
from napari_vae_restore.models.devices import native_precision
from napari_vae_restore.models.latents import NoiseSource, random_noise
from napari_vae_restore.models.model import Normalisation, channels_last
from napari_vae_restore.models.protocol import VAEModule
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.noise.likelihood import Likelihood, network_likelihood
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.inference.local_mean import with_local_mean
from napari_vae_restore.restoration.inference.risk import WindowRisk, difference
from napari_vae_restore.training.data import TrainingSet
from napari_vae_restore.training.examples import Batch, Examples
from napari_vae_restore.training.self_supervised import RiskPatch
from napari_vae_restore.training.settings import TrainingSettings

_NOISE_ERROR = 0.02  # relative error of the noise's variance that a decision allows for


@dataclass(frozen=True, slots=True)
class ELBO:
    """A one-sample estimate of the bound for each image of a batch."""

    log_likelihood: Tensor  # (N,) nats per pixel and channel
    kl: tuple[Tensor, ...]  # (N,) nats per pixel and channel for each level, finest first

    def value(self, beta: float = 1.0) -> Tensor:
        """The bound with the KL weighted by `beta`, mean over the batch; maximise it."""
        total: Tensor = self.log_likelihood - beta * sum(self.kl)
        return total.mean()


def elbo(network: VAEModule, y: Tensor, noise: Likelihood, source: NoiseSource) -> ELBO:
    """Estimate the ELBO of noisy images with one sample of the latents.

    ELBO(y) = E_q(z|y)[log p(y | s(z))] - beta * sum_l KL(q(z_l | .) || p(z_l | .))

    The likelihood is the noise model's, with the decoder's output as the clean signal s,
    so the network has no way to explain the noise but by its latents, whose price is the
    KL (Prakash et al., DivNoising, 2021, arXiv:2006.06072, equation 4).
    The images y are (N, C, H, W) in network units.
    """
    n_pixels = y[0].numel()
    decoded = network.decode(network.encode(y), source)
    log_likelihood = noise.log_likelihood(y, decoded.signal).sum(dim=(1, 2, 3))
    return ELBO(log_likelihood / n_pixels, tuple(kl / n_pixels for kl in decoded.kl))


@dataclass(frozen=True, slots=True)
class Score:
    """Score of weights on held-out data, or of one batch."""

    # Nats per pixel, larger is better: the ELBO, or the log-likelihood of the targets.
    value: float
    kl: tuple[float, ...] = ()  # of each level, nats per pixel, finest first
    # Unbiased risk, for noisy images alone: `value` is then minus half its mean, the clean
    # image's log-likelihood up to a constant.
    risk: WindowRisk | None = None

    def is_better_than(self, first: Score) -> bool:
        """Whether it is better; where risks are known, significantly so."""
        if self.risk is None or first.risk is None:
            return self.value > first.value
        return difference(self.risk, first.risk, noise_error=_NOISE_ERROR).is_lower


class Objective(ABC):
    """A network, the part of it that is trained, its loss and its held-out score."""

    normalisation: Normalisation | None = None
    noise: NoiseModel | None = None  # what the trained model assumes
    # Shares of the way from the first weights to the averaged ones that are candidates.
    shares: tuple[float, ...] = (1.0,)

    def __init__(
        self,
        network: VAEModule,
        data: TrainingSet | Examples,
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        self.network = channels_last(network.to(device))
        self.trained = self.part_of(network)
        self.settings = settings
        self.batch = settings.batch  # examples per step, for this process
        self.device = device
        self.data_noise = data.noise  # what all images share, if anything
        self.n_planes, self.n_pixels = data.n_planes, data.n_pixels
        self.is_held_out = data.is_held_out

    def move(self, device: torch.device) -> None:
        """Move to another device; a new optimiser is then needed."""
        self.device = device
        self.network.to(device)

    def with_weights(self, weights: dict[str, Tensor]) -> VAEModule:
        """The whole network on the CPU, with other weights in its trained part."""
        network = copy.deepcopy(self.network).cpu()
        self.part_of(network).load_state_dict(weights)
        return network.requires_grad_(True).eval()

    @staticmethod
    @abstractmethod
    def part_of(network: VAEModule) -> nn.Module:
        """The part of a model like `network` that is trained."""

    @abstractmethod
    def optimiser(self) -> Optimizer:
        """A fresh optimiser of the trained part; the engine sets its learning rate."""

    @abstractmethod
    def loss(
        self, step: int, fraction: float, generator: torch.Generator
    ) -> tuple[Tensor, Score]:
        """Loss of a batch, and its score."""

    @abstractmethod
    def judge(self, trained: nn.Module, seed: int) -> Score:
        """Score a state of the trained part on held-out data."""


class NoisyELBO(Objective):
    """A VAE of noisy images, by the ELBO under their noise model."""

    def __init__(
        self,
        network: VAEModule,
        data: TrainingSet,
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        super().__init__(network, data, settings, device)
        self._data = data
        self.normalisation, self.noise = data.normalisation, data.noise
        self._likelihood = network_likelihood(data.noise, **asdict(data.normalisation))

    @staticmethod
    def part_of(network: VAEModule) -> nn.Module:
        return network

    def optimiser(self) -> Optimizer:
        return torch.optim.Adamax(self.trained.parameters())

    def loss(
        self, step: int, fraction: float, generator: torch.Generator
    ) -> tuple[Tensor, Score]:
        """The negative ELBO, its KL weighted by the schedule's beta."""
        y = self._data.sample(self.batch, generator, step)
        y = y.to(self.device, memory_format=torch.channels_last)
        with native_precision(self.device):
            bound = elbo(self.network, y, self._likelihood, random_noise(generator))
        return -bound.value(self.settings.beta_at(fraction)), _score(bound)

    @torch.no_grad()
    def judge(self, trained: nn.Module, seed: int) -> Score:
        """The ELBO of held-out patches."""
        source = random_noise(torch.Generator().manual_seed(seed))
        y = self._data.held_out.to(self.device)
        return _score(elbo(cast("VAEModule", trained), y, self._likelihood, source))


class Regression(Objective):
    """The mean head of the model of every task, by least squares on examples.

    Only the condition encoder with its mean head is trained: samples vary about the new mean
    by the latents that the model already has. As the bundled model, it measures every image's
    range and noise.
    """

    def __init__(
        self,
        network: RestorationVAE,
        examples: Examples,
        settings: TrainingSettings,
        device: torch.device,
        shares: tuple[float, ...] = (1.0,),
    ) -> None:
        own = copy.deepcopy(network).requires_grad_(False)
        super().__init__(cast("VAEModule", own), examples, settings, device)
        self.trained.requires_grad_(True)
        self._examples, self.shares = examples, shares

    @staticmethod
    def part_of(network: VAEModule) -> nn.Module:
        return cast("RestorationVAE", network).condition

    def optimiser(self) -> Optimizer:
        return torch.optim.Adam(self.trained.parameters(), betas=(0.9, 0.99))

    def loss(
        self, step: int, fraction: float, generator: torch.Generator
    ) -> tuple[Tensor, Score]:
        """Squared error relative to the expected error."""
        seed = int(torch.randint(2**62, (), generator=generator))
        batch = self._examples.draw(self.batch, np.random.default_rng(seed), step)
        batch = batch.to(self.device)
        squares = self._squares(self.trained, batch)
        # By a constant, not by what weighs in this batch: patches count by their pixels.
        loss = squares.sum() / batch.weight.numel()
        return loss, Score(float(_log_likelihood(squares.detach(), batch)))

    @torch.no_grad()
    def judge(self, trained: nn.Module, seed: int) -> Score:
        """Log-likelihood of held-out targets, or the risk where there are none."""
        held_out = self._examples.held_out(np.random.default_rng([seed, 3]))
        risks = [self._risk(trained, each) for each in held_out if isinstance(each, RiskPatch)]
        if risks:
            risk = WindowRisk.joined(risks)
            return Score(-risk.mean / 2, risk=risk)
        values = []
        for batch in (each.to(self.device) for each in held_out if isinstance(each, Batch)):
            squares = self._squares(trained, batch, as_restored=True)
            values.append(_log_likelihood(squares, batch))
        return Score(float(torch.stack(values).mean()))

    def _risk(self, encoder: nn.Module, patch: RiskPatch) -> WindowRisk:
        conditions = patch.conditions.to(self.device, memory_format=torch.channels_last)
        with native_precision(self.device):
            _, means = cast("ConditionEncoder", encoder)(conditions)
        means = with_local_mean(patch.conditions, means)
        return patch.risk(means[:, 0].float().cpu().numpy())

    def _squares(
        self, encoder: nn.Module, batch: Batch, *, as_restored: bool = False
    ) -> Tensor:
        """(N,) sums of weighted squared errors relative to the scale."""
        with native_precision(self.device):
            _, mean = cast("ConditionEncoder", encoder)(batch.condition)
            if as_restored:
                mean = with_local_mean(batch.condition, mean)
            relative = (mean - batch.target) / batch.scale[:, None, None, None]
            squares: Tensor = (relative.square() * batch.weight).sum(dim=(1, 2, 3))
        return squares


def _score(bound: ELBO) -> Score:
    kl = tuple(float(values.detach().mean()) for values in bound.kl)
    return Score(float(bound.value().detach()), kl)


def _log_likelihood(squares: Tensor, batch: Batch) -> Tensor:
    """Mean nats per pixel of Gaussian errors with a standard deviation of `scale`."""
    per_pixel = squares / batch.weight.sum(dim=(1, 2, 3)).clamp(min=1)
    return (-0.5 * (per_pixel + math.log(2 * math.pi)) - batch.scale.log()).mean()
