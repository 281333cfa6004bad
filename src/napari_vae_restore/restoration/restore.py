"""One way through: image and task in, restoration out, the same numbers everywhere.

:func:`iter_restore` is the only implementation. :func:`restore` and :func:`denoise`
drain it, as do the command line and napari's worker.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_vae_restore import __version__
from napari_vae_restore.arrays import as_image
from napari_vae_restore.devices import choose_device
from napari_vae_restore.errors import InputError, RestorationError
from napari_vae_restore.layout import Layout
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.hot import without_hot_pixels
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.canvas import Canvas
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.restoration.parts import channel_groups, plane_posterior, tile_grid
from napari_vae_restore.restoration.posterior import LatentKeys
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.result import Diagnostics, Recipe, Restoration
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, SuperResolve, Task
from napari_vae_restore.tiling import TILE


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """How far a restoration is: `done` of `total` passes through the decoder."""

    done: int
    total: int


def restore(
    image: Any,
    tasks: Task | Sequence[Task],
    model: Model | str | Path = DEFAULT,
    *,
    axes: str | None = None,
    n_samples: int = 0,
    keep_samples: bool = False,
    tile: int = TILE,
    seed: int = 0,
    device: str = "auto",
) -> Restoration:
    """Restore an image.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        Any real dtype but bool, any axes; finite.
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
    tile : int
        Side of the tiles in pixels. It changes memory and time, not the result: latent
        noise is keyed to position, and each tile reads the surroundings it depends on.
    seed : int
        The same seed gives the same samples. Global random state is untouched.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    Restoration
        Mean, uncertainty, samples, recipe and diagnostics.

    Raises
    ------
    InputError
        For an unusable image or parameter; nothing was computed.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the computation fails, for example for want of memory.
    """
    return drain(
        iter_restore(
            image,
            tasks,
            model,
            axes=axes,
            n_samples=n_samples,
            keep_samples=keep_samples,
            tile=tile,
            seed=seed,
            device=device,
        )
    )


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
    image: Any, mask: Any, model: Model | str | Path = DEFAULT, **options: Any
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
    return restore(image, Inpaint(mask), model, **options)


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


def drain(steps: Generator[RestoreProgress, None, Restoration]) -> Restoration:
    """Run a restoration to its end and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: Restoration = stop.value
            return result


def iter_restore(
    image: Any,
    tasks: Task | Sequence[Task],
    model: Model | str | Path = DEFAULT,
    *,
    axes: str | None = None,
    n_samples: int = 0,
    keep_samples: bool = False,
    tile: int = TILE,
    seed: int = 0,
    device: str = "auto",
) -> Generator[RestoreProgress, None, Restoration]:
    """Restore step by step: yields progress, returns the result; close it to cancel.

    Parameters, result and errors are those of :func:`restore`. The input is checked at
    the first step.

    Yields
    ------
    RestoreProgress
        After each pass through the decoder.
    """
    started = time.monotonic()
    _check("n_samples", n_samples, 0)
    _check("tile", tile, 1)
    _check("seed", seed, 0)
    listed = tasks if isinstance(tasks, Sequence) else (tasks,)
    may_have_holes = any(isinstance(task, Inpaint) for task in listed)
    array, axes = as_image(image, axes, may_have_holes=may_have_holes)
    layout = Layout.of(array, axes)
    problem = Problem.of(tasks, layout)
    planes = layout.to_planes(array)
    _check_observed(planes, problem)
    placed = find_model(model).on(choose_device(device))
    noise = problem.noise_models(planes, placed)
    planes, n_hot = _without_hot_pixels(planes, noise, problem)
    n_planes, n_channels, height, width = planes.shape
    shape = height * problem.factor, width * problem.factor
    grid, halo = tile_grid(placed, shape, problem, tile)
    groups = channel_groups(placed, problem, layout, is_noisy=bool(noise))
    canvas = Canvas((n_planes, n_channels, *shape), layout.dtype, n_samples, keep_samples)
    progress = RestoreProgress(0, n_planes * len(groups) * len(grid) * (1 + n_samples))
    yield progress
    try:
        for n, group in itertools.product(range(n_planes), groups):
            y = Measurement(planes[n, group], problem.observed(n, group), noise[group])
            posterior = plane_posterior(placed, problem, y)
            keys = LatentKeys(seed, n * n_channels + group.start, placed.network.config.strides)
            for part in grid:
                for signal in posterior.signals(part, n_samples, keys):
                    canvas.add(n, group, part, signal)
                    progress = RestoreProgress(progress.done + 1, progress.total)
                    yield progress
    except torch.OutOfMemoryError as error:
        raise RestorationError(
            f"out of memory on {device}: use a smaller tile than {tile}, or device='cpu'"
        ) from error
    except RuntimeError as error:
        raise RestorationError(f"the restoration failed: {error}") from error
    if not noise and problem.missing is not None and problem.factor == 1:
        canvas.keep(planes, ~problem.missing)
    diagnostics = Diagnostics(
        residual_std=_residual_std(planes, canvas.mean, noise, problem),
        noise=noise,
        n_hot_pixels=n_hot,
        n_tiles=n_planes * len(groups) * len(grid),
        halo=halo,
        seconds=time.monotonic() - started,
        device=str(next(placed.network.parameters()).device),
    )
    recipe = Recipe(
        tasks=tuple(task.to_dict() for task in problem.tasks),
        noise=tuple(str(channel) for channel in noise),
        model=placed.name,
        model_sha256=placed.sha256,
        axes=axes,
        n_samples=n_samples,
        tile=tile,
        seed=seed,
        package_version=__version__,
    )
    return Restoration(*canvas.finish(layout, array), recipe, diagnostics)


def _without_hot_pixels(
    planes: NDArray[Any], noise: tuple[NoiseModel, ...], problem: Problem
) -> tuple[NDArray[Any], int]:
    """(N, C, H, W) planes with the median of their surroundings for hot pixels, and how many.

    Left alone are images that are taken as free of noise, and those with holes, in which
    a pixel may have no surroundings.
    """
    if not noise or problem.missing is not None:
        return planes, 0
    found = [without_hot_pixels(planes[:, c], model) for c, model in enumerate(noise)]
    n_hot = sum(int(is_hot.sum()) for _, is_hot in found)
    if n_hot == 0:
        return planes, 0
    return np.stack([values for values, _ in found], axis=1).astype(planes.dtype), n_hot


def _residual_std(
    planes: NDArray[Any],
    mean: NDArray[Any],
    noise: tuple[NoiseModel, ...],
    problem: Problem,
) -> float | None:
    """RMS of what was removed over the RMS of the noise that was expected.

    The quotient of the sums, not the mean of quotients: where a signal-dependent model
    expects next to no noise, single dark pixels would outweigh the picture.
    """
    if not noise:
        return None
    removed = expected = 0.0
    for n, (plane, restored) in enumerate(zip(planes, mean, strict=True)):
        predicted = problem.operator(None).apply(restored.astype(np.float64))
        for channel, model in enumerate(noise):
            observed = problem.observed(n, slice(channel, channel + 1))
            where = True if observed is None else observed[0]
            residual = plane[channel].astype(np.float64) - predicted[channel]
            removed += float(np.square(residual).sum(where=where))
            expected += float(model.variance(predicted[channel]).sum(where=where))
    return math.sqrt(removed / expected)


def _check_observed(planes: NDArray[Any], problem: Problem) -> None:
    """Raise if an image whose holes may hold anything is not finite elsewhere."""
    if problem.missing is None or planes.dtype.kind != "f":
        return
    n_nan, n_inf = (
        int((what(planes) & ~problem.missing).sum()) for what in (np.isnan, np.isinf)
    )
    if n_nan or n_inf:
        raise InputError(
            f"image: expected finite intensities outside the mask, but {n_nan} NaN and "
            f"{n_inf} infinite came there: add them to the mask"
        )


def _check(name: str, value: int, least: int) -> None:
    if not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name}: expected an integer of at least {least}, got {value!r}")
