"""Filling in a worker: makes the mask of a drawing, and joins the fill to the image.

No Qt here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vae_restore._napari.jobs.restoration_steps import (
    cropped_mask,
    preview_steps,
    restore_steps,
)
from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.layers.masks import Drawing, Grid, Mask
from napari_vae_restore._napari.messages import MAX_SEED, Filling, Preview, Source, Update
from napari_vae_restore.errors import InputError
from napari_vae_restore.restoration.blocks.feathering import blended, fading, feathered, grown
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.result import Restoration

MARGIN = 64  # pixels around the holes that a further sample is computed from


@dataclass(frozen=True, slots=True)
class Holes:
    """A drawing of what to fill, and how, as a user chose it."""

    drawing: Drawing  # in data coordinates of the image
    grid: Grid  # of the image
    name: str  # of the layer that it was drawn on
    all_planes: bool = False  # it counts on every plane
    grow: int = 0  # pixels by which it is enlarged
    feather: int = 0  # pixels beyond that over which the fill fades into the image
    fill: str = "mean"  # or "sample"; see `Inpaint`
    denoising: Denoise | None = None  # None for an image without noise

    @property
    def fade(self) -> int:
        """The feather, or 0: a denoised image is filled without a seam, and loses its noise."""
        return self.feather if self.denoising is None else 0

    @property
    def label(self) -> str:
        """The mask in words, for the recipe."""
        widths = (("grown", self.grow), ("feathered", self.fade))
        return ", ".join([self.name, *(f"{how} {width} px" for how, width in widths if width)])

    def missing_on(self, grid: Grid) -> Mask:
        """The mask (..., H, W) of what the model is not shown, with the rim that fades."""
        if self.drawing.is_blank:
            raise InputError(
                f"“{self.name}” is empty: draw around what is to be filled, then try again."
            )
        drawn = self.drawing.on(grid, all_planes=self.all_planes)
        return grown(grown(drawn, self.grow), self.fade)

    def missing(self) -> Mask:
        """The mask (..., H, W) of the whole image; raises InputError if it cannot be filled."""
        missing = self.missing_on(self.grid)
        if not missing.any():
            raise InputError(
                f"“{self.name}” covers no pixel of the image: draw on the image and on one of "
                "its planes."
            )
        if bool(missing.all(axis=(-2, -1)).any()):
            raise InputError(
                f"“{self.name}” covers a whole plane, and nothing is left to infer it from: "
                "leave some of the image out of it."
            )
        return missing

    def tasks(self, missing: Mask) -> list[Task]:
        """The tasks for a mask in a form that :class:`Inpaint` takes."""
        inpaint = Inpaint(missing, self.label, self.fill)
        return [inpaint] if self.denoising is None else [inpaint, self.denoising]


@dataclass(frozen=True, slots=True, eq=False)
class FilledImage:
    """A filled image, and all that further samples of it need."""

    restoration: Restoration
    image: NDArray[Any]  # before
    missing: Mask  # what the model was not shown, (Y, X) or of the image's shape
    weights: NDArray[np.float32]  # of the fill, of the image's shape
    feather: int = 0  # pixels over which the fill fades into the image


def restoration_of(result: Restoration | FilledImage) -> Restoration:
    """The restoration in what the steps of a run return."""
    return result.restoration if isinstance(result, FilledImage) else result


def inpaint_steps(
    source: Source, holes: Holes, model: Model | str, options: Options
) -> Generator[Update | None, None, FilledImage]:
    """Fill the holes of a whole image; without noise, planes without holes cost nothing."""
    image = yield from regions.read(source)
    yield Update("Looking at the mask…")
    mask, fade = holes.missing(), holes.fade
    missing = holes.grid.for_task(mask)
    restoration = yield from restore_steps(
        Source(image, source.axes), holes.tasks(missing), model, options
    )
    if fade:
        restoration = feathered(restoration, image, missing, fade)
    weights = holes.grid.spread(fading(mask, fade))
    return FilledImage(restoration, image, missing, weights, fade)


def inpaint_preview_steps(
    source: Source,
    region: regions.Region,
    holes: Holes,
    model: Model | str,
    options: Options,
    known_noise: Mapping[int, NoiseModel],
) -> Generator[Update | None, None, Preview]:
    """Fill the holes in a region; raises InputError if it shows no hole or nothing else."""
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
        tasks = holes.tasks(holes.grid.for_task(holes.missing()))
        return (yield from preview_steps(source, region, tasks, model, options, known_noise))
    original = np.asarray(source.data[region])
    part = tuple(slice(0, length) for length in original.shape)
    tasks = [Inpaint(shown > 0, holes.name, holes.fill)]
    preview = yield from preview_steps(
        Source(original, source.axes), part, tasks, model, options, {}
    )
    image = blended(preview.image, original, shown) if holes.fade else preview.image
    return replace(preview, image=image, start=regions.start(region), noise=dict(known_noise))


def sample_steps(
    filled: FilledImage, number: int, model: Model | str, options: Options
) -> Generator[Update | None, None, Filling]:
    """Draw plausible filling `number`, from 1 on, from the surroundings of the holes alone."""
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


def tasks_everywhere(holes: Holes) -> list[Task]:
    """The tasks for an image of several levels: a mask of its shape, and no feather."""
    sharp = replace(holes, feather=0)
    return sharp.tasks(sharp.grid.spread(sharp.missing()))


def _shown(holes: Holes, region: regions.Region) -> NDArray[np.float32]:
    """The weights of the fill in a region, in the region's shape."""
    # The weights that fade depend on what is observed beyond the region.
    grid, reach = holes.grid, holes.grow + 2 * holes.fade + 1
    wider = list(region)
    for dim in grid.spatial:
        first, stop = region[dim].start - reach, region[dim].stop + reach
        wider[dim] = slice(max(0, first), min(grid.shape[dim], stop))
    if holes.all_planes:
        for dim in grid.plane_dims:
            wider[dim] = slice(0, grid.shape[dim])
    weights = fading(holes.missing_on(grid.part(tuple(wider))), holes.fade)
    rows, columns = (
        slice(region[dim].start - wider[dim].start, region[dim].stop - wider[dim].start)
        for dim in grid.spatial
    )
    return grid.part(region).spread(weights[..., rows, columns])
