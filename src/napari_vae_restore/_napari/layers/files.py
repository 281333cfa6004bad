"""Layers to image files and back: with pixel size, units, axes and the recipe.

napari's own writer keeps the pixels of a layer and nothing else, and its own reader asks a
file for no more. This module is named in the manifest; it imports neither Qt nor torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vae_restore._napari.layers.placement import FILE_KEY, RECIPE_KEY, axes_of
from napari_vae_restore.errors import ImageFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_ENDINGS = (".ome.tif", ".ome.tiff", ".tif", ".tiff")
"""As in the manifest; the first one is added to a name without."""


_VERSION = "package_version"
"""Every recipe of this package tells it."""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """An image file as a layer takes it.

    Attributes
    ----------
    data : ndarray
        Its pixels.
    options : dict
        Keyword arguments of the layer.
    """

    data: NDArray[Any]
    options: dict[str, Any]


def write_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer as a TIFF that keeps pixel size, units, axes and recipe.

    A place in the world beyond the size of its pixels, translation or rotation, has no field
    in a TIFF that others would read, and is left out.

    Parameters
    ----------
    path : str
        The file, which is replaced; ".ome.tif" is added where the name has no ending of TIFF.
    data : array-like or sequence of them
        Of the layer; of a multiscale one, the finest level is written.
    attributes : mapping
        The rest of the layer, as `Layer.as_layer_data_tuple` gives it.

    Returns
    -------
    list of str
        The path that was written, as napari wants it.

    Raises
    ------
    InputError
        If the format cannot hold the image.
    ImageFileError
        If writing fails, or the image does not fit into memory.
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


def open_file(path: Path) -> Opened:
    """Read an image file as a layer.

    Parameters
    ----------
    path : Path
        TIFF, PNG, JPEG or BMP.

    Returns
    -------
    Opened
        With the pixel size, units, axis labels and recipe that it tells of.

    Raises
    ------
    ImageFileError
        If it cannot be read.
    """
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
    return Opened(image.data, options)


def _recipe(description: str) -> dict[str, Any] | None:
    try:
        values = json.loads(description)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) and _VERSION in values else None
