"""One way through: image and task in, restoration out, the same numbers everywhere.

:func:`restore` and the functions for one task drain the generator behind :func:`iter_restore`,
as do the command line and napari's worker. For lazy arrays, see :mod:`~.blocks.lazy`.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.generators import drain
from napari_vae_restore.images.arrays import MAX_INTENSITY, is_lazy_image, is_usable
from napari_vae_restore.images.layout import Layout, cast
from napari_vae_restore.images.lazy_arrays import is_labelled
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.blocks.lazy import restore_lazily
from napari_vae_restore.restoration.blocks.measuring import measure_noise
from napari_vae_restore.restoration.blocks.plan import make_plan, noisy_holes
from napari_vae_restore.restoration.blocks.recipe import diagnostics_of, recipe_of
from napari_vae_restore.restoration.blocks.result_buffer import ResultBuffer
from napari_vae_restore.restoration.blocks.solver import Solver
from napari_vae_restore.restoration.labelled import labelled
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.result import Restoration
from napari_vae_restore.restoration.tasks import (
    Denoise,
    Inpaint,
    SuperResolve,
    Task,
    image_for,
)
from napari_vae_restore.restoration.trust.warnings import image_warnings


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """How far a restoration is: `done` of `total` passes through the decoder."""

    done: int
    total: int


def restore(  # noqa: PLR0913 - its options are the user's
    image: Any,
    tasks: Task | Sequence[Task],
    model: Model | str | Path = DEFAULT,
    *,
    axes: str | None = None,
    n_samples: int = 0,
    keep_samples: bool = False,
    tile: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Restoration:
    """Restore an image.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        Any real dtype but bool, any axes; finite. Of a dask or zarr array the result is
        lazy, and the blocks that are looked at are computed.
    tasks : Task or sequence of Task
        What to undo: ``Denoise()``, ``Inpaint(mask)``, ``SuperResolve(factor)``, or
        several of them at once, one of each kind. Without ``Denoise`` the image is taken
        as free of noise, and the result agrees with it exactly.
    model : Model, str or Path
        "default" for the bundled model, a model file, or a trained model.
    axes : str, optional
        One letter per dimension, such as "TZCYX" or "YXS"; read or guessed by default.
        Channels (C, S) with a one-channel model, and all other axes always, are
        restored plane by plane.
    n_samples : int
        Samples from the posterior; two or more give `std`. The encoder runs once for
        all of them.
    keep_samples : bool
        Whether the samples themselves are returned.
    tile : int, optional
        Side of the tiles in pixels; by default 2304, or less where memory is short. It
        changes memory and time, not the result: latent noise is keyed to position, and
        each tile reads the surroundings it depends on.
    seed : int
        The same seed gives the same samples. Global random state is untouched.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    Restoration
        Mean, uncertainty, samples, recipe and diagnostics. Arrays are numpy's, dask's for
        lazy images, and xarray's, with dimensions and coordinates, for xarray's.

    Raises
    ------
    InputError
        For an unusable image or parameter; nothing was computed.
    ImageFileError
        If a part of a lazy image cannot be read.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the computation fails, for example for lack of memory.
    """
    options = Options(
        axes=axes,
        n_samples=n_samples,
        keep_samples=keep_samples,
        tile=tile,
        seed=seed,
        device=device,
    )
    if is_lazy_image(image):
        result = restore_lazily(image, tasks, find_model(model), options)
    else:
        result = drain(_steps(image, tasks, model, options))
    return _labelled(result, image) if is_labelled(image) else result


def denoise(
    image: Any,
    model: Model | str | Path = DEFAULT,
    *,
    noise: NoiseModel | str | None = None,
    **options: Any,
) -> Restoration:
    """Denoise an image: :func:`restore` with ``Denoise(noise)``.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        As for :func:`restore`.
    model : Model, str or Path
        As for :func:`restore`.
    noise : NoiseModel or str, optional
        As for :class:`~.tasks.Denoise`.
    **options
        The keyword parameters of :func:`restore`.

    Returns
    -------
    Restoration
        As :func:`restore`.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`restore`.
    """
    return restore(image, Denoise(noise), model, **options)


def inpaint(
    image: Any,
    mask: Any,
    model: Model | str | Path = DEFAULT,
    *,
    fill: str = "mean",
    **options: Any,
) -> Restoration:
    """Fill the missing pixels of a noise-free image; all others stay bit-identical.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        As for :func:`restore`.
    mask : array-like
        True where a pixel is missing; as for :class:`~.tasks.Inpaint`.
    model : Model, str or Path
        As for :func:`restore`.
    fill : {"mean", "sample"}
        As for :class:`~.tasks.Inpaint`.
    **options
        The keyword parameters of :func:`restore`.

    Returns
    -------
    Restoration
        As :func:`restore`. A mask that covers nothing gives the image itself.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`restore`.
    """
    return restore(image, Inpaint(mask, fill=fill), model, **options)


def super_resolve(
    image: Any,
    factor: int,
    model: Model | str | Path = DEFAULT,
    *,
    kernel: str = "bicubic",
    **options: Any,
) -> Restoration:
    """Enlarge a noise-free image, consistently with what its pixels measured.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        As for :func:`restore`.
    factor : int
        2, 3 or 4 along Y and X.
    model : Model, str or Path
        As for :func:`restore`.
    kernel : str
        As for :class:`~.tasks.SuperResolve`.
    **options
        The keyword parameters of :func:`restore`.

    Returns
    -------
    Restoration
        As :func:`restore`, Y and X `factor` times as long.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`restore`.
    """
    return restore(image, SuperResolve(factor, kernel), model, **options)


def iter_restore(
    image: Any,
    tasks: Task | Sequence[Task],
    model: Model | str | Path = DEFAULT,
    **options: Any,
) -> Generator[RestoreProgress, None, Restoration]:
    """Restore step by step: yields progress, returns the result; close it to cancel.

    The input is checked at the first step.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        As for :func:`restore`, but in memory.
    tasks : Task or sequence of Task
        As for :func:`restore`.
    model : Model, str or Path
        As for :func:`restore`.
    **options
        The keyword parameters of :func:`restore`.

    Yields
    ------
    RestoreProgress
        After each pass through the decoder.

    Returns
    -------
    Restoration
        As :func:`restore`.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`restore`.
    """
    return (yield from _steps(image, tasks, model, Options(**options)))


def _steps(
    image: Any, tasks: Task | Sequence[Task], model: Model | str | Path, options: Options
) -> Generator[RestoreProgress, None, Restoration]:
    """The walk of an image; `Solver.solve_block` has the stages of each block."""
    started = time.monotonic()
    array, axes = image_for(image, options.axes, tasks)
    layout = Layout.of(array, axes)
    problem = Problem.of(tasks, layout)
    planes, missing = layout.to_planes(array), problem.missing
    _check_observed(planes, problem)
    network = find_model(model)
    found = measure_noise(planes, problem, network)
    plan = make_plan(layout, problem, network, found, options)
    solver, buffer = Solver(plan), ResultBuffer(plan)
    yield RestoreProgress(0, solver.n_passes)
    for n_done, _ in enumerate(solver.solve_all(buffer, planes, missing), start=1):
        yield RestoreProgress(n_done, solver.n_passes)
    is_denoised, score = problem.denoising is not None, solver.ood_score
    seen = _without_holes(planes, missing, buffer)
    diagnostics = diagnostics_of(
        plan,
        solver.tally,
        repeated=solver.repeated,
        seconds=time.monotonic() - started,
        device=solver.device,
        notes=tuple(solver.notes),
        warnings=image_warnings(
            *seen, layout, plan.noise, is_denoised=is_denoised, ood_score=score
        ),
        ood_score=score,
    )
    return Restoration(
        *buffer.finish(layout, array),
        recipe_of(plan, problem),
        diagnostics,
        plan.error_calibration,
        noisy_holes(plan, missing),
    )


def _without_holes(
    planes: NDArray[Any], missing: Any, buffer: ResultBuffer
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Image and mean in which warnings are looked for.

    The fill stands in for what a mask covers, and a value that occurs for what nothing
    measured; saturated pixels stay, since there is a warning about them.
    """
    mean, factor = buffer.mean, buffer.mean.shape[-1] // planes.shape[-1]
    if missing is not None:
        fill = cast(mean[..., ::factor, ::factor], planes.dtype)
        planes = np.where(missing, fill, planes)
    unmeasured = buffer.unmeasured
    if unmeasured is not None and not unmeasured.all():
        middle = np.median(mean[~unmeasured])
        mean = np.where(unmeasured, middle, mean)
        where = unmeasured[..., ::factor, ::factor]
        where = where & ~(planes == np.nanmax(planes))
        planes = np.where(where, middle.astype(planes.dtype), planes)
    return planes, mean


def _labelled(result: Restoration, image: Any) -> Restoration:
    """The result with the labels of an xarray.DataArray."""
    axes, std, samples = result.recipe.axes, result.std, result.samples
    return replace(
        result,
        mean=labelled(result.mean, image, axes),
        std=None if std is None else labelled(std, image, axes),
        samples=None if samples is None else labelled(samples, image, axes, lead=("sample",)),
    )


def _check_observed(planes: NDArray[Any], problem: Problem) -> None:
    """Raise if an image whose holes may hold anything is not finite elsewhere."""
    if not isinstance(problem.missing, np.ndarray) or planes.dtype.kind != "f":
        return
    unusable = ~is_usable(planes) & ~problem.missing
    if problem.denoising is not None:
        unusable &= ~np.isnan(planes)
    if unusable.any():
        n_nan = int((np.isnan(planes) & unusable).sum())
        raise InputError(
            f"image: expected finite intensities outside the mask, but {n_nan} NaN and "
            f"{int(unusable.sum()) - n_nan} infinite or above {MAX_INTENSITY:g} came there: "
            "add them to the mask"
        )
