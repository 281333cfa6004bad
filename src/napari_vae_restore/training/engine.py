"""The training loop: a generator over steps that anyone can watch, stop and resume."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from napari_vae_restore import __version__
from napari_vae_restore.errors import InputError, ModelFileError, TrainingError, told
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.config import ModelConfig
from napari_vae_restore.models.devices import is_want_of_memory
from napari_vae_restore.models.files import load_checkpoint, save
from napari_vae_restore.models.model import Model, TrainingRecord
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.reports.model_words import EXPECTED_GAIN
from napari_vae_restore.training import checkpoint
from napari_vae_restore.training.checkpoint import Course
from napari_vae_restore.training.lessons import Lesson, make_objective
from napari_vae_restore.training.likeness import fitted_likeness
from napari_vae_restore.training.objective import Judgement
from napari_vae_restore.training.processes import Processes
from napari_vae_restore.training.progress import Progress
from napari_vae_restore.training.settings import TrainingSettings, parse_budget
from napari_vae_restore.training.sources import Source, names_of
from napari_vae_restore.training.threads import thread_trial
from napari_vae_restore.training.triton_import import import_triton

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_EVALUATIONS = 40
"""How often in a run from nothing the held-out ELBO is measured, at even distances: a run
that was broken off and resumed measures where the unbroken one does, and keeps the same."""

_JUDGEMENTS = 6
"""The same of a run that goes on from a model, where it takes longer."""

_ROUNDING = 1e-9
"""Of a share of the run that is a whole number of its parts."""

_WARMUP_STEPS = 50
"""Steps over which the learning rate rises, so that Adamax gathers its scales."""

_MAX_SOURCES = 1000
"""Names that a record keeps."""

_ALIKE = 1e-3
"""Nats per pixel by which two judgements of the same weights and data may round apart."""

_RANKS_APART = 1_000_003
"""Between the seeds of processes."""

_MAX_BAD_STEPS = 25
"""Steps in a row without a finite gradient before the averaged weights are restored."""


class Training:
    """Training on a user's images, by whatever they can tell.

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

    def __init__(
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
        self._device = self._processes.device
        self._budget, self._n_steps = parse_budget(budget), steps
        self.lesson = Lesson(source, noise, axes, seed, skip_unreadable)
        if start is None and config is None and not self.lesson.is_noisy_alone:
            start = DEFAULT
        self._start = start
        begun = None if start is None else find_model(start)
        self._objective = make_objective(self.lesson, begun, config, settings, self._device)
        self._sources = names_of(source)[:_MAX_SOURCES]
        self._spreads = {} if begun is None else begun.spreads
        self._likeness = None if begun is None else begun.likeness
        self._trained = self._objective.trained
        self._share_batch()
        self._averaged = copy.deepcopy(self._trained).eval().requires_grad_(False)
        self._first_weights = copy.deepcopy(self._averaged)
        import_triton()
        self._optimizer = self._objective.optimiser()
        self._generator = torch.Generator().manual_seed(seed + _RANKS_APART * self._rank)
        self._step, self._seconds, self._bad_steps = 0, 0.0, 0
        self._best: tuple[dict[str, Tensor], TrainingRecord] | None = None
        self._best_at = 0.0
        self._first: float | None = None
        self._start_judged: Judgement | None = None
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
        course = Course.parse(values, path)
        start = course.start or None if start is None else start
        training = cls(
            source,
            start=start,
            noise=noise or course.noise,
            budget=course.budget,
            steps=course.n_steps,
            axes=axes,
            config=model.network.config if start is None else None,
            settings=course.settings,
            seed=course.seed,
            device=device,
            skip_unreadable=skip_unreadable,
            devices=devices,
        )
        if not training._is_alike(model):
            raise InputError(
                f"{path} was trained on other images, or with another noise model: "
                "give the same images, axes and noise to go on from it"
            )
        parts = training._trained, training._averaged, training._optimizer, training._generator
        try:
            checkpoint.from_tensors(tensors, *parts)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelFileError(
                f"{path}: the training's state does not fit its model: the file is damaged"
            ) from error
        training._step, training._seconds = course.step, course.seconds
        training._best_at = course.best_at
        if training._rank:  # the checkpoint has the first process's generator
            training._generator.manual_seed(
                course.seed + _RANKS_APART * training._rank + course.step
            )
        if course.has_best:
            part = training._objective.part_of(model.network)
            training._best = (_weights(part), model.record)
            training._first = model.record.held_out_first
            training._likeness = model.likeness
        return training

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that saves and reports."""
        return self._rank == 0

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing left to do."""
        return self._is_over(self._fraction())

    @property
    def step(self) -> int:
        """Steps done."""
        return self._step

    @property
    def settings(self) -> TrainingSettings:
        """Of the optimisation."""
        return self._objective.settings

    @property
    def config(self) -> ModelConfig:
        """Of the network."""
        return self._objective.network.config

    @property
    def data_noise(self) -> NoiseModel | None:
        """The noise model of the images if they share one, in their intensity units."""
        return self._objective.data_noise

    @property
    def model(self) -> Model:
        """The best model so far by held-out data; the first weights before any step."""
        if self._best is None:
            return self.snapshot()
        return self._model(*self._best)

    def snapshot(self) -> Model:
        """What would be kept now, for previews while training."""
        return self._model(_weights(self._candidate()), self._record(None))

    def run(self) -> Generator[Progress, None, None]:
        """Train; yields after each step. Closing the generator keeps the best weights.

        Yields
        ------
        Progress
            The state of the run.

        Raises
        ------
        TrainingError
            If the computation fails, for example for want of memory.
        """
        threads = torch.get_num_threads()
        started = time.monotonic() - self._seconds
        n_evaluations = _EVALUATIONS if self._start is None else _JUDGEMENTS
        done = self._fraction()
        evaluated = _periods(done, n_evaluations)
        first_step = self._step
        # A run of a fixed number of steps keeps the threads it was given: their number
        # changes the rounding of sums.
        timed = self._device.type == "cpu" and self._n_steps is None
        trial = thread_trial() if timed else iter(())
        try:
            if self._best is None and self._start is not None:
                self._evaluate()
            while not self._is_over(fraction := done):
                next(trial, None)
                batch = self._made_do(partial(self._optimise, fraction))
                self._seconds = time.monotonic() - started
                done = self._processes.agreed(self._fraction())
                held_out = None
                if _periods(done, n_evaluations) > evaluated:
                    evaluated = _periods(done, n_evaluations)
                    held_out = self._evaluate()
                yield self._progress(fraction, batch, held_out)
        finally:
            torch.set_num_threads(threads)
            if self._step > first_step:
                shares = self._objective.shares
                for share in shares[1:] if self._judged_at == self._step else shares:
                    self._evaluate(share)
                self._learn_likeness()

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
        tensors = checkpoint.to_tensors(
            self._trained, self._averaged, self._optimizer, self._generator
        )
        course = Course(
            settings=self.settings,
            seed=self.seed,
            noise=str(self.lesson.noise),
            budget=self._budget,
            n_steps=self._n_steps,
            step=self._step,
            seconds=self._seconds,
            has_best=self._best is not None,
            best_at=self._best_at,
            start=str(self._start) if isinstance(self._start, str | Path) else "",
            supervision=self.lesson.supervision,
        )
        save(self.model, path, overwrite=True, training_state=(tensors, asdict(course)))

    def _is_alike(self, model: Model) -> bool:
        """Whether a checkpoint's model learned from the same data.

        Where neither range nor noise is the model's own, what held-out data say of the
        weights that both started from tells.
        """
        size = model.record.n_planes, model.record.n_pixels
        here, first = self._objective, model.record.held_out_first
        return (
            size == (here.n_planes, here.n_pixels)
            and (model.normalisation, model.noise) == (here.normalisation, here.noise)
            and (
                first is None
                or abs(self._judgement(self._first_weights).value - first) < _ALIKE
            )
        )

    def _fraction(self) -> float:
        if self._n_steps is not None:
            return self._step / self._n_steps
        return self._seconds / self._budget

    def _optimise(self, fraction: float) -> Judgement:
        """One step of the optimiser, then of the moving average."""
        rate = self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * fraction))
        rate *= min(1.0, (self._step + 1) / _WARMUP_STEPS)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss, batch = self._objective.loss(self._step, fraction, self._generator)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._processes.average_gradients(self._trained.parameters())
        norm = torch.nn.utils.clip_grad_norm_(
            self._trained.parameters(), self.settings.max_gradient
        )
        if bool(norm.isfinite()):
            self._bad_steps = 0
            self._optimizer.step()
            self._average()
        else:
            self._recover()
        self._step += 1
        return batch

    @property
    def _rank(self) -> int:
        return self._processes.rank

    def _is_over(self, fraction: float) -> bool:
        """Whether the run is at its end, or has found nothing better for too long."""
        patience, since = self.settings.patience, max(self._best_at, self.settings.beta_warmup)
        return fraction >= 1 or (patience < 1 and fraction - since >= patience)

    def _share_batch(self) -> None:
        n, batch = self._processes.n, self.settings.batch
        if batch % n:
            raise InputError(
                f"settings.batch: expected a multiple of the {n} devices, got {batch}"
            )
        self._objective.batch = batch // n

    def _made_do(self, compute: Callable[[], _T]) -> _T:
        """What is computed, with smaller batches and then on the CPU if memory is short."""
        while True:
            try:
                return compute()
            except (MemoryError, RuntimeError) as error:
                if not is_want_of_memory(error):
                    raise TrainingError(
                        f"training failed at step {self._step}: {told(error)}"
                    ) from error
                self._take_less_memory(error)

    def _take_less_memory(self, error: Exception) -> None:
        self._optimizer.zero_grad()
        objective = self._objective
        if objective.batch > 1 and self._processes.n == 1:
            objective.batch //= 2
            _log.warning("out of memory: going on with batches of %d", objective.batch)
        elif self._device.type != "cpu" and self._processes.n == 1:
            state = self._optimizer.state_dict()
            self._device = torch.device("cpu")
            objective.move(self._device)
            self._averaged.to(self._device)
            self._optimizer = objective.optimiser()
            self._optimizer.load_state_dict(state)
            objective.batch = self.settings.batch
            _log.warning("out of memory: going on on the CPU")
        else:
            raise TrainingError(
                f"out of memory on {self._device}: use smaller settings.batch or "
                "settings.patch, or close other programs"
            ) from error

    def _average(self) -> None:
        decay = min(self.settings.ema, (1 + self._step) / (10 + self._step))
        averaged, current = self._averaged.parameters(), self._trained.parameters()
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged), list(current), 1 - decay)

    def _recover(self) -> None:
        """Skip a step without a finite gradient; after many, start from the average."""
        self._bad_steps += 1
        if self._bad_steps >= _MAX_BAD_STEPS:
            _log.warning(
                "no finite gradient in %d steps: averaged weights restored", self._bad_steps
            )
            self._trained.load_state_dict(self._averaged.state_dict())
            self._optimizer.state.clear()
            self._bad_steps = 0

    def _candidate(self, share: float | None = None) -> nn.Module:
        """The averaged weights, or what lies between them and those gone on from."""
        share = self._objective.shares[0] if share is None else share
        if share == 1:
            return self._averaged
        between = copy.deepcopy(self._averaged)
        with torch.no_grad():
            for weights, first in zip(
                between.parameters(), self._first_weights.parameters(), strict=True
            ):
                weights.lerp_(first.to(weights.device), 1 - share)
        return between

    def _judgement(self, candidate: nn.Module) -> Judgement:
        def judge() -> Judgement:
            return self._objective.judge(candidate.to(self._device), self.seed)

        return self._made_do(judge)

    def _evaluate(self, share: float | None = None) -> float:
        """Judge a candidate by held-out data; keeps its weights if they are the best."""
        candidate = self._candidate(share)
        found = self._judgement(candidate)
        self._judged_at = self._step
        best = None if self._best is None else self._best[1].held_out
        if best is None or (found.value > best and self._is_better_than_start(found)):
            self._best = (_weights(candidate), self._record(found))
            self._best_at = self._fraction()
            if self._step:
                self._likeness = None  # of other weights
        return found.value

    def _is_better_than_start(self, found: Judgement) -> bool:
        """Whether held-out data leave no doubt; anything is, than weights drawn at random."""
        if self._start is None:
            return True
        if self._start_judged is None:
            self._start_judged = self._judgement(self._first_weights)
        return found.is_better_than(self._start_judged)

    def _learn_likeness(self) -> None:
        """What the images are like to the weights that are kept, if those are new."""
        if self.is_main and self._best is not None and self._best[1].n_steps:
            self._likeness = fitted_likeness(self.model, self.lesson, str(self._device))

    def _model(self, weights: dict[str, Tensor], record: TrainingRecord) -> Model:
        objective = self._objective
        network = objective.with_weights(weights)
        return Model(
            network,
            objective.normalisation,
            objective.noise,
            record,
            spreads=self._spreads,
            likeness=self._likeness,
        )

    def _record(self, found: Judgement | None) -> TrainingRecord:
        objective = self._objective
        value = None if found is None else found.value
        if self._step == 0 and value is not None:
            self._first = value
        return TrainingRecord(
            n_steps=self._step,
            seconds=round(self._seconds, 1),
            seed=self.seed,
            elbo=value if found is not None and found.kl else None,
            kl=() if found is None else found.kl,
            held_out=value,
            held_out_first=self._first,
            is_held_out=objective.is_held_out,
            n_planes=objective.n_planes,
            n_pixels=objective.n_pixels,
            sources=self._sources,
            supervision=self.lesson.supervision,
            start=_name_of(self._start),
            figures=self._figures(found),
            package_version=__version__,
        )

    def _figures(self, found: Judgement | None) -> tuple[tuple[str, float], ...]:
        """The gain in dB, where it can be told."""
        first = self._start_judged
        if found is None or first is None or found.risk is None or first.risk is None:
            return ()
        if min(found.risk.mean, first.risk.mean) <= 0:
            return ()
        gain = 10 * math.log10(first.risk.mean / found.risk.mean)
        return ((EXPECTED_GAIN, round(gain, 3)),)

    def _progress(self, fraction: float, batch: Judgement, held_out: float | None) -> Progress:
        done = self._fraction()
        left = self._seconds * (1 - done) / done if done > 0 else math.inf
        return Progress(
            step=self._step,
            fraction=min(done, 1.0),
            seconds=self._seconds,
            seconds_left=max(left, 0.0),
            loss=-batch.value,
            kl=batch.kl,
            beta=self.settings.beta_at(fraction),
            learning_rate=self._optimizer.param_groups[0]["lr"],
            held_out=held_out,
            held_out_first=self._first,
        )


def _periods(fraction: float, n: int) -> int:
    """How many of the n equal parts of a run are over."""
    return math.floor(min(fraction, 1.0) * n + _ROUNDING)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.cpu().clone() for name, value in module.state_dict().items()}


def _name_of(start: Model | str | Path | None) -> str:
    if start is None:
        return ""
    return start.name if isinstance(start, Model) else Path(start).stem
