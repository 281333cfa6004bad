"""Zarr arrays and OME-Zarr images on disk, opened without reading pixels.

Reads OME-NGFF 0.4 (Zarr 2) and 0.5 (Zarr 3), and plain Zarr arrays without metadata. Errors
of zarr and its codecs become ours here. This module writes nothing.

References
----------
J. Moore et al., "OME-NGFF: a next-generation file format for expanding bioimaging
data-access strategies", Nature Methods 18, 2021. doi:10.1038/s41592-021-01326-w;
specification: https://ngff.openmicroscopy.org/0.5/
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_vae_restore.errors import ImageFileError, InputError, shortened
from napari_vae_restore.images.arrays import guess_axes
from napari_vae_restore.images.image_metadata import (
    PIXEL,
    ImageFile,
    canonical_unit,
    check_claim,
)

AXES: Final = "TCZYX"  # in the standard's order
ATTRIBUTE: Final = "vae_restore"  # of a store: its recipe, and how the restoration went

_LETTERS: Final = {"time": "T", "channel": "C"}  # of axes, by their type
_METADATA: Final = ("zarr.json", ".zarray")  # files of an array in Zarr 3 and 2
_MOST_IN_A_ROW: Final = 2**24  # chunks along one axis; lazy arrays hold a list of them
_TRUSTED_CHUNKS: Final = 2**15  # looked for on the word of an array alone, in some seconds
_MOST_ABSENT: Final = 2**10  # chunks for each file of an image; a claim of more was made up


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
        names, text = self.channel_names, self.description
        return ImageFile(values, axes, self.scale, self.units, "ome-tiff", names, text)


def is_store(path: Path) -> bool:
    """Whether a path names a Zarr store, by its ending."""
    return path.suffix.lower() == ".zarr"


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


def open_store(path: Path, *, may_be_sparse: bool = False) -> StoredImage:
    """Open the finest level of an OME-Zarr image, or a Zarr array; reads no pixels.

    Of a mask, which may be sparse, most chunks need not be there. Raises ImageFileError for
    contents that are no numbers, and for sizes that its files cannot hold.
    """
    zarr = import_zarr()
    if not path.exists():
        raise ImageFileError(f"Cannot read {path}: there is no such store.")
    try:
        node = zarr.open(str(path), mode="r")
    except MemoryError as error:
        raise ImageFileError(f"Cannot read {path}: the memory does not suffice.") from error
    except Exception as error:  # of any type, where a store is damaged or foreign
        raise ImageFileError(
            f"Cannot read {path}: it is no Zarr store ({shortened(error)})."
        ) from error
    try:
        return _opened(path, node, may_be_sparse)
    except ImageFileError:
        raise
    except Exception as error:  # as above, for any damage in the metadata
        raise ImageFileError(
            f"Cannot read {path}: it is neither a Zarr array nor an OME-Zarr image of version "
            "0.4 or 0.5: give the folder of one image."
        ) from error


def folder_of(array: Any) -> Path | None:
    """Where a Zarr array lies; None if it is no such array, or not in a folder."""
    root = getattr(getattr(array, "store", None), "root", None)
    return None if root is None else Path(root) / array.path


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


def _opened(path: Path, node: Any, may_be_sparse: bool) -> StoredImage:
    if hasattr(node, "shape"):
        array, n = _checked(node, path, may_be_sparse), node.ndim
        return StoredImage(path, array, None, (1.0,) * n, (PIXEL,) * n)
    attributes = dict(node.attrs)
    ome = attributes.get("ome", attributes)
    image = ome["multiscales"][0]
    finest = image["datasets"][0]
    array = _checked(node[finest["path"]], path, may_be_sparse)
    # Before version 0.4 axes are names, or absent: all five, or the last of them.
    axes = [
        {"name": axis} if isinstance(axis, str) else axis
        for axis in image.get("axes") or AXES[-array.ndim :]
    ]
    scale = np.ones(array.ndim)
    for level in (finest, image):
        for transform in level.get("coordinateTransformations", ()):
            if transform["type"] == "scale":
                scale *= np.asarray(transform["scale"], float)
    channels = ome.get("omero", {}).get("channels", ())
    names = tuple(str(channel.get("label", "")) for channel in channels)
    recipe = attributes.get(ATTRIBUTE, {}).get("recipe")
    letters = [_LETTERS.get(str(axis.get("type")), str(axis["name"]).upper()) for axis in axes]
    return StoredImage(
        path,
        array,
        "".join(letters),
        tuple(float(step) for step in scale),
        tuple(canonical_unit(axis.get("unit") or "") for axis in axes),
        names if all(names) else (),
        "" if recipe is None else json.dumps(recipe),
    )


def _checked(array: Any, path: Path, may_be_sparse: bool) -> Any:
    """The array, if it holds numbers and no more than its files can; its chunks are checked."""
    from napari_vae_restore.images.chunk_store import checked

    if array.dtype.kind not in "biufc":
        raise ImageFileError(
            f"Cannot read {path}: it holds values of type {array.dtype}, and no numbers."
        )
    folder, sides = folder_of(array) or path, array.shards or array.chunks
    counts = [
        -(-int(n) // int(side)) if side > 0 else -1
        for n, side in zip(array.shape, sides, strict=True)
    ]
    if not all(0 <= count <= _MOST_IN_A_ROW for count in counts):
        raise ImageFileError(
            f"Cannot read {path}: it claims chunks of {array.chunks} for {array.shape} values: "
            "it is damaged or was made up; copy or export it again."
        )
    check_claim(folder, math.prod(sides) * array.dtype.itemsize)
    if not may_be_sparse:
        check_claim(folder, array.nbytes)
        _check_count(folder, math.prod(counts))
    return checked(array)


def _check_count(folder: Path, n_chunks: int) -> None:
    n_files = 0
    if n_chunks <= _TRUSTED_CHUNKS:
        return
    for file in folder.rglob("*"):
        n_files += file.is_file()
        if n_chunks <= n_files * _MOST_ABSENT:
            return
    raise ImageFileError(
        f"Cannot read {folder}: it claims {n_chunks} chunks, and has {n_files} files: it is "
        "damaged or was made up; copy or export it again."
    )
