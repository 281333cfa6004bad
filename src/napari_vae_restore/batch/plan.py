"""Plan of a batch: the jobs, their outputs, and what prevents them.

Everything that can be known before the first pixel is computed is found out here:
names, collisions, masks, existing results. Nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from napari_vae_restore.batch.choices import ALWAYS, MISSING, NEVER, POLICIES
from napari_vae_restore.batch.file_job import TIFF, Files, is_made, sample_paths
from napari_vae_restore.batch.inputs import FoundImage, find_images, partners_of, split_name
from napari_vae_restore.batch.outputs import check_writable
from napari_vae_restore.errors import InputError
from napari_vae_restore.images.zarr_files import is_store
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.estimation.estimate import NoiseKind
from napari_vae_restore.noise.notation import parse_noise
from napari_vae_restore.restoration.recipes.replay import Request
from napari_vae_restore.restoration.tasks import Denoise

_MASK_ENDINGS = ("", "_mask", "-mask")  # of a mask's name behind that of its image
_NAMED = 3  # files that a message names


class State(Enum):
    """How far a job is; the value is what to call it."""

    WAITING = "waiting"
    RUNNING = "running"
    RESTORED = "restored"
    KEPT = "there already"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """One image of a batch."""

    files: Files
    mask: Path | None = None
    state: State = State.WAITING
    reason: str = ""  # why it failed
    may_replace: bool = False  # outputs exist that this batch made, or that may be replaced


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Images to restore alike, and where the results go."""

    images: Sequence[str | Path]  # as for `find_images`
    output: Path  # folder of the results; JPEG and BMP become PNG
    request_of: Callable[[Path | None], Request]  # given an image's own mask, if it has one
    model: Model
    suffix: str = ""  # of a result's name, before its ending
    masks: Path | None = None  # folder of masks, one for each image
    n_kept: int = 0  # samples that are written beside each result
    uncertainty: Path | None = None  # folder of standard deviations
    overwrite: str = NEVER  # or MISSING, or ALWAYS
    device: str = "auto"
    shard: bool = False  # how stores are written, as for `iter_restore_file`
    client: Any = None

    def __post_init__(self) -> None:
        if self.overwrite not in POLICIES:
            raise InputError(
                f"overwrite: expected one of {', '.join(POLICIES)}, got {self.overwrite!r}"
            )
        if Path(f"a{self.suffix}").name != f"a{self.suffix}":
            raise InputError(
                f"suffix: expected the end of a name, such as -denoised, got {self.suffix!r}"
            )


def iter_plan(batch: Batch) -> Generator[None, None, tuple[Job, ...]]:
    """Plan the job of each image: yields before each, since existing results are read.

    Images that are results or masks of others are left out; those without a mask have
    failed. InputError where nothing can be done, or a result would replace a file that it
    may not.
    """
    folders = [each for each in (batch.output, batch.uncertainty) if each is not None]
    for folder in folders:
        _check_folder(folder)
    without = [*folders, *([] if batch.masks is None else [batch.masks])]
    found = find_images(batch.images, without=without)
    every = {each: _job(batch, each) for each in found}
    results = {path.resolve() for job in every.values() for path in job.files.written}
    kept = {
        each: job
        for each, job in every.items()
        if (place := each.path.resolve()) not in results or place == job.files.mean.resolve()
    }
    jobs = [*kept.values()] if batch.masks is None else _with_masks(batch.masks, kept)
    _check_outputs(jobs)
    waiting = next((job for job in jobs if job.state is State.WAITING), None)
    request = None if waiting is None else _checked(batch.request_of(waiting.mask))
    planned, alien = [], []
    for job in jobs:
        yield
        settled = _settled(batch, job, request if batch.masks is None else None)
        planned.append(job if settled is None else settled)
        if settled is None:
            alien.append(job.files.mean)
    if alien:
        raise InputError(
            f"Expected new files, but {_some(alien)} were made otherwise or of other images: "
            "choose another folder, keep them (--overwrite missing) or replace them "
            "(--overwrite always)."
        )
    return tuple(planned)


def counted(jobs: Iterable[Job], *, waiting: str = "waiting") -> str:
    """Such as "2 restored, 1 failed, of 3 images"; `waiting` names those not done yet."""
    counts: Counter[State] = Counter(
        State.WAITING if j.state is State.RUNNING else j.state for j in jobs
    )
    words = {state: state.value for state in _IN_ORDER} | {State.WAITING: waiting}
    parts = [f"{counts[state]} {words[state]}" for state in _IN_ORDER if counts[state]]
    number = counts.total()
    return f"{', '.join(parts)}, of {number} image{'s' if number != 1 else ''}"


_IN_ORDER = (State.RESTORED, State.KEPT, State.WAITING, State.FAILED)


def _job(batch: Batch, found: FoundImage) -> Job:
    stem, ending = split_name(found.relative)
    if not is_store(found.path) and ending.lower() not in (*TIFF, ".ome.tif", ".ome.tiff"):
        # What is no TIFF is a picture, and PNG the format of pictures that loses nothing.
        ending = ".png"
    place = found.relative.parent / f"{stem}{batch.suffix}{ending}"
    mean, std = batch.output / place, None
    if batch.uncertainty is not None:
        std = batch.uncertainty / (place if ending != ".png" else place.with_suffix(".tif"))
    files = Files(found.path, mean, sample_paths(mean, batch.n_kept), std)
    return Job(files, may_replace=batch.overwrite == ALWAYS)


def _with_masks(folder: Path, jobs: Mapping[FoundImage, Job]) -> list[Job]:
    """Jobs with their masks, by name; those without a mask have failed."""
    if not folder.is_dir():
        raise InputError(f"Expected a folder of masks, but {folder} is none.")
    partners = partners_of([*jobs], folder, endings=_MASK_ENDINGS)
    matched = []
    for (each, job), mask in zip(jobs.items(), partners, strict=True):
        if mask is None:
            stem, _ = split_name(each.path)
            names = " or ".join(f"{stem}{ending}" for ending in _MASK_ENDINGS)
            reason = f"there is no mask {names} in {folder}"
            matched.append(replace(job, state=State.FAILED, reason=reason))
        else:
            matched.append(replace(job, mask=mask))
    used = {job.mask.resolve() for job in matched if job.mask is not None}
    if not used:
        raise InputError(
            f"Expected masks with the names of the images, but {matched[0].reason}, nor for "
            "any other image: rename them."
        )
    return [job for job in matched if job.files.image.resolve() not in used]


def _check_outputs(jobs: Iterable[Job]) -> None:
    """Raise InputError if a result would replace another, an image or a mask."""
    read = {path.resolve() for job in jobs for path in (job.files.image, job.mask) if path}
    makers: dict[Path, Path] = {}
    for job in jobs:
        for path in job.files.written:
            place = path.resolve()
            if place in read:
                raise InputError(
                    f"Expected results beside the images, but {path} would replace one: choose "
                    "another folder, or give a suffix."
                )
            if place in makers:
                raise InputError(
                    f"Expected results of different names, but {path} would be made of "
                    f"{makers[place]} and of {job.files.image}: restore them into different "
                    "folders."
                )
            makers[place] = job.files.image


def _checked(request: Request) -> Request:
    """The request, its noise parsed once: else every single file would fail for it."""
    for task in request.tasks:
        noise = task.noise if isinstance(task, Denoise) else None
        if isinstance(noise, str) and noise not in get_args(NoiseKind):
            parse_noise(noise)
    return request


def _settled(batch: Batch, job: Job, request: Request | None) -> Job | None:
    """The job in view of existing outputs; None if they may not be replaced."""
    there = [path for path in job.files.written if path.exists()]
    if not there or job.state is not State.WAITING or batch.overwrite == ALWAYS:
        return job
    if batch.overwrite == MISSING and job.files.mean in there:
        return replace(job, state=State.KEPT)
    if is_store(job.files.mean):
        return job  # a store records its own progress
    if request is None:
        request = batch.request_of(job.mask)
    if not all(is_made(path, job.files.image, request, batch.model) for path in there):
        return None
    is_whole = len(there) == len(job.files.written)
    return replace(job, state=State.KEPT) if is_whole else replace(job, may_replace=True)


def _check_folder(folder: Path) -> None:
    """Raise InputError unless a folder exists or can be made, and can be written to."""
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"Expected a folder for several results, but {folder} is a file: name a folder."
        )
    if is_store(folder) or (folder.suffix.lower() in (*TIFF, ".png") and not folder.exists()):
        raise InputError(
            f"Expected a folder for several results, but {folder} is the name of one image: "
            "name a folder."
        )
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    check_writable(there, "the results")


def _some(paths: Sequence[Path]) -> str:
    """The first of many files, and the number of the rest."""
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(map(str, paths[:_NAMED])) + more
