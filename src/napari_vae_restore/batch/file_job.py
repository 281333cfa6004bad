"""One image file restored: read, checked, computed, written, and recognised again.

The command line, the window and :func:`~.run.restore_files` drain the same generator
for each file. Knows neither terminals nor windows.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_vae_restore.batch import outputs
from napari_vae_restore.batch.inputs import split_name
from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.images.arrays import guess_axes
from napari_vae_restore.images.image_files import read_image, write_image
from napari_vae_restore.images.image_metadata import ImageFile, refined
from napari_vae_restore.images.zarr_files import is_store, open_store
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.recipes.replay import REMARKS, Request
from napari_vae_restore.restoration.restore import RestoreProgress, iter_restore
from napari_vae_restore.restoration.result import Diagnostics, Recipe, Restoration
from napari_vae_restore.restoration.tasks import Inpaint, SuperResolve, Task, image_for
from napari_vae_restore.restoration.trust.invented import note_on
from napari_vae_restore.stores.restore import iter_restore_store

_log = logging.getLogger(__name__)

TIFF = (".tif", ".tiff")  # endings of files that hold any image

# Recipe keys that are ignored when two recipes are compared.
_FREE = ("noise", "model", "tile", "package_version", *REMARKS)


@dataclass(frozen=True, slots=True)
class Files:
    """An image and its outputs."""

    image: Path
    mean: Path  # TIFF, PNG or store
    samples: tuple[Path, ...] = ()  # likewise
    std: Path | None = None  # TIFF or store

    @property
    def written(self) -> tuple[Path, ...]:
        """All outputs; the mean is written last, so where it exists, all exist."""
        return (*([] if self.std is None else [self.std]), *self.samples, self.mean)

    def check(self, inputs: Sequence[Path], *, overwrite: bool) -> None:
        """Raise InputError for an output that cannot be written or would replace an input."""
        if is_store(self.mean):
            outputs.check_stores(self.written, inputs)
            return
        for path in (self.mean, *self.samples):
            outputs.check_path(path, (*TIFF, ".png"), inputs, overwrite=overwrite)
        if self.std is not None:
            outputs.check_path(self.std, TIFF, inputs, overwrite=overwrite)
            if self.std.resolve() in [path.resolve() for path in (self.mean, *self.samples)]:
                raise InputError(
                    f"Expected two output files, but {self.std} came twice: rename one."
                )


@dataclass(frozen=True, slots=True)
class RestoredFile:
    """A file that was restored."""

    files: Files
    source: ImageFile
    axes: str
    tasks: tuple[Task, ...]
    diagnostics: Diagnostics | None  # None for a store that existed before


def sample_paths(output: Path, n_samples: int) -> tuple[Path, ...]:
    """Beside out.ome.tif, out.sample-1.ome.tif and so on."""
    stem, endings = split_name(output)
    names = (f"{stem}.sample-{number}{endings}" for number in range(1, n_samples + 1))
    return tuple(map(output.with_name, names))


def iter_restore_file(
    files: Files,
    request: Request,
    model: Model,
    *,
    device: str,
    overwrite: bool,
    shard: bool = False,
    client: Any = None,
) -> Generator[RestoreProgress, None, RestoredFile]:
    """Restore a file; folders of the outputs exist. Yields progress; close it to cancel.

    Every output is written entirely or not at all, the mean after all others. Of stores,
    `shard` puts all chunks of a block into one file, and `client` is the dask client, or the
    address of the scheduler, whose workers compute; None for this process.
    """
    tasks = tuple(_named_from(files.mean.parent, task) for task in request.tasks)
    if is_store(files.mean):
        storing = {"device": device, "overwrite": overwrite, "shard": shard, "client": client}
        return (yield from _iter_store(files, replace(request, tasks=tasks), model, **storing))
    image = files.image
    source = open_store(image).read() if is_store(image) else read_image(image)
    digest = _digest(image)  # of what was read: the file may change, or go, meanwhile
    axes = request.axes or source.axes
    _, axes = image_for(source.data, axes, tasks)
    outputs.check_format(files.mean, source, axes, source.data.dtype)
    if files.std is not None:
        outputs.check_format(files.std, source, axes, "float32")
    if any(isinstance(task, Inpaint) and not task.mask.any() for task in tasks):
        _log.warning("the mask is 0 everywhere: there is nothing to fill")
    restoration = yield from iter_restore(
        source.data,
        tasks,
        model,
        axes=axes,
        n_samples=request.n_samples,
        keep_samples=bool(files.samples),
        tile=request.tile,
        seed=request.seed,
        device=device,
    )
    recipe = replace(restoration.recipe, image_sha256=digest)
    restoration = replace(restoration, recipe=recipe)
    factor = math.prod(task.factor for task in tasks if isinstance(task, SuperResolve))
    _write(files, restoration, axes, refined(source, factor), overwrite=overwrite)
    return RestoredFile(files, source, axes, tasks, restoration.diagnostics)


def _iter_store(
    files: Files, request: Request, model: Model, **storing: Any
) -> Generator[RestoreProgress, None, RestoredFile]:
    """Restore into stores, block by block; a store records its own progress."""
    if is_store(files.image):
        opened = open_store(files.image)
        axes = opened.axes or guess_axes(opened.array.shape, opened.array.dtype)
        source = ImageFile(
            opened.array, axes, opened.scale, opened.units, "ome-tiff", opened.channel_names
        )
    else:
        source = read_image(files.image)
    axes = request.axes or source.axes
    stored = yield from iter_restore_store(
        files.image if is_store(files.image) else source.data,
        files.mean,
        request.tasks,
        model,
        axes=axes,
        n_samples=request.n_samples,
        uncertainty=files.std,
        sample_paths=files.samples,
        tile=request.tile,
        seed=request.seed,
        like=source,
        **storing,
    )
    return RestoredFile(files, source, axes, request.tasks, stored.diagnostics)


def is_made(path: Path, image: Path, request: Request, model: Model) -> bool:
    """Whether a file is what a request makes of an image, by the recipe in it.

    The hash of the image, tasks, model, axes, seed and samples have to agree; of a mask,
    its hash.
    """
    try:
        found = json.loads(read_image(path).description)
        if not isinstance(found, dict) or found.get("image_sha256") != _digest(image):
            return False
        axes = request.axes or read_image(image).axes
    except (ValueError, OSError, RecursionError, ImageFileError):
        return False
    wanted = {
        "tasks": [task.to_dict() for task in request.tasks],
        "model_sha256": model.sha256,
        "axes": axes.upper(),
        "n_samples": request.n_samples,
        "seed": request.seed,
        "image_sha256": found["image_sha256"],
    }
    return _decisive(found) == _decisive(json.loads(json.dumps(wanted)))


def _decisive(recipe: dict[str, Any]) -> dict[str, Any]:
    """What decides of a recipe: two that agree in it make the same result."""
    listed = recipe.get("tasks")
    tasks = [
        {key: value for key, value in task.items() if key != "mask"}
        for task in (listed if isinstance(listed, list) else [])
    ]
    values = {key: value for key, value in recipe.items() if key not in _FREE}
    return values | {"tasks": tasks}


def _write(
    files: Files, result: Restoration, axes: str, like: ImageFile, *, overwrite: bool
) -> None:
    samples = () if result.samples is None else result.samples
    std = [] if files.std is None or result.std is None else [result.std]
    kinds = [*("std" for _ in std), *("sample" for _ in samples), "mean"]
    arrays = [*std, *samples, result.mean]
    for path, kind, array in zip(files.written, kinds, arrays, strict=True):
        # The recipe is ASCII, so that no name in it can hold what a file cannot.
        write_image(
            path,
            array,
            axes,
            like=like,
            description=json.dumps(_about(result.recipe, kind)),
            overwrite=overwrite,
        )


def _about(recipe: Recipe, kind: str) -> dict[str, Any]:
    """The description in a file: the recipe, and a note on what in it was not measured."""
    more = {} if kind == "mean" else {"is": kind}
    if note := note_on(recipe.tasks, kind):
        more["note"] = note
    return recipe.to_dict() | more


def _digest(image: Path) -> str:
    """SHA-256 of a file; empty for a store, which is a folder."""
    if image.is_dir():
        return ""
    with image.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _named_from(folder: Path, task: Task) -> Task:
    """The task, its mask named relative to the output, so that both can move together."""
    if not isinstance(task, Inpaint):
        return task
    try:
        name = Path(os.path.relpath(task.name, folder))
    except ValueError:  # another drive of Windows
        name = Path(task.name).resolve()
    return replace(task, name=name.as_posix())
