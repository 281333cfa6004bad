"""Regions of an image to compute, and reading them so that it can be shown and cancelled.

This module knows arrays and axes; no Qt, no napari and no torch.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore._napari.messages import Source, Stopwatch, Update

_MAX_PLANES_FOR_NOISE = 8  # of lazy data, for a preview

Region = tuple[slice, ...]  # one slice per dimension of the data, start and stop always given


def visible_region(
    shape: Sequence[int],
    axes: str,
    *,
    step: Sequence[int],
    corners: Sequence[tuple[float, float]] | None = None,
    joint_channels: bool = False,
    limit: int = 512,
) -> Region:
    """The part of the current plane that is in view, its middle where it exceeds `limit`.

    `step` is the current plane's index along each dimension, `corners` the first and last
    visible pixel; an interval without extent, as before the first drawing, counts as none.
    `joint_channels` asks for all channels (C); all colours (S) always belong to the region.

    >>> visible_region((5, 100, 80), "ZYX", step=(3, 50, 40), limit=64)
    (slice(3, 4, None), slice(18, 82, None), slice(8, 72, None))
    """
    region = []
    for index, (letter, length) in enumerate(zip(axes, shape, strict=True)):
        if letter == "S" or (letter == "C" and joint_channels):
            region.append(slice(0, length))
        elif letter in "YX":
            interval = None if corners is None else corners[index]
            region.append(_window(length, interval, limit))
        else:
            # A plane beside the data, where the view goes beyond them, is the nearest one.
            plane = min(max(int(step[index]), 0), length - 1)
            region.append(slice(plane, plane + 1))
    return tuple(region)


def bounding_region(mask: NDArray[np.bool_], axes: str, *, margin: int | None) -> Region:
    """The box around a mask, all channels; `margin` pixels wider, or whole planes for None."""
    region = []
    for dim, (letter, length) in enumerate(zip(axes, mask.shape, strict=True)):
        if letter in "CS" or (letter in "YX" and margin is None):
            region.append(slice(0, length))
            continue
        others = tuple(d for d in range(mask.ndim) if d != dim)
        where = np.flatnonzero(mask.any(axis=others))
        around = (margin or 0) if letter in "YX" else 0
        region.append(
            slice(max(0, int(where[0]) - around), min(length, int(where[-1]) + 1 + around))
        )
    return tuple(region)


def start(region: Region) -> tuple[int, ...]:
    """First index of a region along each dimension."""
    return tuple(part.start for part in region)


def zoom_of(shape: Sequence[int], source: Sequence[int]) -> tuple[float, ...]:
    """Pixels of a result for each pixel of its source, along each dimension."""
    return tuple(n / before for n, before in zip(shape, source, strict=True))


def _window(length: int, interval: tuple[float, float] | None, limit: int) -> slice:
    first, stop = 0, length
    if interval is not None and interval[1] > interval[0]:
        first = min(max(int(interval[0]), 0), length - 1)
        stop = max(min(int(interval[1]) + 1, length), first + 1)
    if stop - first > limit:
        first += (stop - first - limit) // 2
        stop = first + limit
    return slice(first, stop)


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
