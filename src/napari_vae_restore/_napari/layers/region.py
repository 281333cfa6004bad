"""Regions of an image to compute: the part in view, the box around a mask.

Plain arithmetic on shapes and axes; this module knows neither napari nor Qt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 512  # pixels, of a preview: a second or two on two busy cores

Region = tuple[slice, ...]
"""One slice per dimension of the data, start and stop always given."""


def visible_region(
    shape: Sequence[int],
    axes: str,
    *,
    step: Sequence[int],
    corners: Sequence[tuple[float, float]] | None = None,
    joint_channels: bool = False,
    limit: int = MAX_SIDE,
) -> Region:
    """The part of the current plane that is in view, its middle where it exceeds `limit`.

    `step` is the current plane's index along each dimension, `corners` the first and last
    visible pixel; an interval without extent, as before the first drawing, counts as none.
    `joint_channels` asks for all channels (C); all colours (S) always belong to the region.

    Examples
    --------
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
    """The smallest box around a mask of the image's shape that is not empty, all channels.

    `margin` pixels are added along Y and X; None takes whole planes.
    """
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
