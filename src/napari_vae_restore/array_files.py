"""Arrays on disk that are no pictures: ``.npy`` files and Zarr folders, opened lazily.

Nothing is unpickled. This module does not judge whether an array can be trained on.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_vae_restore.errors import ImageFileError
from napari_vae_restore.image_metadata import check_claim

SUFFIXES: Final = (".npy", ".zarr")
"""Endings of the names; a Zarr array is a folder."""


ATTRIBUTE: Final = "vae_restore"
"""Of a store: holds the recipe that it was made by, and how the restoration went."""


def is_array_file(path: Path) -> bool:
    """Whether a path names an array, by its ending."""
    return path.suffix.lower() in SUFFIXES


def open_array(path: Path) -> tuple[Any, str | None]:
    """Open an array without reading it.

    Parameters
    ----------
    path : pathlib.Path
        A ``.npy`` file, a Zarr array, or an OME-Zarr image, whose finest level is taken.

    Returns
    -------
    array : array
        Read by slicing.
    axes : str or None
        One letter per dimension, where the file says.

    Raises
    ------
    ImageFileError
        If it is missing, cannot be read, or holds no array.
    """
    if not path.exists():
        raise ImageFileError(f"Cannot read {path}: there is no such file.")
    if path.suffix.lower() == ".zarr":
        return _open_zarr(path)
    try:
        # Not load, which takes zips and pickles for arrays as well.
        return np.lib.format.open_memmap(path, mode="r"), None
    except Exception as error:  # of any type, where the header is damaged
        raise ImageFileError(f"Cannot read {path}: it is no array of numbers.") from error


def check_stored(array: Any, path: Path) -> None:
    """Make sure that an array of a store holds numbers, in chunks that can be read.

    Parameters
    ----------
    array : zarr.Array
        Unread.
    path : pathlib.Path
        The store.

    Raises
    ------
    ImageFileError
        If it holds something else, such as objects, or claims chunks that it cannot have.
    """
    if array.dtype.kind not in "biufc":
        raise ImageFileError(
            f"Cannot read {path}: it holds values of type {array.dtype}, and no numbers."
        )
    check_claim(path, math.prod(map(int, array.chunks)) * array.dtype.itemsize)


def stored_recipe(path: Path) -> str:
    """The recipe in JSON that a store's attributes hold; empty if they hold none.

    Raises
    ------
    ImageFileError
        If there is no such store.
    """
    open_array(path)
    import zarr

    holder = dict(zarr.open(str(path), mode="r").attrs).get(ATTRIBUTE, {})
    return json.dumps(holder["recipe"]) if "recipe" in holder else ""


def _open_zarr(path: Path) -> tuple[Any, str | None]:
    try:
        import zarr
    except ImportError:
        raise ImageFileError(
            f"Cannot read {path}: this needs zarr; install it (pip install zarr), or save the "
            "images as TIFF."
        ) from None
    try:
        node, axes = zarr.open(str(path), mode="r"), ""
        if not hasattr(node, "shape"):
            image = node.attrs.get("ome", node.attrs).get("multiscales", [])[0]
            axes = "".join(str(axis["name"]) for axis in image.get("axes", []))
            node = node[image["datasets"][0]["path"]]
        check_stored(node, path)
        return node, axes.upper() or None
    except ImageFileError:
        raise
    except Exception as error:  # of any type, where a store is damaged or foreign
        raise ImageFileError(
            f"Cannot read {path}: it is neither a Zarr array nor an OME-Zarr image."
        ) from error
