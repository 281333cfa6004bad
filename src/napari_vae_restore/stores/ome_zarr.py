"""OME-Zarr images and their NGFF metadata: axes, pixel sizes, levels of a pyramid.

Reads versions 0.4 (Zarr 2) and 0.5 (Zarr 3), and plain Zarr arrays without metadata;
writes 0.5. This module knows nothing of restorations.

References
----------
J. Moore et al., "OME-NGFF: a next-generation file format for expanding bioimaging
data-access strategies", Nature Methods 18, 2021. doi:10.1038/s41592-021-01326-w;
specification: https://ngff.openmicroscopy.org/0.5/
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError, InputError, shortened
from napari_vae_restore.images.array_files import (
    ATTRIBUTE,
    check_extent,
    checked_array,
    folder_of,
)
from napari_vae_restore.images.arrays import guess_axes
from napari_vae_restore.images.image_metadata import PIXEL, ImageFile, canonical_unit
from napari_vae_restore.models.devices import is_out_of_memory

VERSION: Final = "0.5"

_METADATA: Final = ("zarr.json", ".zarray")
"""Files of an array's metadata, in Zarr 3 and 2."""
_ORDER: Final = "TCZYX"
"""Order of the axes in the standard."""
_TYPES: Final = {"T": "time", "C": "channel"}
_LETTERS: Final = {"time": "T", "channel": "C"}
_COARSEST: Final = 512
"""Pixels: a level with no longer side is the coarsest."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredImage:
    """The finest level of a store, unread, and its metadata."""

    path: Path
    array: Any  # of zarr, read by slicing
    axes: str | None  # None for a plain array
    scale: tuple[float, ...]  # size of a step along each axis
    units: tuple[str, ...]  # "pixel" where unknown
    channel_names: tuple[str, ...] = ()
    description: str = ""  # the recipe in JSON, where this package wrote the store

    def read(self) -> ImageFile:
        """All of it in memory; ImageFileError for damaged chunks or too little memory."""
        axes = self.axes or guess_axes(self.array.shape, self.array.dtype)
        try:
            values = np.asarray(self.array[...])
        except ImageFileError:
            raise
        except Exception as error:  # of any type, where a chunk is damaged
            raise ImageFileError(
                f"Cannot read {self.path}: a part of it is damaged, or it does not fit into "
                f"memory ({shortened(error)}): copy it again, or restore it into a .zarr store."
            ) from error
        check_there(folder_of(self.array))
        return ImageFile(
            values,
            axes,
            self.scale,
            self.units,
            "ome-tiff",
            self.channel_names,
            self.description,
        )


def is_store(path: Path) -> bool:
    """Whether a path names a Zarr store, by its ending."""
    return path.suffix.lower() == ".zarr"


def open_store(path: Path) -> StoredImage:
    """Open the finest level of an OME-Zarr image, or a Zarr array; reads no pixels."""
    zarr = import_zarr()
    if not path.exists():
        raise ImageFileError(f"Cannot read {path}: there is no such store.")
    try:
        node = zarr.open(str(path), mode="r")
    except Exception as error:  # of any type, where a store is damaged or foreign
        if is_out_of_memory(error):
            raise ImageFileError(f"Cannot read {path}: the memory does not suffice.") from error
        raise ImageFileError(
            f"Cannot read {path}: it is no Zarr store ({shortened(error)})."
        ) from error
    try:
        if hasattr(node, "shape"):
            n = node.ndim
            found = StoredImage(path, node, None, (1.0,) * n, (PIXEL,) * n)
        else:
            found = _read_multiscale(path, node)
        found = replace(found, array=checked_array(found.array, path))
        check_extent(found.array, path)
        return found
    except ImageFileError:
        raise
    except Exception as error:  # as above, for any damage in the metadata
        raise ImageFileError(
            f"Cannot read {path}: it is neither a Zarr array nor an OME-Zarr image of version "
            "0.4 or 0.5: give the folder of one image."
        ) from error


def check_there(folder: Path | None) -> None:
    """Raise ImageFileError if an array has vanished while it was read.

    From a disk that was taken away, or a deleted folder, Zarr reads zeros, as for chunks
    that were never written.
    """
    if folder is None or any((folder / name).exists() for name in _METADATA):
        return
    raise ImageFileError(
        f"Cannot read {folder}: it has vanished; bring it back, and run the same again."
    )


def import_zarr() -> Any:
    """The package zarr; InputError where it is not installed."""
    try:
        import zarr
    except ImportError:
        raise InputError(
            "Expected zarr for .zarr stores, but it is not installed: "
            "pip install 'napari-vae-restore[zarr]'."
        ) from None
    return zarr


def _read_multiscale(path: Path, group: Any) -> StoredImage:
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    image = ome["multiscales"][0]
    finest = image["datasets"][0]
    array = group[finest["path"]]
    listed = image.get("axes") or _axes_of_old(array.ndim)
    letters = [_letter(axis) for axis in listed]
    scale = np.ones(array.ndim)
    for transform in (
        *finest.get("coordinateTransformations", ()),
        *image.get("coordinateTransformations", ()),
    ):
        if transform["type"] == "scale":
            scale *= np.asarray(transform["scale"], float)
    units = [
        canonical_unit(axis["unit"]) if isinstance(axis, dict) and axis.get("unit") else PIXEL
        for axis in listed
    ]
    channels = ome.get("omero", {}).get("channels", ())
    names = tuple(str(channel.get("label", "")) for channel in channels)
    recipe = attributes.get(ATTRIBUTE, {}).get("recipe")
    return StoredImage(
        path,
        array,
        "".join(letters),
        tuple(float(step) for step in scale),
        tuple(units),
        names if all(names) else (),
        "" if recipe is None else json.dumps(recipe),
    )


def _axes_of_old(ndim: int) -> list[str]:
    """Axes before version 0.4: all five, or the last of them."""
    return list(_ORDER[-ndim:].lower())


def _letter(axis: Any) -> str:
    if isinstance(axis, str):
        return axis.upper()
    kind, name = axis.get("type"), str(axis["name"])
    return _LETTERS.get(kind, name.upper())


def output_axes(axes: str) -> str:
    """The axes of a result in the standard's order; samples of colours become channels.

    Examples
    --------
    >>> output_axes("YXS"), output_axes("ZCYX")
    ('CYX', 'CZYX')
    """
    if "S" in axes and "C" in axes:
        raise InputError(
            f"Expected channels or colours for OME-Zarr, but the axes {axes} have both: split "
            "the channels."
        )
    letters = axes.replace("S", "C")
    if unknown := [letter for letter in letters if letter not in _ORDER]:
        raise InputError(
            f"Expected axes out of {', '.join(_ORDER)} for OME-Zarr, but {axes} came: name "
            f"{', '.join(unknown)} otherwise by --axes (axes=)."
        )
    return "".join(letter for letter in _ORDER if letter in letters)


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of the levels of a pyramid, finest first; each halves Y and X, rounded up."""
    shapes = [shape]
    while max(shapes[-1][-2:]) > _COARSEST:
        *lead, height, width = shapes[-1]
        shapes.append((*lead, math.ceil(height / 2), math.ceil(width / 2)))
    return shapes


def attributes(
    axes: str,
    sizes: dict[str, tuple[float, str]],
    n_levels: int,
    *,
    name: str,
    channel_names: Sequence[str] = (),
) -> dict[str, Any]:
    """The attribute "ome" of an image's group, whose levels are named "0", "1" and so on.

    `sizes` has the step and unit of an axis at the finest level; others are in pixels.
    """
    listed: list[dict[str, str]] = []
    for letter in axes:
        axis = {"name": letter.lower(), "type": _TYPES.get(letter, "space")}
        unit = sizes.get(letter, (1.0, PIXEL))[1]
        listed.append(axis if unit == PIXEL else axis | {"unit": unit})
    steps = [sizes.get(letter, (1.0, PIXEL))[0] for letter in axes]
    levels = []
    for level in range(n_levels):
        grown = [2**level if letter in "YX" else 1 for letter in axes]
        scale = [step * times for step, times in zip(steps, grown, strict=True)]
        # Centres of the coarse pixels lie between those of the fine ones.
        shift = [step * (times - 1) / 2 for step, times in zip(steps, grown, strict=True)]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if level:
            transforms.append({"type": "translation", "translation": shift})
        levels.append({"path": str(level), "coordinateTransformations": transforms})
    image = {"name": name, "axes": listed, "datasets": levels, "type": "mean"}
    ome: dict[str, Any] = {"version": VERSION, "multiscales": [image]}
    if channel_names:
        ome["omero"] = {"channels": [{"label": name} for name in channel_names]}
    return ome


def reduced(values: NDArray[Any]) -> NDArray[Any]:
    """Means over 2 x 2 pixels of (..., H, W); at odd borders, over fewer."""
    padded = np.pad(
        values.astype(np.float64),
        [(0, 0)] * (values.ndim - 2) + [(0, side % 2) for side in values.shape[-2:]],
        mode="edge",
    )
    rows = padded[..., ::2, :] + padded[..., 1::2, :]
    mean: NDArray[Any] = (rows[..., ::2] + rows[..., 1::2]) / 4
    return mean
