"""Two small, real, noisy microscopy images to try the package on.

This module knows file names and titles only; :func:`~.image_files.read_image` reads the
files. Where they come from, and their licence, is in ``SOURCES.md`` beside them.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

from napari_vae_restore.errors import InputError

SAMPLES: Final = MappingProxyType(
    {
        "cells": "Cells, ER exit sites (noisy, 16 bit)",
        "nuclei": "Nuclei (noisy, 8 bit)",
    }
)
"""The names of the samples, with their titles."""


def sample_path(name: str) -> Path:
    """Return the file of a sample image.

    Parameters
    ----------
    name : str
        One of `SAMPLES`.

    Returns
    -------
    pathlib.Path
        A TIFF file.

    Raises
    ------
    InputError
        If there is no sample of that name.

    Examples
    --------
    >>> sample_path("cells").name
    'cells.tif'
    """
    if name not in SAMPLES:
        raise InputError(f"Expected a sample out of {', '.join(SAMPLES)}, but {name!r} came.")
    return Path(str(files(__name__) / f"{name}.tif"))
