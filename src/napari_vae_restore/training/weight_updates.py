"""Optimiser steps on a network's trained part, their average, and the best weights so far.

Knows nothing of budgets or files.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from napari_vae_restore.errors import InputError, TrainingError, shortened
from napari_vae_restore.models.devices import is_out_of_memory
from napari_vae_restore.models.model import Model, TrainingRecord
from napari_vae_restore.reports.model_words import EXPECTED_GAIN
from napari_vae_restore.training.objective import Objective, Score
from napari_vae_restore.training.processes import Processes
from napari_vae_restore.training.triton_import import import_triton

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_WARMUP_STEPS = 50
"""Steps over which the learning rate rises, so that Adamax gathers its scales."""

_RANKS_APART = 1_000_003  # distance between the seeds of two processes

MAX_BAD_STEPS = 25
"""Steps in a row without a finite gradient before the averaged weights are restored."""

_SAME_SCORE = 1e-3
"""Nats per pixel by which two scores of the same weights and data may round apart."""


class WeightUpdates:
    """The trained part, its moving average, its optimiser and the number of steps done.

    Where memory is short, it goes on with smaller batches, and then on the CPU.
    """

    def __init__(self, objective: Objective, processes: Processes, seed: int) -> None:
        n, batch = processes.n, objective.settings.batch
        if batch % n:
            raise InputError(
                f"settings.batch: expected a multiple of the {n} devices, got {batch}"
            )
        objective.batch = batch // n
        self._objective, self._processes = objective, processes
        self._settings = objective.settings
        self.device = processes.device
        self.trained = objective.trained
        self.averaged = copy.deepcopy(self.trained).eval().requires_grad_(False)
        import_triton()
        self.optimizer: Optimizer = objective.optimiser()
        self._seed = seed + _RANKS_APART * processes.rank
        self.generator = torch.Generator().manual_seed(self._seed)
        self.n_steps, self._bad_steps = 0, 0

    @property
    def parts(self) -> tuple[nn.Module, nn.Module, Optimizer, torch.Generator]:
        """Everything that a checkpoint keeps as tensors."""
        return self.trained, self.averaged, self.optimizer, self.generator

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def go_on_at(self, step: int) -> None:
        """Count from here; a checkpoint has the generator of the first process only."""
        self.n_steps = step
        if self._processes.rank:
            self.generator.manual_seed(self._seed + step)

    def step(self, fraction: float) -> Score:
        """One step of the optimiser, then of the moving average; the score of its batch."""
        settings = self._settings
        rate = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * fraction))
        rate *= min(1.0, (self.n_steps + 1) / _WARMUP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, batch = self._objective.loss(self.n_steps, fraction, self.generator)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._processes.average_gradients(self.trained.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.trained.parameters(), settings.max_gradient)
        if bool(norm.isfinite()):
            self._bad_steps = 0
            self.optimizer.step()
            self._average()
        else:
            self._recover()
        self.n_steps += 1
        return batch

    def with_less_memory(self, compute: Callable[[], _T]) -> _T:
        """Compute; where memory runs out, again with less of it."""
        while True:
            try:
                return compute()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise TrainingError(
                        f"training failed at step {self.n_steps}: {shortened(error)}"
                    ) from error
                self._take_less_memory(error)

    def _average(self) -> None:
        decay = min(self._settings.ema, (1 + self.n_steps) / (10 + self.n_steps))
        averaged, current = self.averaged.parameters(), self.trained.parameters()
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged), list(current), 1 - decay)

    def _recover(self) -> None:
        """Skip a step without a finite gradient; after many, start from the average."""
        self._bad_steps += 1
        if self._bad_steps >= MAX_BAD_STEPS:
            _log.warning(
                "no finite gradient in %d steps: averaged weights restored", self._bad_steps
            )
            self.trained.load_state_dict(self.averaged.state_dict())
            self.optimizer.state.clear()
            self._bad_steps = 0

    def _take_less_memory(self, error: Exception) -> None:
        self.optimizer.zero_grad()
        objective = self._objective
        if objective.batch > 1 and self._processes.n == 1:
            objective.batch //= 2
            _log.warning("out of memory: going on with batches of %d", objective.batch)
        elif self.device.type != "cpu" and self._processes.n == 1:
            state = self.optimizer.state_dict()
            self.device = torch.device("cpu")
            objective.move(self.device)
            self.averaged.to(self.device)
            self.optimizer = objective.optimiser()
            self.optimizer.load_state_dict(state)
            objective.batch = self._settings.batch
            _log.warning("out of memory: going on on the CPU")
        else:
            raise TrainingError(
                f"out of memory on {self.device}: use smaller settings.batch or "
                "settings.patch, or close other programs"
            ) from error


class BestWeights:
    """The best weights so far; a run that starts from a model replaces it on proof only."""

    def __init__(
        self, objective: Objective, updates: WeightUpdates, seed: int, *, has_start: bool
    ) -> None:
        self._objective, self._updates, self._seed = objective, updates, seed
        self._has_start = has_start
        self._start = copy.deepcopy(updates.averaged)
        self._start_score: Score | None = None
        self.kept: tuple[dict[str, Tensor], TrainingRecord] | None = None
        self.found_at = 0.0  # share of the run that was over when they were found

    def candidate(self, share: float | None = None) -> nn.Module:
        """The averaged weights, or what lies between them and those gone on from."""
        share = self._objective.shares[0] if share is None else share
        averaged = self._updates.averaged
        if share == 1:
            return averaged
        between = copy.deepcopy(averaged)
        pairs: zip[tuple[Tensor, Tensor]] = zip(
            between.parameters(), self._start.parameters(), strict=True
        )
        with torch.no_grad():
            for weights, start in pairs:
                weights.lerp_(start.to(weights.device), 1 - share)
        return between

    def score(self, candidate: nn.Module) -> Score:
        """Score of weights on held-out data."""
        updates = self._updates
        return updates.with_less_memory(
            lambda: self._objective.judge(candidate.to(updates.device), self._seed)
        )

    def are_surpassed_by(self, score: Score) -> bool:
        """Whether a score is above that of the kept weights, and surely above the start's."""
        best = None if self.kept is None else self.kept[1].held_out
        return best is None or (score.value > best and self._is_better_than_start(score))

    def keep(self, candidate: nn.Module, record: TrainingRecord, fraction: float) -> None:
        """Keep a copy of weights, found when this share of the run was over."""
        self.kept = (weights_of(candidate), record)
        self.found_at = fraction

    def are_of_data_of(self, model: Model) -> bool:
        """Whether a checkpoint's model learned from the same data as this run.

        Where neither range nor noise is the model's own, the score of the weights that both
        started from decides.
        """
        here, record, first = self._objective, model.record, model.record.held_out_first
        return (
            (record.n_planes, record.n_pixels) == (here.n_planes, here.n_pixels)
            and (model.normalisation, model.noise) == (here.normalisation, here.noise)
            and (first is None or abs(self.score(self._start).value - first) < _SAME_SCORE)
        )

    def figures(self, score: Score | None) -> tuple[tuple[str, float], ...]:
        """The expected gain over the start in dB, where both risks are known and positive."""
        first = self._start_score
        if score is None or first is None or score.risk is None or first.risk is None:
            return ()
        if min(score.risk.mean, first.risk.mean) <= 0:
            return ()
        gain = 10 * math.log10(first.risk.mean / score.risk.mean)
        return ((EXPECTED_GAIN, round(gain, 3)),)

    def _is_better_than_start(self, score: Score) -> bool:
        """Whether held-out data leave no doubt; anything beats weights drawn at random."""
        if not self._has_start:
            return True
        if self._start_score is None:
            self._start_score = self.score(self._start)
        return score.is_better_than(self._start_score)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's weights on the CPU."""
    return {name: value.cpu().clone() for name, value in module.state_dict().items()}
