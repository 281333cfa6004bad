"""The three stages in which a bundled model is trained, behind one interface.

1. The mean head: E[x | c] by regression on every task.
2. The hierarchical VAE of clean images, by the ELBO.
3. The student posterior q(z | c), matched to the VAE's own q(z | x).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, cast

import torch
from torch import Tensor, nn
from torch.optim import Adamax, Optimizer

from napari_vae_restore.models.hvae import LatentLevel
from napari_vae_restore.models.latents import DiagonalGaussian, NoiseSource
from napari_vae_restore.models.protocol import VAE
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.noise import GaussianNoise
from napari_vae_restore.training.degradations import BUCKETS, N_BUCKETS, TASKS
from napari_vae_restore.training.objective import elbo
from napari_vae_restore.training.optimisers import Muon, split_matrices
from napari_vae_restore.training.stream import Batch, Draw, clean, simulated

CLEAN_STD: Final = 0.02
"""Standard deviation of p(x | z) in network units: detail below it is not worth nats."""

_BETA_WARMUP: Final = 0.05
_FIRST_BETA: Final = 0.01
_BALANCE_MEMORY: Final = 0.01
_FIGURE_MEMORY: Final = 0.02


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a stage is optimised.

    Attributes
    ----------
    draw : callable
        Makes the arrays of one example; a batch has them stacked.
    share : float
        Of the whole time budget.
    batch : int
        Patches per step.
    learning_rate : float
        At its peak.
    warmup_steps : int
        Over which the learning rate rises.
    decay : float
        Share of the stage, at its end, over which the learning rate falls to 0.
    average : float
        Decay of the exponential moving average of the weights, per step.
    max_gradient : float
        Gradients of a larger norm are scaled down to it.
    """

    draw: Draw
    share: float
    batch: int
    learning_rate: float
    warmup_steps: int
    decay: float
    average: float
    max_gradient: float

    def rate_at(self, step: int, fraction: float) -> float:
        """Learning rate of a step, when `fraction` of the stage is over."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        return self.learning_rate * warm * min(1.0, (1 - fraction) / self.decay)


class Stage(ABC):
    """What is trained, on what, by which loss and how.

    Parameters
    ----------
    network : RestorationVAE
        The whole model; a stage may use what earlier ones have trained.
    """

    name: ClassVar[str]
    recipe: ClassVar[Recipe]

    def __init__(self, network: RestorationVAE) -> None:
        self.network = network
        self.figures: dict[str, float] = {}
        """Running means of what is worth watching."""

    @staticmethod
    @abstractmethod
    def part(network: RestorationVAE) -> nn.Module:
        """The part of a model that this stage trains."""

    @abstractmethod
    def loss(self, batch: Batch, fraction: float, noise: NoiseSource) -> Tensor:
        """The scalar to minimise.

        Parameters
        ----------
        batch : tuple of Tensor
            What the recipe's `draw` made, stacked, on the model's device.
        fraction : float
            Share of the stage that is over.
        noise : callable
            Noise of the latents.
        """

    def optimiser(self) -> Optimizer:
        """Of the parameters of :meth:`part`."""
        return Adamax(self.part(self.network).parameters(), lr=self.recipe.learning_rate)

    def state(self) -> dict[str, Tensor]:
        """What the stage itself gathers that the steps to come depend on."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what :meth:`state` gave; a stage without state has nothing to do."""
        del state

    def _note(self, **values: Tensor) -> None:
        for name, value in values.items():
            new = float(value.detach().mean())
            old = self.figures.get(name, new)
            self.figures[name] = old + _FIGURE_MEMORY * (new - old)


class MeanStage(Stage):
    """Regression of the clean image, balanced between kinds of task and noise level.

    L1 until the learning rate decays, which is robust while much is wrong, then the
    squared error, whose minimum is the mean. At twice this learning rate it diverged
    after 11 600 steps.
    """

    name = "mean"
    recipe = Recipe(
        draw=simulated,
        share=0.75,
        batch=16,
        learning_rate=0.006,
        warmup_steps=300,
        decay=0.6,
        average=0.999,
        max_gradient=1.0,
    )

    def __init__(self, network: RestorationVAE) -> None:
        super().__init__(network)
        self._typical, self._seen = torch.zeros(N_BUCKETS), torch.zeros(N_BUCKETS)

    @staticmethod
    def part(network: RestorationVAE) -> nn.Module:
        """The condition encoder with its mean head."""
        return network.condition

    def optimiser(self) -> Optimizer:
        """Muon inside the U, Adam at its ends."""
        matrices, others = split_matrices(self.network.condition, ("stem", "head"))
        return Muon(matrices, others, self.recipe.learning_rate)

    def loss(self, batch: Batch, fraction: float, noise: NoiseSource) -> Tensor:
        """Error over the pixels that count, relative to the typical one of the bucket."""
        condition, target, weight, bucket = batch
        error = self.network.infer(condition).mean - target
        absolute = _weighted_mean(error.abs(), weight)  # (N,)
        typical = self._update(bucket, absolute)
        if fraction <= 1 - self.recipe.decay:
            return (absolute / typical).mean()
        return (_weighted_mean(error.square(), weight) / (2 * typical.square())).mean()

    def state(self) -> dict[str, Tensor]:
        """The typical error of each bucket, and how often it came."""
        return {"typical": self._typical, "seen": self._seen}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """See :meth:`Stage.load_state`."""
        self._typical, self._seen = state["typical"].clone(), state["seen"].clone()

    def _update(self, bucket: Tensor, absolute: Tensor) -> Tensor:
        """Take a batch into the running means; those of its buckets, (N,)."""
        for i, value in zip(bucket.tolist(), absolute.tolist(), strict=True):
            if value < float("inf"):  # a NaN would stay for ever
                self._seen[i] += 1
                memory = max(_BALANCE_MEMORY, 1 / float(self._seen[i]))
                self._typical[i] += (value - self._typical[i]) * memory
        for task in TASKS:
            indices = [i for i, name in enumerate(BUCKETS) if _task_of(name) == task]
            came = [float(self._typical[i]) for i in indices if self._seen[i] > 0]
            if came:
                self.figures[f"L1 of {task}, grey levels"] = 255 * sum(came) / len(came)
        return self._typical[bucket.cpu()].to(absolute.device)


class PriorStage(Stage):
    """The ELBO of clean images under a fixed, narrow likelihood."""

    name = "VAE"
    recipe = Recipe(
        draw=clean,
        share=0.125,
        batch=8,
        learning_rate=0.007,
        warmup_steps=300,
        decay=0.6,
        average=0.999,
        max_gradient=20.0,
    )

    @staticmethod
    def part(network: RestorationVAE) -> nn.Module:
        """Encoder, prior and decoder."""
        return network.vae

    def optimiser(self) -> Optimizer:
        """Muon for the convolutions; far faster here than Adamax."""
        matrices, others = split_matrices(self.network.vae, ("top", "stem", "head.2"))
        return Muon(matrices, others, self.recipe.learning_rate)

    def loss(self, batch: Batch, fraction: float, noise: NoiseSource) -> Tensor:
        """The negative ELBO in nats per pixel, the KL's weight rising at first."""
        bound = elbo(cast("VAE", self.network.vae), batch[0], GaussianNoise(CLEAN_STD), noise)
        kl = torch.stack(bound.kl)
        self._note(elbo=bound.log_likelihood - kl.sum(0), log_likelihood=bound.log_likelihood)
        self._note(**{f"kl {level}": values for level, values in enumerate(kl)})
        return -bound.value(min(1.0, fraction / _BETA_WARMUP + _FIRST_BETA))


class StudentStage(Stage):
    """Posterior matching: KL(q(z | x) || q(z | c)) at every level, z from the teacher.

    Strauss & Oliva 2022, arXiv:2205.10943. Everything but the student is fixed.
    """

    name = "student"
    recipe = Recipe(
        draw=simulated,
        share=0.125,
        batch=8,
        learning_rate=5e-3,
        warmup_steps=100,
        decay=0.5,
        average=0.998,
        max_gradient=5.0,
    )

    @staticmethod
    def part(network: RestorationVAE) -> nn.Module:
        """The student's heads."""
        return network.student

    def loss(self, batch: Batch, fraction: float, noise: NoiseSource) -> Tensor:
        """Sum of the levels' KL, nats per pixel."""
        condition, target = batch[:2]
        with torch.no_grad():
            seen = self.network.infer(condition).features
            known = self.network.encode(target)
        student, kls = self.network.posterior(seen), {}

        def teacher(level: int, state: Tensor) -> DiagonalGaussian:
            head = cast("LatentLevel", self.network.vae.ladder[level]).posterior
            q = cast("DiagonalGaussian", head(state, known[level]))
            kls[level] = q.kl(student(level, state)).sum(dim=(1, 2, 3)) / target[0].numel()
            return q

        self.network.vae.descend(seen[-1], teacher, noise)
        self._note(**{f"kl {level}": kls[level] for level in sorted(kls)})
        return torch.stack([kl.mean() for kl in kls.values()]).sum()


STAGES: Final[tuple[type[Stage], ...]] = (MeanStage, PriorStage, StudentStage)
"""In the order in which they run."""


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))


def _task_of(bucket: str) -> str:
    """The task that a bucket's name begins with."""
    name = bucket.removeprefix("correlated ")
    return max((task for task in TASKS if name.startswith(task)), key=len)
