"""Filling as a worker runs it: the mask made of what was drawn, the fill joined to the rest.

No Qt here; the restoration itself is that of :mod:`restoration_steps`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vae_restore._napari.jobs.restoration_steps import (
    RestoreOptions,
    cropped_mask,
    preview_steps,
    restore_steps,
)
from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.layers.masks import Drawing, Grid, Mask
from napari_vae_restore._napari.layers.reading import read
from napari_vae_restore._napari.messages import MAX_SEED, Filling, Preview, Source, Update
from napari_vae_restore.errors import InputError
from napari_vae_restore.restoration.blocks.feathering import blended, fading, feathered, grown
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.result import Restoration

MARGIN = 64
"""Pixels around the holes that a further sample is computed from."""


@dataclass(frozen=True, slots=True)
class Holes:
    """What is to be filled, as a user drew and chose it.

    Attributes
    ----------
    drawing : Drawing
        In data coordinates of the image.
    grid : Grid
        Of the image.
    name : str
        Of the layer that it was drawn on.
    all_planes : bool
        Whether it counts on every plane.
    grow, feather : int
        Pixels by which it is enlarged, and over which the fill fades beyond that.
    denoising : Denoise or None
        None for an image without noise.
    """

    drawing: Drawing
    grid: Grid
    name: str
    all_planes: bool = False
    grow: int = 0
    feather: int = 0
    denoising: Denoise | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """A filled image, and all that further samples of it need.

    Attributes
    ----------
    restoration : Restoration
        Of the whole image.
    image : ndarray
        What was filled.
    missing : ndarray of bool
        What the model was not shown, (Y, X) or of the image's shape.
    weights : ndarray of float32
        Of the fill, in a shape that broadcasts to the image's.
    feather : int
        Pixels over which the fill fades into the image.
    """

    restoration: Restoration
    image: NDArray[Any]
    missing: Mask
    weights: NDArray[np.float32]
    feather: int = 0


def inpaint_steps(
    source: Source, holes: Holes, model: Model | str, options: RestoreOptions
) -> Generator[Update | None, None, Filled]:
    """Fill the holes of a whole image.

    Without noise, planes that have no holes cost nothing.

    Parameters
    ----------
    source : Source
        The image.
    holes : Holes
        What is missing.
    model : Model or str
        As for :func:`~napari_vae_restore.restore`.
    options : RestoreOptions
        How.

    Yields
    ------
    Update or None
        As :func:`~.restoration_steps.restore_steps`.

    Returns
    -------
    Filled
        The result.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`~napari_vae_restore.restore`, and if nothing was drawn.
    """
    image = yield from read(source)
    yield Update("Looking at the mask…")
    missing, weights = _mask(holes)
    restoration = yield from restore_steps(
        Source(image, source.axes),
        _tasks(holes, Inpaint(missing, _name(holes))),
        model,
        options,
    )
    if _feather(holes):
        restoration = feathered(restoration, image, missing, _feather(holes))
    return Filled(restoration, image, missing, weights, _feather(holes))


def inpaint_preview_steps(
    source: Source,
    region: regions.Region,
    holes: Holes,
    model: Model | str,
    options: RestoreOptions,
    known_noise: Mapping[int, NoiseModel],
) -> Generator[Update | None, None, Preview]:
    """Fill the holes in a part of an image.

    Parameters
    ----------
    source, region
        As for :func:`~.restoration_steps.preview_steps`.
    holes : Holes
        What is missing.
    model, options, known_noise
        As for :func:`~.restoration_steps.preview_steps`.

    Yields
    ------
    Update or None
        As :func:`~.restoration_steps.restore_steps`.

    Returns
    -------
    Preview
        The part, filled.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`inpaint_steps`, and if the part shows no hole or nothing else.
    """
    yield Update("Looking at the mask…")
    shown = _shown(holes, region)
    if not (shown > 0).any():
        raise InputError(
            f"Nothing to fill in view: “{holes.name}” covers no pixel here. Go to the plane "
            "and place that it covers, or press Run to fill all of it."
        )
    spatial = tuple(d for d, letter in enumerate(source.axes) if letter in "YX")
    if bool((shown > 0).all(axis=spatial).any()):
        raise InputError(
            f"“{holes.name}” covers all that is in view, and nothing is left to infer it "
            "from: zoom out, or draw less."
        )
    if holes.denoising is not None:
        # The noise is measured in the whole image, beside all of the holes.
        tasks = _tasks(holes, Inpaint(_mask(holes)[0], holes.name))
        return (yield from preview_steps(source, region, tasks, model, options, known_noise))
    original = np.asarray(source.data[region])
    part = tuple(slice(0, length) for length in original.shape)
    tasks = [Inpaint(shown > 0, holes.name)]
    preview = yield from preview_steps(
        Source(original, source.axes), part, tasks, model, options, {}
    )
    image = blended(preview.image, original, shown) if holes.feather else preview.image
    return replace(preview, image=image, start=regions.start(region), noise=dict(known_noise))


def sample_steps(
    filled: Filled, number: int, model: Model | str, options: RestoreOptions
) -> Generator[Update | None, None, Filling]:
    """Draw one more plausible filling, from the surroundings of the holes alone.

    Parameters
    ----------
    filled : Filled
        The first result.
    number : int
        Of the sample, from 1 on; it moves the seed.
    model, options
        As for :func:`inpaint_steps`; how many samples are asked for does not count.

    Yields
    ------
    Update or None
        As :func:`~.restoration_steps.restore_steps`.

    Returns
    -------
    Filling
        The whole image, filled by the sample.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`inpaint_steps`.
    """
    restoration, axes = filled.restoration, filled.restoration.recipe.axes
    region = regions.bounding_region(filled.weights > 0, axes, margin=MARGIN)
    tasks: list[Task] = [Inpaint(cropped_mask(filled.missing, axes, region))]
    if noise := restoration.diagnostics.noise:
        tasks.append(Denoise(noise))
    seed = (options.seed + number) % MAX_SEED
    drawn = yield from restore_steps(
        Source(filled.image[region], axes),
        tasks,
        model,
        replace(options, n_samples=1, keep_samples=True, seed=seed),
    )
    image = restoration.mean.copy()
    if drawn.samples is not None:
        # Noise-free surroundings are the original; others stay as the mean shows them.
        image[region] = blended(drawn.samples[0], image[region], filled.weights[region])
    return Filling(image, number, drawn.recipe)


def _shown(holes: Holes, region: regions.Region) -> NDArray[np.float32]:
    """The weights of the fill in a part of the image, in the part's shape."""
    if holes.drawing.is_blank:
        raise _empty(holes)
    # What fades depends on what is observed beyond it.
    grid, reach = holes.grid, holes.grow + 2 * _feather(holes)
    wider = list(region)
    for dim in grid.spatial:
        first, stop = region[dim].start - reach - 1, region[dim].stop + reach + 1
        wider[dim] = slice(max(0, first), min(grid.shape[dim], stop))
    if holes.all_planes:
        for dim in grid.plane_dims:
            wider[dim] = slice(0, grid.shape[dim])
    around = grid.part(tuple(wider))
    drawn = holes.drawing.on(around, all_planes=holes.all_planes)
    weights = fading(_missing(drawn, holes), _feather(holes))
    rows, columns = (
        slice(region[dim].start - wider[dim].start, region[dim].stop - wider[dim].start)
        for dim in grid.spatial
    )
    return grid.part(region).spread(weights[..., rows, columns])


def _mask(holes: Holes) -> tuple[Mask, NDArray[np.float32]]:
    """What is missing, for the task; and the weights of the fill, in the image's shape."""
    if holes.drawing.is_blank:
        raise _empty(holes)
    drawn = holes.drawing.on(holes.grid, all_planes=holes.all_planes)
    if not drawn.any():
        raise InputError(
            f"“{holes.name}” covers no pixel of the image: draw on the image and on one of "
            "its planes."
        )
    missing = _missing(drawn, holes)
    if bool(missing.all(axis=(-2, -1)).any()):
        raise InputError(
            f"“{holes.name}” covers a whole plane, and nothing is left to infer it from: "
            "leave some of the image out of it."
        )
    weights = fading(missing, _feather(holes))
    return holes.grid.for_task(missing), holes.grid.spread(weights)


def _missing(drawn: Mask, holes: Holes) -> Mask:
    """What the model is not shown: with the rim over which its fill fades."""
    return grown(grown(drawn, holes.grow), _feather(holes))


def _empty(holes: Holes) -> InputError:
    return InputError(
        f"“{holes.name}” is empty: draw around what is to be filled, then try again."
    )


def _feather(holes: Holes) -> int:
    """A denoised image is filled without a seam: there is no original to fade into."""
    return holes.feather if holes.denoising is None else 0


def tasks_everywhere(holes: Holes) -> list[Task]:
    """The tasks for an image of several levels: a mask of its shape, and no feather.

    Raises
    ------
    InputError
        If nothing was drawn.
    """
    sharp = replace(holes, feather=0)
    missing, shape = _mask(sharp)[0], holes.grid.shape
    if missing.ndim < len(shape):
        spread = tuple(
            slice(None) if d in holes.grid.spatial else None for d in range(len(shape))
        )
        missing = np.broadcast_to(missing[spread], shape)
    return _tasks(sharp, Inpaint(missing, _name(sharp)))


def _tasks(holes: Holes, inpaint: Inpaint) -> list[Task]:
    return [inpaint] if holes.denoising is None else [inpaint, holes.denoising]


def _name(holes: Holes) -> str:
    """The mask in words, for the recipe."""
    name = holes.name
    for what, width in (("grown", holes.grow), ("feathered", _feather(holes))):
        if width:
            name += f", {what} {width} px"
    return name
