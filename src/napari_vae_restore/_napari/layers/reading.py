"""Reading of lazy data plane by plane, so that a read shows progress and can be cancelled.

This module knows arrays and axes; neither napari nor Qt.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore._napari.layers.region import Region
from napari_vae_restore._napari.messages import Source, Stopwatch, Update

_MAX_PLANES_FOR_NOISE = 8  # of lazy data, for a preview


def read(source: Source) -> Generator[Update | None, None, NDArray[Any]]:
    """Read a whole image plane by plane; a numpy array is returned as it is."""
    data = source.data
    if isinstance(data, np.ndarray):
        return data
    n_leading = _n_leading(source.axes)
    if n_leading == 0:
        yield Update("Reading the image…")
        return np.asarray(data)
    array: NDArray[Any] = np.empty(data.shape, data.dtype)
    indices = list(np.ndindex(*data.shape[:n_leading]))
    watch = Stopwatch()
    yield Update("Reading the image…", 0.0)
    for done, index in enumerate(indices, start=1):
        array[index] = np.asarray(data[index])
        yield watch.update("Reading the image…", done / len(indices))
    return array


def noise_region(source: Source) -> Region:
    """Enough of an image to estimate its noise: all of an array, some planes of lazy data."""
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
