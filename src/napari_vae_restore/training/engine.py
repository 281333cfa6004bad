"""The training loop: a generator over steps that can be watched, stopped and resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

from torch import Tensor

from napari_vae_restore import __version__
from napari_vae_restore.errors import InputError, ModelFileError
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.config import ModelConfig
from napari_vae_restore.models.files import load_checkpoint, save
from napari_vae_restore.models.model import Model, TrainingRecord
from napari_vae_restore.models.threads import WORTH_A_TRIAL, fitting_threads
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.training import checkpoint
from napari_vae_restore.training.checkpoint import Progress, TrainingState
from napari_vae_restore.training.likeness import fit_likeness
from napari_vae_restore.training.objective import Score
from napari_vae_restore.training.processes import Processes
from napari_vae_restore.training.settings import TrainingSettings, parse_budget
from napari_vae_restore.training.sources import Source, items_of
from napari_vae_restore.training.supervision import Supervision, make_objective
from napari_vae_restore.training.weight_updates import BestWeights, WeightUpdates, weights_of

_EVALUATIONS = 40
"""Measurements of the held-out ELBO in a run from nothing, at even distances: a resumed run
measures where the unbroken one does, and keeps the same weights."""

_EVALUATIONS_FROM_START = 6
"""The same for a run that starts from a model, where each takes longer."""

_ROUNDING = 1e-9  # error of a share of the run that should be a whole number of its parts

_MAX_SOURCES = 1000  # a record keeps this many names


class Training:
    """Training on a user's images.

    Noisy images alone train a VAE of their own from nothing, by the ELBO under their noise
    model; with `start`, and for every other source, the mean head of a model of every task
    goes on from there by regression. Iterate over :meth:`run`; stop at any time;
    :attr:`model` is the best so far.

    Parameters
    ----------
    source : images, Shots, Pairs or Clean
        Noisy images (an array, layer, path, or sequence of them; a folder stands for the
        images in it); or two shots of the same scenes, measured images with clean ones, or
        clean images alone.
    start : Model, str or Path, optional
        The model to go on from, "default" for the bundled one. It is judged first, so that
        what comes out is never worse on held-out data.
    noise : NoiseModel or str
        "auto", "gaussian", "poisson-gaussian", or with parameters in the images'
        intensity units: "gaussian:SIGMA", "poisson-gaussian:A,B". Of pairs also "none".
    budget : str or float
        Wall time, "2 min" or seconds. Ignored where `steps` is given.
    steps : int, optional
        Number of optimiser steps instead of a time budget: the same seed then gives
        the same model on the same machine with the same number of threads.
    axes : str, optional
        Axes of the arrays such as "ZYX"; read or guessed by default.
    config : ModelConfig, optional
        The network of fresh weights, in place of `start`.
    settings : TrainingSettings, optional
        The optimisation.
    seed : int
        Of initialisation, patches and latent noise. Global random state is untouched.
    device : str
        "auto", "cpu", "cuda" or "mps".
    skip_unreadable : bool
        Whether files of a folder that cannot be used are passed over with a warning.
    devices : int
        Processes that share every batch, each on a device of its own; for scripts and
        commands. See :class:`~.processes.Processes`.

    Raises
    ------
    InputError
        For unusable images or parameters.
    ImageFileError, ModelFileError
        For files that cannot be read.
    """

    def __init__(  # noqa: PLR0913 - its options are the user's
        self,
        source: Source,
        *,
        start: Model | str | Path | None = None,
        noise: NoiseModel | str = "auto",
        budget: str | float = "2 min",
        steps: int | None = None,
        axes: str | None = None,
        config: ModelConfig | None = None,
        settings: TrainingSettings | None = None,
        seed: int = 0,
        device: str = "auto",
        skip_unreadable: bool = False,
        devices: int = 1,
    ) -> None:
        if steps is not None and steps < 1:
            raise InputError(f"steps: expected at least 1, got {steps}")
        self.seed = seed
        self._processes = Processes(devices, device)
        self._budget, self._n_steps = parse_budget(budget), steps
        self.supervision = Supervision(source, noise, axes, seed, skip_unreadable)
        if start is None and config is None and not self.supervision.is_noisy_alone:
            start = DEFAULT
        self._start = start
        begun = None if start is None else find_model(start)
        self._objective = make_objective(
            self.supervision, begun, config, settings, self._processes.device
        )
        self._sources = tuple(item.name for item, *_ in items_of(source)[:_MAX_SOURCES])
        self._spreads = {} if begun is None else begun.spreads
        self._likeness = None if begun is None else begun.ood_score
        self._updates = WeightUpdates(self._objective, self._processes, seed)
        self._best = BestWeights(
            self._objective, self._updates, seed, has_start=start is not None
        )
        self._seconds = 0.0
        self._first_score: float | None = None
        self._judged_at = -1

    @classmethod
    def resume(
        cls,
        path: str | Path,
        source: Source,
        *,
        start: Model | str | Path | None = None,
        noise: NoiseModel | str | None = None,
        axes: str | None = None,
        device: str = "auto",
        skip_unreadable: bool = False,
        devices: int = 1,
    ) -> Training:
        """Go on from a checkpoint with the images that it was trained on.

        Parameters are those of the constructor; noise and start are the checkpoint's by
        default.

        Raises
        ------
        ModelFileError
            If the file is no checkpoint, or a damaged one.
        InputError
            If the images are not those of the checkpoint.
        """
        model, tensors, values = load_checkpoint(path)
        state = checkpoint.parse_state(TrainingState, values, path)
        start = state.start or None if start is None else start
        training = cls(
            source,
            start=start,
            noise=noise or state.noise,
            budget=state.budget,
            steps=state.n_steps,
            axes=axes,
            config=model.network.config if start is None else None,
            settings=state.settings,
            seed=state.seed,
            device=device,
            skip_unreadable=skip_unreadable,
            devices=devices,
        )
        if not training._best.are_of_data_of(model):
            raise InputError(
                f"{path} was trained on other images, or with another noise model: "
                "give the same images, axes and noise to go on from it"
            )
        try:
            checkpoint.from_tensors(tensors, *training._updates.parts)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelFileError(
                f"{path}: the training's state does not fit its model: the file is damaged"
            ) from error
        training._go_on_from(state, model)
        return training

    @property
    def is_main(self) -> bool:
        """Whether this process saves and reports."""
        return self._processes.rank == 0

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing left to do."""
        return self._is_over(self._fraction())

    @property
    def step(self) -> int:
        """Steps done."""
        return self._updates.n_steps

    @property
    def settings(self) -> TrainingSettings:
        """Settings of the optimisation."""
        return self._objective.settings

    @property
    def config(self) -> ModelConfig:
        """Configuration of the network."""
        return self._objective.network.config

    @property
    def data_noise(self) -> NoiseModel | None:
        """The noise model of the images if they share one, in their intensity units."""
        return self._objective.data_noise

    @property
    def model(self) -> Model:
        """The best model so far by held-out data; the first weights before any step."""
        kept = self._best.kept
        return self.snapshot() if kept is None else self._model(*kept)

    def snapshot(self) -> Model:
        """The model that would be kept now, for previews while training."""
        return self._model(weights_of(self._best.candidate()), self._record(None))

    def run(self) -> Generator[Progress, None, None]:
        """Train; yields after each step. Closing the generator keeps the best weights.

        Yields
        ------
        Progress
            The state of the run.

        Raises
        ------
        TrainingError
            If the computation fails, for example because memory runs out.
        """
        started = time.monotonic() - self._seconds
        n_evaluations = _EVALUATIONS if self._start is None else _EVALUATIONS_FROM_START
        done = self._fraction()
        evaluated = _periods(done, n_evaluations)
        first_step = self.step
        # A run of a fixed number of steps keeps the threads it was given: their number
        # changes the rounding of sums.
        is_timed = self._n_steps is None
        threads = fitting_threads(self._updates.device, WORTH_A_TRIAL)
        try:
            with threads if is_timed else nullcontext():
                if self._best.kept is None and self._start is not None:
                    self._evaluate()
                while not self._is_over(fraction := done):
                    batch = self._updates.with_less_memory(
                        partial(self._updates.step, fraction)
                    )
                    self._seconds = time.monotonic() - started
                    done = self._processes.agreed(self._fraction())
                    held_out = None
                    if _periods(done, n_evaluations) > evaluated:
                        evaluated = _periods(done, n_evaluations)
                        held_out = self._evaluate()
                    yield self._progress(fraction, batch, held_out)
        finally:
            if self.step > first_step:
                shares = self._objective.shares
                for share in shares[1:] if self._judged_at == self.step else shares:
                    self._evaluate(share)
                self._fit_likeness()

    def save_checkpoint(self, path: str | Path) -> None:
        """Write a checkpoint, atomically, over an earlier one of the same name.

        The file can also be loaded as a model: the best so far.

        Raises
        ------
        InputError
            If the path does not end in ``.safetensors``.
        ModelFileError
            If the file cannot be written.
        """
        tensors = checkpoint.to_tensors(*self._updates.parts)
        state = TrainingState(
            settings=self.settings,
            seed=self.seed,
            noise=str(self.supervision.noise),
            budget=self._budget,
            n_steps=self._n_steps,
            step=self.step,
            seconds=self._seconds,
            has_best=self._best.kept is not None,
            best_at=self._best.found_at,
            start=str(self._start) if isinstance(self._start, str | Path) else "",
            supervision=self.supervision.kind,
        )
        save(self.model, path, overwrite=True, training_state=(tensors, asdict(state)))

    def _go_on_from(self, state: TrainingState, model: Model) -> None:
        self._updates.go_on_at(state.step)
        self._seconds, self._best.found_at = state.seconds, state.best_at
        if state.has_best:
            part = self._objective.part_of(model.network)
            self._best.kept = (weights_of(part), model.record)
            self._first_score = model.record.held_out_first
            self._likeness = model.ood_score

    def _fraction(self) -> float:
        if self._n_steps is not None:
            return self.step / self._n_steps
        return self._seconds / self._budget

    def _is_over(self, fraction: float) -> bool:
        """Whether the run has ended, or has found nothing better for too long."""
        patience = self.settings.patience
        since = max(self._best.found_at, self.settings.beta_warmup)
        return fraction >= 1 or (patience < 1 and fraction - since >= patience)

    def _evaluate(self, share: float | None = None) -> float:
        """Score a candidate on held-out data; keeps its weights if they are the best."""
        candidate = self._best.candidate(share)
        score = self._best.score(candidate)
        self._judged_at = self.step
        if self._best.are_surpassed_by(score):
            self._best.keep(candidate, self._record(score), self._fraction())
            if self.step:
                self._likeness = None  # of other weights
        return score.value

    def _fit_likeness(self) -> None:
        """Fit what the images look like to the weights that are kept, if those are new."""
        kept = self._best.kept
        if self.is_main and kept is not None and kept[1].n_steps:
            self._likeness = fit_likeness(self.model, self.supervision, self._updates.device)

    def _model(self, weights: dict[str, Tensor], record: TrainingRecord) -> Model:
        return Model(
            self._objective.with_weights(weights),
            self._objective.normalisation,
            self._objective.noise,
            record,
            spreads=self._spreads,
            ood_score=self._likeness,
        )

    def _record(self, score: Score | None) -> TrainingRecord:
        value, start = None if score is None else score.value, self._start
        if self.step == 0 and value is not None:
            self._first_score = value
        return TrainingRecord(
            n_steps=self.step,
            seconds=round(self._seconds, 1),
            seed=self.seed,
            elbo=value if score is not None and score.kl else None,
            kl=() if score is None else score.kl,
            held_out=value,
            held_out_first=self._first_score,
            is_held_out=self._objective.is_held_out,
            n_planes=self._objective.n_planes,
            n_pixels=self._objective.n_pixels,
            sources=self._sources,
            supervision=self.supervision.kind,
            start=start.name if isinstance(start, Model) else Path(start or "").stem,
            figures=self._best.figures(score),
            package_version=__version__,
        )

    def _progress(self, fraction: float, batch: Score, held_out: float | None) -> Progress:
        done = self._fraction()
        left = self._seconds * (1 - done) / done if done > 0 else math.inf
        return Progress(
            step=self.step,
            fraction=min(done, 1.0),
            seconds=self._seconds,
            seconds_left=max(left, 0.0),
            loss=-batch.value,
            kl=batch.kl,
            beta=self.settings.beta_at(fraction),
            learning_rate=self._updates.learning_rate,
            held_out=held_out,
            held_out_first=self._first_score,
        )


def _periods(fraction: float, n: int) -> int:
    """Number of the n equal parts of a run that are over."""
    return math.floor(min(fraction, 1.0) * n + _ROUNDING)
