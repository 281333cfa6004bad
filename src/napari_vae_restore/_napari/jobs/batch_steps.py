"""Many files as a worker runs them: a generator of messages over the core's batch.

No Qt here; torch and the model come in when a generator runs, in the worker's thread.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vae_restore._napari.jobs.restoration_steps import loaded
from napari_vae_restore._napari.layers.files import Opened, open_file
from napari_vae_restore._napari.messages import Stopwatch, Update
from napari_vae_restore.batch.choices import NEVER
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from napari_vae_restore.batch.plan import Batch, Job
    from napari_vae_restore.batch.run import BatchProgress
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.restoration.recipes.replay import Request

_UPDATE_SECONDS = 0.2
_SEPARATOR = ";"
_FOR_ALL = ("tasks", "model", "model_sha256", "seed", "tile")
"""What a recipe tells of every image; the rest is about the one that it was made of."""


@dataclass(frozen=True, slots=True)
class What:
    """What is to be done with every file.

    Attributes
    ----------
    title : str
        What to call it.
    recipe : mapping
        As :meth:`~napari_vae_restore.Recipe.to_dict` gives it; the tasks are enough.
    folder : Path or None
        From where a mask that the recipe names is looked for; None if it names no file.
    """

    title: str
    recipe: Mapping[str, Any] = field(hash=False)
    folder: Path | None = None

    @property
    def fills(self) -> bool:
        """Whether it fills holes, which only a mask can tell."""
        return any(task.get("kind") == "inpaint" for task in self.recipe["tasks"])

    @property
    def only_denoises(self) -> bool:
        """Whether a model that was trained on noisy images will do."""
        return all(task.get("kind") == "denoise" for task in self.recipe["tasks"])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A batch as a user chose it.

    Attributes
    ----------
    images : str
        Files, folders and globs, separated by semicolons.
    output : str
        Folder of the results.
    what : What
        What to do.
    masks : str
        Folder of masks, or one mask for all; empty for none.
    axes : str
        Of all images; empty where each file says its own.
    suffix, overwrite, device : str
        As for :class:`~napari_vae_restore.batch.plan.Batch`.
    """

    images: str
    output: str
    what: What
    masks: str = ""
    axes: str = ""
    suffix: str = ""
    overwrite: str = NEVER
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done with each image."""

    jobs: tuple[Job, ...]


def paths_of(text: str) -> tuple[Path, ...]:
    """The paths in a field, which semicolons separate."""
    parts = (part.strip() for part in text.split(_SEPARATOR))
    return tuple(Path(part).expanduser() for part in parts if part)


def text_of(paths: list[str]) -> str:
    """Paths as one text; :func:`paths_of` reads it."""
    return f"{_SEPARATOR} ".join(paths)


def proposed_output(images: str) -> str:
    """Where the results of images might go: a folder beside theirs.

    Examples
    --------
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


def recipe_steps(path: Path) -> Generator[Update, None, What]:
    """Read what to do from a recipe file, or from a result that holds its recipe.

    Parameters
    ----------
    path : Path
        As for :func:`~napari_vae_restore.restoration.recipes.replay.read_recipe`.

    Yields
    ------
    Update
        Once.

    Returns
    -------
    What
        Named by the file.

    Raises
    ------
    InputError
        If it is none.
    ImageFileError
        If it is an image that cannot be read.
    """
    yield Update(f"Opening {path.name}…")
    from napari_vae_restore.restoration.recipes.replay import recipe_values

    values = recipe_values(path)
    tasks = values.get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise InputError(f"{path}: expected a recipe with a list of tasks, got {tasks!r:.40}")
    return What(path.name, values, path.parent)


def plan_steps(
    wanted: Wanted, model: Model | str
) -> Generator[Update | Planned | None, None, tuple[Job, ...]]:
    """Find out what would be done, and do nothing.

    Parameters
    ----------
    wanted : Wanted
        What a user chose.
    model : Model or str
        As for :func:`~napari_vae_restore.restore`.

    Yields
    ------
    Update, Planned or None
        The plan at the end; None where there is nothing to say.

    Returns
    -------
    tuple of Job
        One for each image.

    Raises
    ------
    InputError, ImageFileError, ModelFileError
        As :func:`~napari_vae_restore.batch.plan.iter_plan`.
    """
    _, jobs = yield from _planned(wanted, model)
    return jobs


def batch_steps(
    wanted: Wanted, model: Model | str
) -> Generator[Update | Planned | BatchProgress | None, None, tuple[Job, ...]]:
    """Restore all files, past those that cannot be restored.

    Parameters
    ----------
    wanted, model
        As for :func:`plan_steps`.

    Yields
    ------
    Update, Planned, BatchProgress or None
        The plan, then what happens to each file; None where there is nothing to say.

    Returns
    -------
    tuple of Job
        One for each image, none of them waiting.

    Raises
    ------
    InputError, ImageFileError, ModelFileError
        As :func:`plan_steps`; nothing was computed.
    """
    batch, jobs = yield from _planned(wanted, model)
    from napari_vae_restore.batch.plan import State
    from napari_vae_restore.batch.run import iter_batch

    watch = Stopwatch(_UPDATE_SECONDS)
    with closing(iter_batch(batch, jobs)) as steps:
        while True:
            try:
                progress = next(steps)
            except StopIteration as stop:
                ended: tuple[Job, ...] = stop.value
                return ended
            # The pictures themselves stay here.
            told = replace(progress, restored=None)
            begins = progress.share == 0.0 or progress.job.state is not State.RUNNING
            yield told if begins or watch.is_due() else None


def open_steps(job: Job) -> Generator[Update, None, tuple[Opened, Opened]]:
    """Read an image and its result, to be looked at.

    Parameters
    ----------
    job : Job
        One that is restored.

    Yields
    ------
    Update
        Once.

    Returns
    -------
    tuple of Opened
        The image, then the result.

    Raises
    ------
    ImageFileError
        If one of them cannot be read.
    """
    yield Update(f"Opening {job.files.image.name}…")
    image, result = open_file(job.files.image), open_file(job.files.mean)
    result.options["name"] = f"{image.options['name']} restored"
    return image, result


def _planned(
    wanted: Wanted, model: Model | str
) -> Generator[Update | Planned | None, None, tuple[Batch, tuple[Job, ...]]]:
    placed = yield from loaded(model)
    yield Update("Looking at what is there…")
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
    steps = iter_plan(batch)
    while True:
        try:
            yield next(steps)
        except StopIteration as stop:
            jobs: tuple[Job, ...] = stop.value
            yield Planned(jobs)
            return batch, jobs


def _request(wanted: Wanted, mask: Path | None) -> Request:
    """What is to be done with one image; samples are for looking at, one by one."""
    from napari_vae_restore.restoration.recipes.replay import request_of

    what = wanted.what
    values = {key: value for key, value in what.recipe.items() if key in _FOR_ALL}
    request = request_of(values, what.folder or "", mask=mask if what.fills else None)
    return replace(request, axes=wanted.axes or None)
