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
from napari_vae_restore.images.image_metadata import check_claim

SUFFIXES: Final = (".npy", ".zarr")
"""Endings of the names; a Zarr array is a folder."""


_MOST_IN_A_ROW: Final = 2**24
"""Chunks along one axis; lazy arrays hold a list of them."""
_TRUSTED_CHUNKS: Final = 2**15
"""Chunks that are looked for on the word of an array alone, some seconds' worth."""
_MOST_ABSENT: Final = 2**10
"""Chunks of an image for each of its files; a claim of more was made up."""

ATTRIBUTE: Final = "vae_restore"
"""Of a store: holds the recipe that it was made by, and how the restoration went."""


def is_array_file(path: Path) -> bool:
    """Whether a path names an array, by its ending."""
    return path.suffix.lower() in SUFFIXES


def open_array(path: Path) -> tuple[Any, str | None]:
    """Open an array without reading it.

    Raises ImageFileError if it is missing, cannot be read, or holds no array.
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


def checked_array(array: Any, path: Path) -> Any:
    """An array of a store that holds numbers, as many as its files may, read with care.

    Raises ImageFileError for other contents, such as objects, and for impossible sizes.
    """
    from napari_vae_restore.images.chunk_store import checked

    if array.dtype.kind not in "biufc":
        raise ImageFileError(
            f"Cannot read {path}: it holds values of type {array.dtype}, and no numbers."
        )
    counts = _chunk_counts(array)
    if not all(0 <= count <= _MOST_IN_A_ROW for count in counts):
        raise ImageFileError(
            f"Cannot read {path}: it claims chunks of {array.chunks} for {array.shape} values: "
            "it is damaged or was made up; copy or export it again."
        )
    together = math.prod(array.shards or array.chunks)
    check_claim(folder_of(array) or path, together * array.dtype.itemsize)
    return checked(array)


def check_extent(array: Any, path: Path) -> None:
    """Make sure that an image is not larger than what is there of it can be.

    Masks may be: most of their chunks, empty, need not be there.

    Raises ImageFileError if its files cannot hold so many pixels or chunks.
    """
    folder, n_chunks, n_files = folder_of(array) or path, math.prod(_chunk_counts(array)), 0
    check_claim(folder, array.nbytes)
    if n_chunks <= _TRUSTED_CHUNKS:
        return
    for file in folder.rglob("*"):
        n_files += file.is_file()
        if n_chunks <= n_files * _MOST_ABSENT:
            return
    raise ImageFileError(
        f"Cannot read {path}: it claims {n_chunks} chunks, and has {n_files} files: it is "
        "damaged or was made up; copy or export it again."
    )


def _chunk_counts(array: Any) -> list[int]:
    """Of what lies in files of its own, along each axis; negative where that has no size."""
    sides = array.shards or array.chunks
    return [
        -(-int(n) // int(side)) if side > 0 else -1
        for n, side in zip(array.shape, sides, strict=True)
    ]


def folder_of(array: Any) -> Path | None:
    """Where a Zarr array lies; None if it is no such array, or not in a folder."""
    root = getattr(getattr(array, "store", None), "root", None)
    return None if root is None else Path(root) / array.path


def stored_recipe(path: Path) -> str:
    """The recipe in JSON that a store's attributes hold; empty if they hold none.

    Raises ImageFileError if there is no such store.
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
        return checked_array(node, path), axes.upper() or None
    except ImageFileError:
        raise
    except Exception as error:  # of any type, where a store is damaged or foreign
        raise ImageFileError(
            f"Cannot read {path}: it is neither a Zarr array nor an OME-Zarr image."
        ) from error
