"""Stores that a restoration writes: their paths, shape and metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.image_metadata import UNKNOWN, ImageFile, Sizes
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.images.zarr_files import ATTRIBUTE, StoredImage, is_store
from napari_vae_restore.restoration.blocks.plan import Plan
from napari_vae_restore.restoration.result import Diagnostics, Recipe
from napari_vae_restore.restoration.trust.invented import note_on
from napari_vae_restore.stores.ome_zarr import attributes, output_axes
from napari_vae_restore.stores.target import Output
from napari_vae_restore.stores.work import Work


def checked_path(output: str | Path, image: Any) -> Path:
    path = Path(output)
    if not is_store(path):
        raise InputError(
            f"Expected an output that ends in .zarr, but {path.name} came: add the ending."
        )
    if not path.parent.is_dir():
        raise InputError(
            f"Expected an existing folder, but {path.parent} is none: create it or correct "
            "the output path."
        )
    if isinstance(image, str | Path) and path.resolve() == Path(image).resolve():
        raise InputError(f"Expected an output beside the input, but {path} is both: rename it.")
    return path


def outputs_of(
    path: Path, uncertainty: str | Path | None, samples: Sequence[Path], dtype: np.dtype[Any]
) -> tuple[Output, ...]:
    own = dtype.newbyteorder("=").name
    outputs = [Output(path, "mean", own)]
    if uncertainty is not None:
        outputs.append(Output(checked_path(uncertainty, path), "std", "float32"))
    for number, sample in enumerate(samples, start=1):
        outputs.append(Output(checked_path(sample, path), f"sample-{number}", own))
    return tuple(outputs)


def block_side(plan: Plan) -> int:
    """Side of the blocks; whole planes are cut as large ones would be."""
    core = plan.blocks[0].tiles[0].core
    return max(int(part.stop - part.start) for part in core)


def output_shape(plan: Plan) -> tuple[int, ...]:
    sizes = dict(zip(plan.layout.axes, plan.layout.shape, strict=True))
    sizes |= dict(zip("CYX", plan.shape[1:], strict=True))
    return tuple(sizes[letter] for letter in output_axes(plan.layout.axes))


def plane_places(layout: Layout) -> tuple[tuple[int, ...], ...]:
    """Each plane's index along the leading axes of the output; -1 for the channels."""
    stacked = [letter for letter in layout.axes if letter not in "CSYX"]
    sizes = [layout.shape[layout.axes.index(letter)] for letter in stacked]
    found = []
    for index in np.ndindex(*sizes):
        own = dict(zip(stacked, index, strict=True)) | {"C": -1}
        found.append(tuple(own[letter] for letter in output_axes(layout.axes)[:-2]))
    return tuple(found)


def attributes_of(
    work: Work,
    like: StoredImage | ImageFile | None,
    recipe: Recipe,
    diagnostics: Diagnostics,
) -> dict[str, dict[str, Any]]:
    """Metadata and recipe of each output, by its kind."""
    layout, factor = work.plan.layout, work.plan.problem.factor
    sizes: Sizes = {}
    names: tuple[str, ...] = ()
    if like is not None:
        for letter, step, unit in zip(layout.axes, like.scale, like.units, strict=True):
            finer = factor if letter in "YX" and (step, unit) != UNKNOWN else 1
            sizes[letter] = step / finer, unit
        if len(like.channel_names) == work.plan.shape[1]:
            names = like.channel_names
    found = {}
    for output in work.target.outputs:
        name = output.path.name.removesuffix(".zarr").removesuffix(".ome")
        axes, n_levels = output_axes(layout.axes), work.target.n_levels
        ome = attributes(axes, sizes, n_levels, name=name, channel_names=names)
        own = {
            "what": work.key,
            "is": output.kind,
            "recipe": recipe.to_dict(),
            "note": note_on(recipe.tasks, output.kind),
            "residual_std": diagnostics.residual_std,
            "n_hot_pixels": diagnostics.n_hot_pixels,
            "verdict": diagnostics.verdict.grade,
        }
        found[output.kind] = {"ome": ome, ATTRIBUTE: own}
    return found
