"""Training as a worker runs it: a generator of messages over `Training.run`.

No Qt and no napari here; torch comes in when the generator runs, in the worker's thread.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_vae_restore._napari import region as regions
from napari_vae_restore._napari.messages import (
    Preview,
    Source,
    Stopwatch,
    TrainingEnded,
    TrainingStarted,
    TrainingUpdate,
    Update,
)
from napari_vae_restore._napari.reading import read
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.training.engine import Progress, Training

PREVIEW_SIDE = 256
"""Largest side of the training's preview in pixels."""

_UPDATE_SECONDS = 0.2
_PREVIEW_SECONDS = 3.0
_MAX_PREVIEW_SHARE = 0.1
"""Share of the training's time that previews may take."""

TrainingMessage = TrainingStarted | TrainingUpdate | Update | Preview | None


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What a user chose; the values are those of :class:`~napari_vae_restore.Training`.

    Attributes
    ----------
    budget : str
        Wall time such as "2 min".
    noise : str
        Notation of the noise.
    seed : int
        Of initialisation, patches and latent noise.
    device : str
        Where it runs.
    """

    budget: str = "2 min"
    noise: str = "auto"
    seed: int = 0
    device: str = "auto"


def start_steps(
    source: Source, region: regions.Region, options: TrainOptions, stop: threading.Event
) -> Generator[TrainingMessage, None, TrainingEnded]:
    """Train on an image from the beginning.

    Parameters
    ----------
    source : Source
        The image.
    region : tuple of slice
        The part that the previews show.
    options : TrainOptions
        How.
    stop : threading.Event
        Set it to end the training after the current step and keep the best model;
        closing the generator instead throws the result away.

    Yields
    ------
    TrainingMessage
        None after most steps.

    Returns
    -------
    TrainingEnded
        With the best model.

    Raises
    ------
    InputError, TrainingError
        As :class:`~napari_vae_restore.Training`.
    """
    image = yield from read(source)
    yield Update("Looking at the image and its noise…")
    from napari_vae_restore.training.engine import Training

    training = Training(
        image,
        axes=source.axes,
        budget=options.budget,
        noise=options.noise,
        seed=options.seed,
        device=options.device,
    )
    yield TrainingStarted(training)
    return (yield from resume_steps(source, region, options, stop, training))


def resume_steps(
    source: Source,
    region: regions.Region,
    options: TrainOptions,
    stop: threading.Event,
    training: Training,
) -> Generator[TrainingMessage, None, TrainingEnded]:
    """Go on with a training that was stopped.

    Parameters
    ----------
    source, region, options, stop
        As :func:`start_steps`; of the options only the device of the previews counts.
    training : Training
        What :class:`TrainingStarted` brought.

    Yields
    ------
    TrainingMessage
        As :func:`start_steps`.

    Returns
    -------
    TrainingEnded
        As :func:`start_steps`.

    Raises
    ------
    TrainingError
        As :meth:`~napari_vae_restore.Training.run`.
    """
    shown = _Previews(Source(np.asarray(source.data[region]), source.axes), region, options)
    log = _Log()
    fraction = 0.0
    with closing(training.run()) as run:
        for progress in run:
            log.add(progress)
            fraction = progress.fraction
            yield log.update()
            if shown.is_due():
                yield shown.of(training.snapshot(), training)
            if stop.is_set():
                break
    yield log.update(at_once=True)
    model = training.model
    yield shown.of(model, training)
    return TrainingEnded(training, model, is_complete=fraction >= 1)


class _Log:
    """Gathers steps into updates at the pace of the eye."""

    def __init__(self) -> None:
        self._watch = Stopwatch(_UPDATE_SECONDS)
        self._steps: list[Progress] = []

    def add(self, progress: Progress) -> None:
        self._steps.append(progress)

    def update(self, *, at_once: bool = False) -> TrainingUpdate | None:
        if not self._steps or not (self._watch.is_due() or at_once):
            return None
        steps, self._steps = self._steps, []
        return TrainingUpdate(
            tuple(step.seconds for step in steps),
            tuple(step.loss for step in steps),
            tuple((step.seconds, step.held_out) for step in steps if step.held_out is not None),
            steps[-1],
        )


class _Previews:
    """Denoises one small part of the image again and again, at a bounded cost."""

    def __init__(self, crop: Source, region: regions.Region, options: TrainOptions) -> None:
        self._crop, self._region, self._options = crop, region, options
        self._interval = 1.0
        self._since = Stopwatch(0.0)

    def is_due(self) -> bool:
        return self._since.elapsed >= self._interval

    def of(self, model: Model, training: Training) -> Preview | None:
        """The preview, or None for a part without structure, which cannot be restored."""
        from napari_vae_restore.restoration.restore import denoise

        watch = Stopwatch(0.0)
        try:
            result = denoise(
                self._crop.data,
                model,
                noise=training.data_noise,
                axes=self._crop.axes,
                device=self._options.device,
            )
        except InputError:
            return None
        finally:
            self._interval = max(_PREVIEW_SECONDS, watch.elapsed / _MAX_PREVIEW_SHARE)
            self._since = Stopwatch(0.0)
        return Preview(result.mean, regions.start(self._region), {}, result.diagnostics)
