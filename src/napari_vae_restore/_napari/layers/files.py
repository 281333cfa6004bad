"""Image files of layers and back, with pixel size, units, axes and the recipe.

napari's own writer and reader keep the pixels of a layer and nothing else.
This module imports neither Qt nor torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from napari_vae_restore._napari.layers.placement import FILE_KEY, RECIPE_KEY, axes_of
from napari_vae_restore.errors import ImageFileError

# As in the manifest; the first one is added to a name without an ending.
_ENDINGS = (".ome.tif", ".ome.tiff", ".tif", ".tiff")
_VERSION = "package_version"  # stands in every recipe of this package
_RECIPE = TypeAdapter(dict[str, Any])


@dataclass(frozen=True, slots=True, eq=False)
class OpenedFile:
    """The pixels of an image file, and the keyword arguments of a layer for them."""

    data: NDArray[Any]
    options: dict[str, Any]


def write_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer as a TIFF that keeps pixel size, units, axes and recipe.

    Takes the layer as `Layer.as_layer_data_tuple` gives it, and returns the paths it wrote.
    Translation and rotation are left out: a TIFF has no field for them that others read.
    """
    from napari_vae_restore.images.image_files import write_image

    file = Path(path if path.lower().endswith(_ENDINGS) else path + _ENDINGS[0])
    finest = data[0] if attributes.get("multiscale") else data
    is_colour = bool(attributes.get("rgb"))
    axes = axes_of(tuple(finest.shape), attributes["axis_labels"], is_colour=is_colour)
    recipe = attributes.get("metadata", {}).get(RECIPE_KEY)
    try:
        pixels = np.asarray(finest)
    except MemoryError as error:
        raise ImageFileError(
            f"Cannot write {file}: the layer does not fit into memory; restore its file into "
            "an OME-Zarr on the command line."
        ) from error
    write_image(
        file,
        pixels,
        axes,
        scale=[*np.abs(attributes["scale"]).tolist(), *[1.0] * is_colour],
        units=[*map(str, attributes["units"]), *["pixel"] * is_colour],
        description="" if recipe is None else json.dumps(recipe),
        overwrite=True,  # the dialog has asked
    )
    return [str(file)]


def open_file(path: Path) -> OpenedFile:
    """Read a TIFF, PNG, JPEG or BMP as a layer, with what it says of pixel size and recipe."""
    from napari_vae_restore.images.image_files import read_image

    image = read_image(path)
    is_colour = image.axes.endswith("S") and image.data.shape[-1] in (3, 4)
    n_dims = len(image.axes) - is_colour
    metadata: dict[str, Any] = {FILE_KEY: str(path.absolute())}
    if (recipe := _recipe(image.description)) is not None:
        metadata[RECIPE_KEY] = recipe
    options = {
        "name": path.stem.removesuffix(".ome"),
        "rgb": is_colour,
        "scale": image.scale[:n_dims],
        "units": image.units[:n_dims],
        "axis_labels": tuple(image.axes[:n_dims].lower()),
        "metadata": metadata,
    }
    return OpenedFile(image.data, options)


def _recipe(description: str) -> dict[str, Any] | None:
    try:
        values = _RECIPE.validate_json(description)
    except ValidationError:
        return None
    return values if _VERSION in values else None
