"""Arrays on disk that are no pictures: ``.npy`` files and Zarr folders, opened lazily.

Nothing is unpickled. This module does not judge whether an array can be trained on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_vae_restore.errors import ImageFileError
from napari_vae_restore.images.zarr_files import is_store, open_store

SUFFIXES: Final = (".npy", ".zarr")


def is_array_file(path: Path) -> bool:
    """Whether a path names an array, by its ending."""
    return path.suffix.lower() in SUFFIXES


def open_array(path: Path) -> tuple[Any, str | None]:
    """An array, unread, and its axes where they are known; ImageFileError if it is none."""
    if not path.exists():
        raise ImageFileError(f"Cannot read {path}: there is no such file.")
    if is_store(path):
        stored = open_store(path, may_be_sparse=True)
        return stored.array, stored.axes
    try:
        # Not load, which takes zips and pickles for arrays as well.
        return np.lib.format.open_memmap(path, mode="r"), None
    except Exception as error:  # of any type, where the header is damaged
        raise ImageFileError(f"Cannot read {path}: it is no array of numbers.") from error


def stored_recipe(path: Path) -> str:
    """The recipe in JSON that a store holds; empty if there is none."""
    return open_store(path).description if is_store(path) else ""
