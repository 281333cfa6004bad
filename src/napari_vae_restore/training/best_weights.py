"""The weights that held-out data judge best, and those that the run started from."""

from __future__ import annotations

import copy
import math

from torch import Tensor, nn

from napari_vae_restore.models.model import Model, TrainingRecord
from napari_vae_restore.reports.model_words import EXPECTED_GAIN
from napari_vae_restore.training.objective import Objective, Score
from napari_vae_restore.training.weight_updates import WeightUpdates

_SAME_SCORE = 1e-3
"""Nats per pixel by which two scores of the same weights and data may round apart."""


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
        return self._updates.between(self._start, share)

    def score(self, candidate: nn.Module) -> Score:
        """Score of weights on held-out data."""
        updates = self._updates

        def compute() -> Score:
            return self._objective.judge(candidate.to(updates.device), self._seed)

        return updates.with_less_memory(compute)

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
