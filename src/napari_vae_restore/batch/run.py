"""Many image files restored one after the other.

A run goes on past a bad file, leaves only complete files behind, and resumes when the
same batch runs again. The command line, the window and `restore_files` drain the same
generator. Knows neither terminals nor windows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from napari_vae_restore.batch.choices import NEVER, n_drawn
from napari_vae_restore.batch.file_job import RestoredFile, iter_restore_file
from napari_vae_restore.batch.plan import Batch, Job, State, iter_plan
from napari_vae_restore.errors import InputError, VAERestoreError
from napari_vae_restore.generators import drain, relayed
from napari_vae_restore.images.atomic import why_not_written
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.devices import is_out_of_memory
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.recipes.replay import Request, read_mask
from napari_vae_restore.restoration.tasks import Inpaint, Task


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """Progress of a batch; `fraction` counts files by their sizes."""

    number: int  # of the job, from 0
    job: Job
    share: float  # of this file, 0 to 1
    fraction: float  # of all that is computed, 0 to 1
    seconds_left: float | None  # None before the first estimate
    restored: RestoredFile | None = None  # once it is written


def restore_files(
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    tasks: Task | Sequence[Task] = (),
    model: Model | str | Path = DEFAULT,
    **options: Any,
) -> tuple[Job, ...]:
    """Restore many image files into a folder.

    What is there already from an earlier run is not made again; a file that cannot be
    restored does not keep the others from it.

    Parameters
    ----------
    images : str, Path or sequence of them
        Files, folders with all that is below them, or globs such as ``"data/**/*.tif"``.
    output : str or Path
        Folder of the results; made if it is not there.
    tasks : Task or sequence of Task, optional
        As for :func:`~napari_vae_restore.restore`. With `masks`, filling is one of them.
    model : Model, str or Path
        As for :func:`~napari_vae_restore.restore`; it is loaded once.
    **options
        The keyword parameters of :func:`iter_restore_files`.

    Returns
    -------
    tuple of Job
        One for each image: ``job.state`` is ``State.RESTORED``, ``KEPT`` or ``FAILED``,
        and ``job.reason`` says why.

    Raises
    ------
    InputError, ImageFileError, ModelFileError
        Before anything is computed, as :func:`iter_restore_files`.
    """
    return drain(iter_restore_files(images, output, tasks, model, **options))


def iter_restore_files(  # noqa: PLR0913 - its options are the user's
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    tasks: Task | Sequence[Task] = (),
    model: Model | str | Path = DEFAULT,
    *,
    masks: str | Path | None = None,
    suffix: str = "",
    samples: int | None = None,
    uncertainty: str | Path | None = None,
    overwrite: str = NEVER,
    axes: str | None = None,
    seed: int = 0,
    tile: int | None = None,
    device: str = "auto",
) -> Generator[BatchProgress, None, tuple[Job, ...]]:
    """Restore many image files: yields progress, returns the jobs; close it to cancel.

    Parameters
    ----------
    images, output, tasks, model
        As for :func:`restore_files`.
    masks : str or Path, optional
        Folder of masks with the names of their images, "_mask" or "-mask" behind them or
        not.
    suffix : str
        What stands behind a result's name, before its ending.
    samples : int, optional
        Samples that are written beside each result.
    uncertainty : str or Path, optional
        Folder for the standard deviations of the samples, or of 16 that are not kept.
    overwrite : str
        What becomes of results that exist. "never": those that this call would make again
        are kept, any other is an error before anything is computed. "missing": an image
        whose result exists is left out. "always": all are made anew.
    axes : str, optional
        Of all images; by default, each file says its own.
    seed, tile : int
        As for :func:`~napari_vae_restore.restore`, for all images.
    device : str
        As for :func:`~napari_vae_restore.restore`.

    Yields
    ------
    BatchProgress
        When a file begins, at each of its steps, and when it is written or has failed.

    Returns
    -------
    tuple of Job
        One for each image.

    Raises
    ------
    InputError
        As :func:`~.plan.iter_plan`, and if there is nothing to do.
    ImageFileError
        As :func:`~.plan.iter_plan`.
    ModelFileError
        If the model cannot be used.
    """
    listed = tuple(tasks) if isinstance(tasks, Sequence) else (tasks,)
    if masks is not None and any(isinstance(task, Inpaint) for task in listed):
        raise InputError("masks: expected no Inpaint in tasks beside them: leave one out")
    if masks is None and not listed:
        raise InputError("tasks: expected at least one, such as Denoise(), or masks=")

    n_samples = n_drawn(samples, has_uncertainty=uncertainty is not None)

    def request_of(mask: Path | None) -> Request:
        own = () if mask is None else (read_mask(mask),)
        return Request((*own, *listed), n_samples=n_samples, seed=seed, tile=tile, axes=axes)

    batch = Batch(
        (images,) if isinstance(images, str | Path) else tuple(images),
        Path(output),
        request_of,
        find_model(model),
        suffix=suffix,
        masks=None if masks is None else Path(masks),
        n_kept=samples or 0,
        uncertainty=None if uncertainty is None else Path(uncertainty),
        overwrite=overwrite,
        device=device,
    )
    return (yield from iter_batch(batch, drain(iter_plan(batch))))


def iter_batch(
    batch: Batch, jobs: Sequence[Job]
) -> Generator[BatchProgress, None, tuple[Job, ...]]:
    """Restore the waiting jobs one after the other; close it to cancel.

    Whatever stops it, the files that were written are complete.
    """
    ended = list(jobs)
    is_waiting = any(job.state is State.WAITING for job in jobs)
    shared = batch.request_of(None) if batch.masks is None and is_waiting else None
    progress = _measured(jobs)
    for number, job in enumerate(jobs):
        if job.state is State.WAITING:
            ended[number] = yield from _iter_job(batch, job, shared, partial(progress, number))
    return tuple(ended)


def _iter_job(
    batch: Batch, job: Job, request: Request | None, progress: Callable[..., BatchProgress]
) -> Generator[BatchProgress, None, Job]:
    """Restore one image, by a request of its own if there is none for all."""
    running, restored = replace(job, state=State.RUNNING), None
    yield progress(running, 0.0)
    try:
        for path in job.files.written:
            path.parent.mkdir(parents=True, exist_ok=True)
        steps = iter_restore_file(
            job.files,
            batch.request_of(job.mask) if request is None else request,
            batch.model,
            device=batch.device,
            overwrite=job.may_replace,
            shard=batch.shard,
            client=batch.client,
        )
        restored = yield from relayed(
            steps, lambda step: progress(running, step.done / step.total)
        )
        ended = replace(job, state=State.RESTORED)
    except Exception as error:  # of any type, on damaged files
        ended = replace(job, state=State.FAILED, reason=_reason(error))
    yield progress(ended, 1.0, restored)
    return ended


def _reason(error: Exception) -> str:
    """The reason of a failure, in one line."""
    if isinstance(error, VAERestoreError):
        text = str(error)
    elif is_out_of_memory(error):
        text = "the memory does not suffice"
    elif isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        text = f"{place}{why_not_written(error)}"
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _measured(jobs: Sequence[Job]) -> Callable[..., BatchProgress]:
    """A function of a job's share: progress by the sizes of all files, and the time left."""
    waiting = {n: job for n, job in enumerate(jobs) if job.state is State.WAITING}
    sizes = {number: _size(job.files.image) for number, job in waiting.items()}
    known = [size for size in sizes.values() if size]
    usual = sum(known) / len(known) if known else 1.0
    before, total = {}, 0.0
    for number, size in sizes.items():
        before[number] = total
        total += size or usual
    started = time.monotonic()

    def progress(
        number: int, job: Job, share: float, restored: RestoredFile | None = None
    ) -> BatchProgress:
        fraction = (before[number] + share * (sizes[number] or usual)) / total
        seconds = time.monotonic() - started
        left = seconds / fraction - seconds if fraction else None
        return BatchProgress(number, job, share, fraction, left, restored)

    return progress


def _size(image: Path) -> int:
    """Bytes of a file; 0 for a store, whose size is unknown."""
    try:
        return image.stat().st_size if image.is_file() else 0
    except OSError:
        return 0
