"""Restoring many files in a worker; torch is imported when a generator runs, in its thread.

No Qt here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vae_restore._napari.jobs.restoration_steps import loaded
from napari_vae_restore._napari.layers.files import OpenedFile, open_file
from napari_vae_restore._napari.messages import Stopwatch, Update
from napari_vae_restore.batch.choices import NEVER
from napari_vae_restore.errors import InputError
from napari_vae_restore.generators import relayed

if TYPE_CHECKING:
    from napari_vae_restore.batch.plan import Batch, Job
    from napari_vae_restore.batch.run import BatchProgress
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.restoration.recipes.replay import Request

_SEPARATOR = ";"
# The keys of a recipe that hold for every image; others describe the one it was made of.
_FOR_ALL = ("tasks", "model", "model_sha256", "seed", "tile")


@dataclass(frozen=True, slots=True)
class BatchTask:
    """A task for every file, as a recipe of which the tasks are enough."""

    title: str
    recipe: Mapping[str, Any] = field(hash=False)  # as Recipe.to_dict gives it
    folder: Path | None = None  # in which a mask named by the recipe is looked for

    @property
    def fills(self) -> bool:
        """Whether it fills holes, which need a mask."""
        return any(task.get("kind") == "inpaint" for task in self.recipe["tasks"])

    @property
    def only_denoises(self) -> bool:
        """Whether a model that was trained on noisy images is enough."""
        return all(task.get("kind") == "denoise" for task in self.recipe["tasks"])


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A batch as a user chose it; see :class:`~napari_vae_restore.batch.plan.Batch`."""

    images: str  # files, folders and globs, separated by semicolons
    output: str  # folder of the results
    what: BatchTask
    masks: str = ""  # folder of masks, or one mask for all; empty for none
    axes: str = ""  # of all images; empty where each file says its own
    suffix: str = ""
    overwrite: str = NEVER
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class BatchPlanned:
    """The plan: a job for each image."""

    jobs: tuple[Job, ...]


def paths_of(text: str) -> tuple[Path, ...]:
    parts = (part.strip() for part in text.split(_SEPARATOR))
    return tuple(Path(part).expanduser() for part in parts if part)


def text_of(paths: list[str]) -> str:
    """Paths as one text that :func:`paths_of` reads."""
    return f"{_SEPARATOR} ".join(paths)


def proposed_output(images: str) -> str:
    """A folder for results, beside that of the images.

    >>> proposed_output("data/day1")
    'data/day1-restored'
    """
    paths = paths_of(images)
    if not paths:
        return ""
    named = (p for p in (paths[0], *paths[0].parents) if p.is_dir() and p.name)
    fixed = next(named, paths[0])
    is_store = fixed.suffix.lower() == ".zarr"
    folder = fixed.parent if is_store else fixed
    return str(folder.with_name(f"{folder.name}-restored")) if folder.name else ""


def recipe_steps(path: Path) -> Generator[Update, None, BatchTask]:
    """Read the task from a recipe file, or from a result that holds its recipe."""
    yield Update(f"Opening {path.name}…")
    from napari_vae_restore.restoration.recipes.replay import recipe_values

    values = recipe_values(path)
    tasks = values.get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise InputError(f"{path}: expected a recipe with a list of tasks, got {tasks!r:.40}")
    return BatchTask(path.name, values, path.parent)


def plan_steps(
    wanted: BatchRequest, model: Model | str
) -> Generator[Update | BatchPlanned | None, None, tuple[Job, ...]]:
    """Plan a batch without restoring anything; one job for each image."""
    _, jobs = yield from _planned(wanted, model)
    return jobs


def batch_steps(
    wanted: BatchRequest, model: Model | str
) -> Generator[Update | BatchPlanned | BatchProgress | None, None, tuple[Job, ...]]:
    """Restore all files: the plan, then progress; a file that fails does not stop the rest."""
    batch, jobs = yield from _planned(wanted, model)
    from napari_vae_restore.batch.plan import State
    from napari_vae_restore.batch.run import iter_batch

    watch = Stopwatch()

    def message(progress: BatchProgress) -> BatchProgress | None:
        begins = progress.share == 0.0 or progress.job.state is not State.RUNNING
        # The pictures themselves stay in this thread.
        return replace(progress, restored=None) if begins or watch.is_due() else None

    return (yield from relayed(iter_batch(batch, jobs), message))


def open_steps(job: Job) -> Generator[Update, None, tuple[OpenedFile, OpenedFile]]:
    """Read the image and the result of a job, to be shown."""
    yield Update(f"Opening {job.files.image.name}…")
    image, result = open_file(job.files.image), open_file(job.files.mean)
    result.options["name"] = f"{image.options['name']} restored"
    return image, result


def _planned(
    wanted: BatchRequest, model: Model | str
) -> Generator[Update | BatchPlanned | None, None, tuple[Batch, tuple[Job, ...]]]:
    placed = yield from loaded(model)
    yield Update("Looking at the files…")
    from napari_vae_restore.batch.plan import Batch, iter_plan

    masks = Path(wanted.masks).expanduser() if wanted.masks else None
    has_folder = masks is not None and masks.is_dir()
    batch = Batch(
        paths_of(wanted.images),
        Path(wanted.output).expanduser(),
        lambda own: _request(wanted, own or masks),
        placed,
        suffix=wanted.suffix,
        masks=masks if has_folder else None,
        overwrite=wanted.overwrite,
        device=wanted.device,
    )
    jobs = yield from iter_plan(batch)
    yield BatchPlanned(jobs)
    return batch, jobs


def _request(wanted: BatchRequest, mask: Path | None) -> Request:
    """The request for one image, without samples, which a batch does not show."""
    from napari_vae_restore.restoration.recipes.replay import request_of

    what = wanted.what
    values = {key: value for key, value in what.recipe.items() if key in _FOR_ALL}
    request = request_of(values, what.folder or "", mask=mask if what.fills else None)
    return replace(request, axes=wanted.axes or None)
