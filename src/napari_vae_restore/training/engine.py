"""The training loop: a generator over steps that anyone can watch, stop and resume."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_vae_restore import __version__
from napari_vae_restore.devices import choose_device, native_precision
from napari_vae_restore.errors import InputError, ModelFileError, TrainingError
from napari_vae_restore.models.config import HVAEConfig, ModelConfig
from napari_vae_restore.models.files import load_checkpoint, save
from napari_vae_restore.models.latents import random_noise
from napari_vae_restore.models.model import Model, TrainingRecord, build_network, channels_last
from napari_vae_restore.noise.likelihood import network_likelihood
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.training import checkpoint
from napari_vae_restore.training.checkpoint import Course
from napari_vae_restore.training.data import Images, prepare
from napari_vae_restore.training.objective import ELBO, elbo
from napari_vae_restore.training.settings import TrainingSettings, parse_budget
from napari_vae_restore.training.threads import thread_trial

_log = logging.getLogger(__name__)

_EVALUATIONS = 40
"""How often in a run the held-out ELBO is measured."""

_WARMUP_STEPS = 50
"""Steps over which the learning rate rises, so that Adamax gathers its scales."""

_MAX_BAD_STEPS = 25
"""Steps in a row without a finite gradient before the averaged weights are restored."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a training reports after each step.

    Attributes
    ----------
    step : int
        Steps done.
    fraction : float
        Share of the run that is over, 0 to 1.
    seconds, seconds_left : float
        Wall time of the training so far, and an estimate of the rest.
    loss : float
        Negative ELBO of the step's batch with the KL weighted by `beta`, nats per pixel.
    kl : tuple of float
        KL of each level on that batch, nats per pixel, finest first.
    beta, learning_rate : float
        In force at this step.
    held_out_elbo : float or None
        ELBO of the averaged weights on the held-out part, nats per pixel, where this
        step measured it.
    """

    step: int
    fraction: float
    seconds: float
    seconds_left: float
    loss: float
    kl: tuple[float, ...]
    beta: float
    learning_rate: float
    held_out_elbo: float | None


class Training:
    """Unsupervised training of a VAE on noisy images by the ELBO under a noise model.

    Iterate over :meth:`run`; stop at any time; :attr:`model` is the best so far.

    Parameters
    ----------
    images : array, layer, path, or sequence of them
        Noisy images; a folder stands for the images in it.
    noise : NoiseModel or str
        "auto", "gaussian", "poisson-gaussian", or with parameters in the images'
        intensity units: "gaussian:SIGMA", "poisson-gaussian:A,B".
    budget : str or float
        Wall time, "2 min" or seconds. Ignored where `steps` is given.
    steps : int, optional
        Number of optimiser steps instead of a time budget: the same seed then gives
        the same model on the same machine with the same number of threads.
    axes : str, optional
        Axes of the arrays such as "ZYX"; read or guessed by default.
    config : ModelConfig
        The network.
    settings : TrainingSettings
        The optimisation.
    seed : int
        Of initialisation, patches and latent noise. Global random state is untouched.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Raises
    ------
    InputError
        For unusable images or parameters.
    ImageFileError
        For files that cannot be read.
    """

    def __init__(
        self,
        images: Images,
        *,
        noise: NoiseModel | str = "auto",
        budget: str | float = "2 min",
        steps: int | None = None,
        axes: str | None = None,
        config: ModelConfig | None = None,
        settings: TrainingSettings | None = None,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.config = config or HVAEConfig()
        self.settings = settings or TrainingSettings()
        self.seed = seed
        self._noise_given = noise
        self._device = choose_device(device)
        self._budget = parse_budget(budget)
        self._n_steps = steps
        self._check()
        self._data = prepare(
            images,
            axes=axes,
            noise=noise,
            channels=self.config.channels,
            patch=self.settings.patch,
            held_out_side=self._held_out_side(),
            seed=seed,
        )
        self._noise = network_likelihood(self._data.noise, **asdict(self._data.normalisation))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_network(self.config)
        self._network = channels_last(network.to(self._device))
        self._averaged = copy.deepcopy(self._network).eval()
        self._optimizer = torch.optim.Adamax(self._network.parameters())
        self._generator = torch.Generator().manual_seed(seed)
        self._step, self._seconds, self._bad_steps = 0, 0.0, 0
        self._best: tuple[dict[str, Tensor], TrainingRecord] | None = None

    @classmethod
    def resume(
        cls,
        path: str | Path,
        images: Images,
        *,
        noise: NoiseModel | str | None = None,
        axes: str | None = None,
        device: str = "auto",
    ) -> Training:
        """Go on from a checkpoint with the images that it was trained on.

        Parameters are those of the constructor; the noise is the checkpoint's by default.

        Raises
        ------
        ModelFileError
            If the file is no checkpoint, or a damaged one.
        InputError
            If the images are not those of the checkpoint.
        """
        model, tensors, values = load_checkpoint(path)
        course = Course.parse(values, path)
        training = cls(
            images,
            noise=noise or course.noise,
            budget=course.budget,
            steps=course.n_steps,
            axes=axes,
            config=model.network.config,
            settings=course.settings,
            seed=course.seed,
            device=device,
        )
        if training._data.normalisation != model.normalisation:
            raise InputError(
                f"{path} was trained on other images, or with another noise model: "
                "give the same images, axes and noise to go on from it"
            )
        parts = training._network, training._averaged, training._optimizer, training._generator
        try:
            checkpoint.from_tensors(tensors, *parts)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelFileError(
                f"{path}: the training's state does not fit its model: the file is damaged"
            ) from error
        training._step, training._seconds = course.step, course.seconds
        if course.has_best:
            training._best = (dict(model.network.state_dict()), model.record)
        return training

    @property
    def data_noise(self) -> NoiseModel | None:
        """The noise model of the images if they share one, in their intensity units."""
        return self._data.noise

    @property
    def model(self) -> Model:
        """The best model so far by held-out ELBO; untrained weights before any step."""
        if self._best is None:
            return self.snapshot()
        return self._model(*self._best)

    def snapshot(self) -> Model:
        """The averaged weights as they are now, for previews while training."""
        weights = {k: v.cpu().clone() for k, v in self._averaged.state_dict().items()}
        return self._model(weights, self._record(None))

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
        evaluated = self._fraction()
        first_step = self._step
        # A run of a fixed number of steps keeps the threads it was given: their number
        # changes the rounding of sums.
        timed = self._device.type == "cpu" and self._n_steps is None
        trial = thread_trial() if timed else iter(())
        try:
            while (fraction := self._fraction()) < 1:
                next(trial, None)
                with self._failures_named():
                    batch = self._optimise(fraction)
                self._seconds = time.monotonic() - started
                held_out = None
                if self._fraction() >= min(evaluated + 1 / _EVALUATIONS, 1.0):
                    evaluated = self._fraction()
                    held_out = self._evaluate()
                yield self._progress(fraction, batch, held_out)
        finally:
            torch.set_num_threads(threads)
            if self._step > first_step:
                self._evaluate()

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
            self._network, self._averaged, self._optimizer, self._generator
        )
        course = Course(
            settings=self.settings,
            seed=self.seed,
            noise=str(self._noise_given),
            budget=self._budget,
            n_steps=self._n_steps,
            step=self._step,
            seconds=self._seconds,
            has_best=self._best is not None,
        )
        save(self.model, path, overwrite=True, training_state=(tensors, asdict(course)))

    def _check(self) -> None:
        if self._n_steps is not None and self._n_steps < 1:
            raise InputError(f"steps: expected at least 1, got {self._n_steps}")
        if self.settings.patch % self.config.stride:
            raise InputError(
                f"settings.patch: expected a multiple of the network's stride "
                f"{self.config.stride}, got {self.settings.patch}"
            )

    def _held_out_side(self) -> int:
        """Half a training patch where the network takes that: it costs less data."""
        stride = self.config.stride
        return self.config.fixed_size or -(-self.settings.patch // (2 * stride)) * stride

    def _fraction(self) -> float:
        if self._n_steps is not None:
            return self._step / self._n_steps
        return self._seconds / self._budget

    def _optimise(self, fraction: float) -> ELBO:
        """One step of Adamax on the negative ELBO, then of the moving average."""
        rate = self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * fraction))
        rate *= min(1.0, (self._step + 1) / _WARMUP_STEPS)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        y = self._data.sample(self.settings.batch, self._generator)
        y = y.to(self._device, memory_format=torch.channels_last)
        with native_precision(self._device):
            bound = elbo(self._network, y, self._noise, random_noise(self._generator))
        self._optimizer.zero_grad()
        loss = -bound.value(self.settings.beta_at(fraction))
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(
            self._network.parameters(), self.settings.max_gradient
        )
        if bool(norm.isfinite()):
            self._bad_steps = 0
            self._optimizer.step()
            self._average()
        else:
            self._recover()
        self._step += 1
        return bound

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"out of memory on {self._device}: use smaller settings.batch or "
                "settings.patch, or device='cpu'"
            ) from error
        except RuntimeError as error:
            raise TrainingError(f"training failed at step {self._step}: {error}") from error

    def _average(self) -> None:
        decay = min(self.settings.ema, (1 + self._step) / (10 + self._step))
        averaged, current = self._averaged.parameters(), self._network.parameters()
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged), list(current), 1 - decay)

    def _recover(self) -> None:
        """Skip a step without a finite gradient; after many, start from the average."""
        self._bad_steps += 1
        if self._bad_steps >= _MAX_BAD_STEPS:
            _log.warning(
                "no finite gradient in %d steps: averaged weights restored", self._bad_steps
            )
            self._network.load_state_dict(self._averaged.state_dict())
            self._optimizer.state.clear()
            self._bad_steps = 0

    @torch.no_grad()
    def _evaluate(self) -> float:
        """Held-out ELBO of the averaged weights; keeps them if they are the best."""
        source = random_noise(torch.Generator().manual_seed(self.seed))
        with self._failures_named():
            y = self._data.held_out.to(self._device)
            bound = elbo(self._averaged, y, self._noise, source)
        value = float(bound.value())
        best = self._best[1].elbo if self._best else None
        if best is None or value > best:
            weights = {k: v.cpu().clone() for k, v in self._averaged.state_dict().items()}
            self._best = (weights, self._record(bound))
        return value

    def _model(self, weights: dict[str, Tensor], record: TrainingRecord) -> Model:
        with torch.device("meta"):
            network = build_network(self.config)
        network.load_state_dict(weights, assign=True)
        return Model(network.eval(), self._data.normalisation, self._data.noise, record)

    def _record(self, bound: ELBO | None) -> TrainingRecord:
        return TrainingRecord(
            n_steps=self._step,
            seconds=round(self._seconds, 1),
            seed=self.seed,
            elbo=None if bound is None else float(bound.value()),
            kl=() if bound is None else _means(bound.kl),
            is_held_out=self._data.is_held_out,
            n_planes=len(self._data.planes),
            n_pixels=self._data.n_pixels,
            package_version=__version__,
        )

    def _progress(self, fraction: float, bound: ELBO, held_out: float | None) -> Progress:
        done = self._fraction()
        beta = self.settings.beta_at(fraction)
        left = self._seconds * (1 - done) / done if done > 0 else math.inf
        return Progress(
            step=self._step,
            fraction=min(done, 1.0),
            seconds=self._seconds,
            seconds_left=max(left, 0.0),
            loss=-float(bound.value(beta).detach()),
            kl=_means(bound.kl),
            beta=beta,
            learning_rate=self._optimizer.param_groups[0]["lr"],
            held_out_elbo=held_out,
        )


def _means(values: tuple[Tensor, ...]) -> tuple[float, ...]:
    return tuple(float(value.detach().mean()) for value in values)


def train(images: Images, **options: Any) -> Model:
    """Train a VAE on noisy images and return the best model.

    Parameters
    ----------
    images : array, layer, path, or sequence of them
        Noisy images; a folder stands for the images in it.
    **options
        The keyword parameters of :class:`Training`: `noise`, `budget`, `steps`, `axes`,
        `config`, `settings`, `seed`, `device`.

    Returns
    -------
    Model
        The best by held-out ELBO.

    Raises
    ------
    InputError, ImageFileError, TrainingError
        As :class:`Training` and its :meth:`~Training.run`.
    """
    training = Training(images, **options)
    for _ in training.run():
        pass
    return training.model
