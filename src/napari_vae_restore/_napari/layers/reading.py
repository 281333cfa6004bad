"""Reading lazy data plane by plane, so that a read shows progress and can be cancelled.

This module knows arrays and axes; neither napari nor Qt.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore._napari.layers.region import Region
from napari_vae_restore._napari.messages import Source, Stopwatch, Update

_UPDATE_SECONDS = 0.2
_MAX_PLANES_FOR_NOISE = 8
"""Planes of lazy data that are read to estimate the noise for a preview."""


def read(source: Source) -> Generator[Update | None, None, NDArray[Any]]:
    """Read a whole image; numpy arrays are returned as they are.

    Parameters
    ----------
    source : Source
        What to read. The axes in front of Y, X, C and S are stepped through.

    Yields
    ------
    Update or None
        After each plane.

    Returns
    -------
    numpy.ndarray
        All of it.
    """
    data = source.data
    if isinstance(data, np.ndarray):
        return data
    n_leading = _n_leading(source.axes)
    if n_leading == 0:
        yield Update("Reading the image…")
        return np.asarray(data)
    array: NDArray[Any] = np.empty(data.shape, data.dtype)
    indices = list(np.ndindex(*data.shape[:n_leading]))
    watch = Stopwatch(_UPDATE_SECONDS)
    yield Update("Reading the image…", 0.0)
    for done, index in enumerate(indices, start=1):
        array[index] = np.asarray(data[index])
        left = watch.elapsed * (len(indices) / done - 1)
        update = Update("Reading the image…", done / len(indices), left)
        yield update if watch.is_due() else None
    return array


def noise_region(source: Source) -> Region:
    """Enough of an image to estimate its noise from.

    Parameters
    ----------
    source : Source
        A numpy array is taken whole; of lazy data, planes at even distances.

    Returns
    -------
    tuple of slice
        In all of the source's dimensions.
    """
    selected: list[slice] = []
    room = _MAX_PLANES_FOR_NOISE
    for letter, length in zip(source.axes, source.data.shape, strict=True):
        if letter in "YXCS" or isinstance(source.data, np.ndarray):
            selected.append(slice(0, length))
            continue
        every = -(-length // room)
        selected.append(slice(0, length, every))
        room = max(1, room // len(range(0, length, every)))
    return tuple(selected)


def _n_leading(axes: str) -> int:
    return next(index for index, letter in enumerate(axes) if letter in "YXCS")
