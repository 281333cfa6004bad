"""Two small, real, noisy microscopy images to try the package on; see ``SOURCES.md``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

from napari_vae_restore.errors import InputError

# The names of the samples, with their titles.
SAMPLES: Final = MappingProxyType(
    {
        "cells": "Cells, ER exit sites (noisy, 16 bit)",
        "nuclei": "Nuclei (noisy, 8 bit)",
    }
)


def sample_path(name: str) -> Path:
    """The TIFF file of a sample image; InputError if there is none of that name.

    Examples
    --------
    >>> sample_path("cells").name
    'cells.tif'
    """
    if name not in SAMPLES:
        raise InputError(f"Expected a sample out of {', '.join(SAMPLES)}, but {name!r} came.")
    return Path(str(files(__name__) / f"{name}.tif"))
