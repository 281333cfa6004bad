"""The five stages in which a bundled model is trained, behind one interface.

1. The mean head: E[x | c] by regression on every task.
2. The same once more, slowly, and mostly on noise.
3. The hierarchical VAE of clean images, by the ELBO.
4. The student posterior q(z | c), matched to the VAE's own q(z | x).
5. The same student, tuned until the spread of its samples is that of the mean's errors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bundled_model.muon import Muon, split_matrices
from bundled_model.patch_batches import (
    Batch,
    Draw,
    clean,
    mostly_holes,
    mostly_noise,
    simulated,
)
from bundled_model.scores import (
    BLOCKS,
    as_measured,
    block_errors,
    multiscale_crps,
    weighted_mean,
)
from bundled_model.typical_errors import TypicalErrors
from napari_vae_restore.models.latents import DiagonalGaussian, NoiseSource
from napari_vae_restore.models.restorer import CLEAN_STD, RestorationVAE
from napari_vae_restore.noise.models import GaussianNoise
from napari_vae_restore.training.objective import elbo

_ERROR_FLOOR: Final = 1e-3
"""Added to the typical error that a score is relative to, in network units."""

_BETA_WARMUP: Final = 0.05
_FIRST_BETA: Final = 0.01
_FIGURE_MEMORY: Final = 0.02


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a stage is optimised."""

    draw: Draw  # makes one example
    share: float  # of the whole time budget
    batch: int  # patches per step
    learning_rate: float  # at its peak
    warmup_steps: int
    decay: float  # share of the stage, at its end, over which the learning rate falls to 0
    average: float  # decay of the exponential moving average of the weights, per step
    max_gradient: float  # gradients of a larger norm are scaled down to it
    zoom: int = 1  # side of the patches, in those of the plan

    def rate_at(self, step: int, fraction: float) -> float:
        """Learning rate of a step, when `fraction` of the stage is over."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        return self.learning_rate * warm * min(1.0, (1 - fraction) / self.decay)


class Stage(ABC):
    """A part of the network, its examples, its loss and its optimiser."""

    name: ClassVar[str]
    recipe: ClassVar[Recipe]
    ends: ClassVar[tuple[str, ...]] = ()
    """Prefixes of the names of the part's first and last layers."""

    def __init__(self, network: RestorationVAE) -> None:
        self.network = network
        self.figures: dict[str, float] = {}
        """Running means, for the log."""

    @staticmethod
    @abstractmethod
    def part(network: RestorationVAE) -> nn.Module:
        """The part of a model that this stage trains."""

    @abstractmethod
    def loss(self, batch: Batch, fraction: float, noise: NoiseSource) -> Tensor:
        """The scalar to minimise, when this `fraction` of the stage is over."""

    def optimiser(self) -> Optimizer:
        """Muon inside the part, far faster here than Adamax; Adam at its ends."""
        matrices, others = split_matrices(self.part(self.network), self.ends)
        return Muon(matrices, others, self.recipe.learning_rate)

    def state(self) -> dict[str, Tensor]:
        """State of the stage that later steps depend on."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what :meth:`state` gave; a stage without state has nothing to do."""
        del state

    def _note(self, **values: Tensor) -> None:
        for name, value in values.items():
            new = float(value.detach().mean())
            old = self.figures.get(name, new)
            self.figures[name] = old + _FIGURE_MEMORY * (new - old)


class BalancedStage(Stage):
    """A stage whose loss is relative to the typical errors of each bucket."""

    error_shape: ClassVar[tuple[int, ...]] = ()
    """Shape of an example's error."""

    def __init__(self, network: RestorationVAE) -> None:
        super().__init__(network)
        self._typical = TypicalErrors(*self.error_shape)

    def state(self) -> dict[str, Tensor]:
        """See :meth:`Stage.state`."""
        return self._typical.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """See :meth:`Stage.load_state`."""
        self._typical.load_state(state)


class MeanStage(BalancedStage):
    """Regression of the clean image, balanced between kinds of task and noise level.

    L1 until the learning rate decays, which is robust while much is wrong, then the
    squared error, whose minimum is the mean. At twice this learning rate it diverged
    after 11 600 steps.
    """

    name = "mean"
    recipe = Recipe(
        draw=simulated,
        share=0.38,
        batch=16,
        learning_rate=0.006,
        warmup_steps=300,
        decay=0.6,
        average=0.999,
        max_gradient=1.0,
    )
    ends = ("stem", "head")

    @staticmethod
    def part(network: RestorationVAE) -> nn.Module:
        """The condition encoder with its mean head."""
        return network.condition

    def loss(self, batch: Batch, fraction: float, noise: NoiseSource) -> Tensor:
        """Error over the pixels that count, relative to the typical one of the bucket."""
        condition, target, weight, bucket = batch
        error = self.network.infer(condition).mean - target
        absolute = weighted_mean(error.abs(), weight)  # (N,)
        typical = self._typical.update(bucket, absolute)
        self.figures |= self._typical.of_tasks()
        if fraction <= 1 - self.recipe.decay:
            return (absolute / typical).mean()
        return (weighted_mean(error.square(), weight) / (2 * typical.square())).mean()


class FinishingStage(MeanStage):
    """The mean head again, by the squared error from the start, on large patches."""

    name = "mean, finished"
    recipe = replace(
        MeanStage.recipe,
        draw=mostly_noise,
        share=0.17,
        batch=4,
        zoom=2,
        learning_rate=0.001,
        decay=1.0,
    )


class PriorStage(Stage):
    """The ELBO of clean images under a fixed, narrow likelihood."""

    name = "VAE"
    recipe = Recipe(
        draw=clean,
        share=0.2,
        batch=8,
        learning_rate=0.007,
        warmup_steps=300,
        decay=0.6,
        average=0.999,
        max_gradient=20.0,
    )
    ends = ("top", "stem", "head.2")

    @staticmethod
    def part(network: RestorationVAE) -> nn.Module:
        """Encoder, prior and decoder."""
        return network.vae

    def loss(self, batch: Batch, fraction: float, noise: NoiseSource) -> Tensor:
        """The negative ELBO in nats per pixel, the KL's weight rising at first."""
        bound = elbo(self.network.vae, batch[0], GaussianNoise(CLEAN_STD), noise)
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
        share=0.17,
        batch=8,
        learning_rate=0.005,
        warmup_steps=100,
        decay=0.7,
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
        teacher = self.network.vae.posterior(known)

        def matched(layer: int, state: Tensor) -> DiagonalGaussian:
            q = teacher(layer, state)
            kls[layer] = q.kl(student(layer, state)).sum(dim=(1, 2, 3)) / target[0].numel()
            return q

        self.network.vae.descend(seen[-1], matched, noise)
        self._note(**{f"kl {level}": kls[level] for level in sorted(kls)})
        return torch.stack([kl.mean() for kl in kls.values()]).sum()


class SpreadStage(BalancedStage):
    """The student, tuned by a proper score of the samples that are decoded from it.

    After matching alone, the spread is about the same everywhere: too wide where the mean is
    right and too narrow where it is wrong.
    """

    name = "spread"
    recipe = Recipe(
        draw=mostly_holes,
        share=0.08,
        batch=8,
        learning_rate=0.003,
        warmup_steps=50,
        decay=0.7,
        average=0.998,
        max_gradient=1.0,
    )
    error_shape = (len(BLOCKS),)

    @staticmethod
    def part(network: RestorationVAE) -> nn.Module:
        """The student's heads and the samples' gain."""
        return nn.ModuleList([network.student, network.gain])

    def loss(self, batch: Batch, fraction: float, noise: NoiseSource) -> Tensor:
        """Score of two samples, relative to the mean's typical error in the bucket.

        Relative to the error of the same image, the score would not be proper: images with a
        small error by chance would weigh most and reduce the spread.
        """
        condition, target, weight, bucket = batch
        with torch.no_grad():
            found = self.network.infer(condition)
        centre = self.network.centre(found.features)
        mean = as_measured(found.mean, target, condition)
        a, b = (
            as_measured(self.network.sample(found, centre, noise), target, condition)
            for _ in range(2)
        )
        error = mean - target
        typical = self._typical.update(bucket, block_errors(error, weight))
        score = multiscale_crps(a, b, target, weight=weight) / (typical + _ERROR_FLOOR)
        variance = weighted_mean((a - b).square(), weight) / 2
        squared_error = weighted_mean(error.square(), weight)
        self._note(
            **{
                "score": score.sum(dim=1),
                "variance, grey levels²": 255**2 * variance,
                "squared error, grey levels²": 255**2 * squared_error,
            }
        )
        return score.sum(dim=1).mean()


STAGES: Final[tuple[type[Stage], ...]] = (
    MeanStage,
    FinishingStage,
    PriorStage,
    StudentStage,
    SpreadStage,
)
"""In the order in which they run."""
