"""Training in a worker: a generator of messages that follows the log of a process.

Closing a generator ends the watching, not the training.
No Qt and no napari here.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.messages import (
    Preview,
    Source,
    Stopwatch,
    TrainingFailed,
    TrainingSaved,
    TrainingStarted,
    Update,
)
from napari_vae_restore._napari.training import process as training_process
from napari_vae_restore._napari.training import runs as training_runs
from napari_vae_restore._napari.training.process import TrainingEvent, TrainingProcess
from napari_vae_restore._napari.training.runs import Run, TrainingRequest
from napari_vae_restore.errors import TrainingError, VAERestoreError

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

_log = logging.getLogger(__name__)

PREVIEW_SIDE = 256  # pixels, the largest side of the training's preview
_POLL_SECONDS = 0.1
_MAX_PREVIEW_SHARE = 0.1  # of the time

TrainingMessage = TrainingEvent | Run | Update | Preview | None
# The image of the previews and the part that they show; None for no previews.
View = tuple[Source, regions.Region] | None


@dataclass(frozen=True, slots=True)
class TrainingEnded:
    """A training that is over, or that can be resumed."""

    run: Run
    model: Model | None  # the best one; None if it was stopped before there was one
    is_complete: bool  # the time budget was used up
    was_stopped: bool  # on the user's wish


def start_steps(
    images: Source | Path,
    second: Source | Path | None,
    request: TrainingRequest,
    start: Model | str,
    view: View,
    stop: threading.Event,
) -> Generator[TrainingMessage, None, TrainingEnded]:
    """Train from the beginning, from layers or files, starting at a model.

    Layers are copied into the run's folder, so that the training depends on no window, and
    their paths replace those of the request. `stop` ends it after the current step.
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
    """Resume a run that was stopped or broken off, or watch one that runs."""
    yield Update("Resuming…")
    resumes = run.can_resume
    process = training_process.start(run, resumed=True) if resumes else TrainingProcess(run)
    return (yield from watch_steps(process, view, stop))


def watch_steps(
    process: TrainingProcess, view: View, stop: threading.Event
) -> Generator[TrainingMessage, None, TrainingEnded]:
    """Yield the events of a run from its beginning to its end; return its best model."""
    run = process.run
    yield run
    shown = _Previews(view, run.request.device)
    is_complete, stop_sent, failure = yield from _followed(process, shown, stop)
    if failure:
        raise TrainingError(failure)
    if not run.model_path.exists():
        if stop_sent:
            run.remove()
            return TrainingEnded(run, None, is_complete=False, was_stopped=True)
        raise TrainingError(
            process.last_error() or "the training ended without a message: start it again"
        )
    from napari_vae_restore.models.files import load

    yield Update("Reading the model…")
    model = load(run.model_path)
    yield shown.of(run.model_path)
    if is_complete:
        run.tidy_up()
    return TrainingEnded(run, model, is_complete=is_complete, was_stopped=stop_sent)


def _followed(
    process: TrainingProcess, shown: _Previews, stop: threading.Event
) -> Generator[TrainingMessage, None, tuple[bool, bool, str]]:
    """Yield the events of a process to its end; whether complete, stopped, and why failed."""
    is_started, is_complete, stop_sent, failure = False, False, False, ""
    while True:
        is_alive = process.is_alive  # asked first, so that its last events are read
        for message in process.read():
            yield message
            match message:
                case TrainingStarted():
                    # A resumed run: the log holds the end of its first part.
                    is_started, failure, is_complete = True, "", False
                    shown.noise = message.noise
                case TrainingSaved():
                    is_complete, shown.is_outdated = message.is_complete, True
                case TrainingFailed():
                    failure = message.text
        if not is_alive:
            return is_complete, stop_sent, failure
        if stop.is_set() and not stop_sent:
            stop_sent = True
            (process.stop if is_started else process.kill)()
        if shown.is_due():
            yield shown.of(process.run.model_path)
        yield None
        time.sleep(_POLL_SECONDS)


def _path_of(images: Source | Path, copy: Path) -> Generator[Update | None, None, str]:
    """The path of images; a layer is written to a file."""
    if isinstance(images, Path):
        return str(images)
    data = yield from regions.read(images)
    yield Update("Copying the image for the training…")
    from napari_vae_restore.images.image_files import write_image

    write_image(copy, data, images.axes)
    return str(copy)


class _Previews:
    """Denoises one small part of the image with each checkpoint, at a bounded cost."""

    def __init__(self, view: View, device: str) -> None:
        self._view, self._device = view, device
        self._crop: Source | None = None
        self._interval = 0.0
        self._since = Stopwatch(0.0)
        self.noise = ""
        self.is_outdated = False

    def is_due(self) -> bool:
        """Whether there is a new checkpoint, and time to use it."""
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
