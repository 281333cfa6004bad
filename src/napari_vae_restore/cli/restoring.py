"""What every command that restores an image does: check, read, run, write and report."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_vae_restore.arrays import as_image
from napari_vae_restore.cli import outputs, reports, runs, storing, terminal
from napari_vae_restore.cli.options import SAMPLES, Restoring
from napari_vae_restore.errors import InputError
from napari_vae_restore.image_files import ImageFile, write_image
from napari_vae_restore.image_metadata import refined
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.recipes import Request
from napari_vae_restore.restoration.restore import iter_restore
from napari_vae_restore.restoration.result import Restoration
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, SuperResolve, Task
from napari_vae_restore.scale.ome_zarr import is_store

_TIFF = (".tif", ".tiff")


def restore_file(given: Restoring, request: Request, *, inputs: Sequence[Path] = ()) -> None:
    """Restore an image file, write what was asked for, and say what was done.

    Parameters
    ----------
    given : Restoring
        The options; they outweigh the request.
    request : Request
        What is to be done.
    inputs : sequence of Path
        Further files that were read, and so must not be written to.

    Raises
    ------
    InputError
        For anything that is wrong with paths, options or the image; nothing was written.
    ImageFileError, ModelFileError, RestorationError
        As :func:`~napari_vae_restore.restore` and the functions for files.
    """
    n_samples = _n_samples(given, request)
    files = _Files.of(given)
    if is_store(given.output):
        storing.check_paths(files.all, [*_inputs(given), *inputs])
        _store(given, request, n_samples, files)
        return
    storing.check_for_files(given)
    files.check_paths([*_inputs(given), *inputs], overwrite=given.overwrite)
    opened = storing.open_source(given.image)
    source = opened if isinstance(opened, ImageFile) else opened.read()
    fills = any(isinstance(task, Inpaint) for task in request.tasks)
    axes = given.axes or request.axes or source.axes
    _, axes = as_image(source.data, axes, may_have_holes=fills)
    files.check_formats(source, axes)
    model, tasks = _chosen(given, request)
    if any(isinstance(task, Inpaint) and not task.mask.any() for task in tasks):
        terminal.complain("warning", "the mask is 0 everywhere: there is nothing to fill")
    steps = iter_restore(
        source.data,
        tasks,
        model,
        axes=axes,
        n_samples=n_samples,
        keep_samples=bool(files.samples),
        tile=request.tile if given.tile is None else given.tile,
        seed=request.seed if given.seed is None else given.seed,
        device=given.device,
    )
    result = runs.run_restoration(steps, reports.title(tasks))
    factor = math.prod(task.factor for task in tasks if isinstance(task, SuperResolve))
    files.write(result, axes, refined(source, factor), overwrite=given.overwrite)
    where = f"{result.diagnostics.seconds:.1f} s on {result.diagnostics.device}"
    terminal.report(
        [
            ("Image", f"{axes} {reports.describe_size(source)}, {where}"),
            ("Model", model.name),
            *(row for task in tasks for row in reports.describe_task(task, source, axes)),
            *reports.describe_diagnostics(result.diagnostics),
            ("Saved", ", ".join(map(str, files.all))),
        ]
    )


def _store(given: Restoring, request: Request, n_samples: int, files: _Files) -> None:
    model, tasks = _chosen(given, request)
    storing.store_file(given, request, model, tasks, n_samples, files.samples)


def _chosen(given: Restoring, request: Request) -> tuple[Model, list[Task]]:
    """Model and tasks of a request, what departs from it said."""
    model = _model(given, request)
    for departure in request.departures(model):
        terminal.complain("warning", departure)
    return model, [_named_from(given.output.parent, task) for task in request.tasks]


def denoising_too(noise: str | None) -> tuple[Denoise, ...]:
    """The removal of noise as a second task, where an option asks for it."""
    return () if noise is None else (Denoise(noise),)


@dataclass(frozen=True, slots=True)
class _Files:
    """What is to be written."""

    mean: Path
    samples: tuple[Path, ...]
    std: Path | None

    @classmethod
    def of(cls, given: Restoring) -> _Files:
        numbers = range(1, (given.samples or 0) + 1)
        samples = tuple(_sample_path(given.output, number) for number in numbers)
        return cls(given.output, samples, given.uncertainty)

    @property
    def all(self) -> tuple[Path, ...]:
        return (self.mean, *self.samples, *([] if self.std is None else [self.std]))

    def check_paths(self, inputs: Sequence[Path], *, overwrite: bool) -> None:
        for path in self.all:
            suffixes = _TIFF if path is self.std else (*_TIFF, ".png")
            outputs.check_path(path, suffixes, inputs, overwrite=overwrite)
        if self.std is not None:
            for path in (self.mean, *self.samples):
                outputs.check_different(path, self.std)

    def check_formats(self, source: ImageFile, axes: str) -> None:
        outputs.check_format(self.mean, source, axes, source.data.dtype)
        if self.std is not None:
            outputs.check_format(self.std, source, axes, "float32")

    def write(
        self, result: Restoration, axes: str, like: ImageFile, *, overwrite: bool
    ) -> None:
        samples = () if result.samples is None else result.samples
        arrays = [result.mean, *samples]
        if result.std is not None and self.std is not None:
            arrays.append(result.std)
        for path, array in zip(self.all, arrays, strict=True):
            # The recipe is ASCII, so that no name in it can hold what a file cannot.
            write_image(
                path,
                array,
                axes,
                like=like,
                description=result.recipe.to_json(),
                overwrite=overwrite,
            )


def _sample_path(output: Path, number: int) -> Path:
    """out.ome.tif becomes out.sample-1.ome.tif."""
    suffix = output.suffix
    if Path(output.stem).suffix.lower() == ".ome":
        suffix = Path(output.stem).suffix + suffix
    return output.with_name(f"{output.name.removesuffix(suffix)}.sample-{number}{suffix}")


def _n_samples(given: Restoring, request: Request) -> int:
    """Samples to draw: none that nobody would see."""
    if given.uncertainty is None:
        return given.samples or 0
    enough = request.n_samples if request.n_samples >= _FEWEST else SAMPLES
    n_samples = enough if given.samples is None else given.samples
    if n_samples < _FEWEST:
        raise InputError(
            f"Expected at least {_FEWEST} samples for --uncertainty, but {n_samples} came: "
            "raise --samples or leave it out."
        )
    return n_samples


_FEWEST = 2
"""Samples that have a spread."""


def _inputs(given: Restoring) -> list[Path]:
    model = [] if given.model in (None, DEFAULT) else [Path(str(given.model))]
    return [given.image, *model]


def _model(given: Restoring, request: Request) -> Model:
    if given.model is None and request.model != DEFAULT:
        raise InputError(
            f"The recipe was made with the model {request.model!r}, whose file it does not "
            "hold: give it, --model FILE."
        )
    return find_model(given.model or DEFAULT)


def _named_from(folder: Path, task: Task) -> Task:
    """The task, its mask named by the way to it from the output, which both can move along."""
    if not isinstance(task, Inpaint):
        return task
    try:
        name = Path(os.path.relpath(task.name, folder))
    except ValueError:  # another drive of Windows
        name = Path(task.name).resolve()
    return replace(task, name=name.as_posix())
