"""Training as a worker runs it: a generator of messages that drains a process's log.

No Qt and no napari here; torch comes in for the previews, in the worker's thread. Closing
a generator ends the watching, not the training.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.layers.reading import read
from napari_vae_restore._napari.messages import (
    Preview,
    Source,
    Stopwatch,
    TrainingEnded,
    TrainingFailed,
    TrainingSaved,
    TrainingStarted,
    Update,
)
from napari_vae_restore._napari.training import process as training_process
from napari_vae_restore._napari.training import runs as training_runs
from napari_vae_restore._napari.training.process import Told, TrainingProcess
from napari_vae_restore._napari.training.runs import Request, Run
from napari_vae_restore.errors import TrainingError, VAERestoreError

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

_log = logging.getLogger(__name__)

PREVIEW_SIDE = 256
"""Largest side of the training's preview in pixels."""

_POLL_SECONDS = 0.1
_MAX_PREVIEW_SHARE = 0.1
"""Share of the time that previews may take."""

TrainingMessage = Told | Run | Update | Preview | None
View = tuple[Source, regions.Region] | None
"""The image that previews are made of and the part that they show; None for no previews."""


def start_steps(
    images: Source | Path,
    second: Source | Path | None,
    request: Request,
    start: Model | str,
    view: View,
    stop: threading.Event,
) -> Generator[TrainingMessage, None, TrainingEnded]:
    """Train from the beginning.

    Parameters
    ----------
    images, second : Source, Path or None
        What to learn from. Layers are copied into the run's folder, so that the training
        depends on no window.
    request : Request
        How; paths are filled in here.
    start : Model or str
        The model to start from, "default" for the bundled one.
    view : View
        What the previews show.
    stop : threading.Event
        Set it to end the training after the current step and keep the best model.

    Yields
    ------
    TrainingMessage
        The run as soon as its process is started; None where there is nothing to say.

    Returns
    -------
    TrainingEnded
        As :func:`watch_steps`.

    Raises
    ------
    InputError, ImageFileError, ModelFileError, TrainingError
        If the images cannot be read or copied, or the training fails.
    """
    training_runs.clean_up()
    folder = training_runs.new_folder()
    try:
        paths = [""] * 2
        for index, (name, each) in enumerate({"images": images, "second": second}.items()):
            if each is not None:
                paths[index] = yield from _path_of(each, folder / f"{name}.tif")
        request = replace(request, images=paths[0], second=paths[1])
        if not isinstance(start, str):
            start.save(folder / "start.safetensors")
            request = replace(request, start=str(folder / "start.safetensors"))
        run = Run(folder, request)
        run.write()
        process = training_process.start(run)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    yield Update("Looking at the images and their noise…")
    return (yield from watch_steps(process, view, stop))


def resume_steps(
    run: Run, view: View, stop: threading.Event
) -> Generator[TrainingMessage, None, TrainingEnded]:
    """Go on with a run that was stopped or broken off, or watch one that is at work.

    Parameters
    ----------
    run : Run
        What to go on with.
    view, stop
        As :func:`start_steps`.

    Yields
    ------
    TrainingMessage
        As :func:`start_steps`.

    Returns
    -------
    TrainingEnded
        As :func:`watch_steps`.

    Raises
    ------
    TrainingError
        If the training fails.
    """
    yield Update("Going on…")
    resumes = run.can_resume
    process = training_process.start(run, resumed=True) if resumes else TrainingProcess(run)
    return (yield from watch_steps(process, view, stop))


def watch_steps(
    process: TrainingProcess, view: View, stop: threading.Event
) -> Generator[TrainingMessage, None, TrainingEnded]:
    """Tell what a process does, from the beginning of its run to its end.

    Parameters
    ----------
    process : TrainingProcess
        At work, or ended unseen.
    view, stop
        As :func:`start_steps`.

    Yields
    ------
    TrainingMessage
        As :func:`start_steps`.

    Returns
    -------
    TrainingEnded
        With the best model.

    Raises
    ------
    TrainingError
        If it failed, or ended without a result.
    """
    run = process.run
    yield run
    shown = _Previews(view, run.request.device)
    told_to_stop, failure, is_complete = False, "", False
    is_started = False
    while True:
        is_alive = process.is_alive  # looked at first: what it told before its end is read
        for message in process.read():
            yield message
            if isinstance(message, TrainingStarted):
                # A run that was resumed: what was said of its end is over.
                is_started, failure, is_complete = True, "", False
                shown.noise = message.noise
            elif isinstance(message, TrainingSaved):
                is_complete, shown.is_outdated = message.is_complete, True
            elif isinstance(message, TrainingFailed):
                failure = message.text
        if not is_alive:
            break
        if stop.is_set() and not told_to_stop:
            told_to_stop = True
            if is_started:
                process.stop()
            else:
                process.kill()
        if shown.is_due():
            yield shown.of(run.model_path)
        yield None
        time.sleep(_POLL_SECONDS)
    if failure:
        raise TrainingError(failure)
    if not run.model_path.exists():
        if told_to_stop:
            run.remove()
            return TrainingEnded(run, None, is_complete=False, was_stopped=True)
        raise TrainingError(
            process.last_error() or "the training ended without a word: start it again"
        )
    from napari_vae_restore.models.files import load

    yield Update("Reading the model…")
    model = load(run.model_path)
    yield shown.of(run.model_path)
    if is_complete:
        run.tidy_up()
    return TrainingEnded(run, model, is_complete=is_complete, was_stopped=told_to_stop)


def _path_of(images: Source | Path, copy: Path) -> Generator[Update | None, None, str]:
    """The path of images; those of a layer are written to a file."""
    if isinstance(images, Path):
        return str(images)
    data = yield from read(images)
    yield Update("Copying the image for the training…")
    from napari_vae_restore.images.image_files import write_image

    write_image(copy, data, images.axes)
    return str(copy)


class _Previews:
    """Denoises one small part of the image again and again, at a bounded cost."""

    def __init__(self, view: View, device: str) -> None:
        self._view, self._device = view, device
        self._crop: Source | None = None
        self._interval = 0.0
        self._since = Stopwatch(0.0)
        self.noise = ""
        self.is_outdated = False

    def is_due(self) -> bool:
        """Whether there is a new checkpoint, and time to restore with it."""
        is_time = self._since.elapsed >= self._interval
        return self._view is not None and self.is_outdated and is_time

    def of(self, path: Path) -> Preview | None:
        """The preview; None for a part without structure, which cannot be restored."""
        if self._view is None:
            return None
        source, region = self._view
        from napari_vae_restore.models.files import load
        from napari_vae_restore.restoration.restore import denoise

        watch = Stopwatch(0.0)
        self.is_outdated = False
        try:
            if self._crop is None:
                self._crop = Source(np.asarray(source.data[region]), source.axes)
            result = denoise(
                self._crop.data,
                load(path),
                noise=self.noise or None,
                axes=self._crop.axes,
                device=self._device,
            )
        except (VAERestoreError, RuntimeError) as error:  # torch raises little else
            _log.warning("there is no preview: %s", error)
            return None
        finally:
            self._interval = watch.elapsed / _MAX_PREVIEW_SHARE
            self._since = Stopwatch(0.0)
        return Preview(result.mean, regions.start(region), {}, result.diagnostics)
