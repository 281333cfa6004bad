"""Parts of an image that are worth computing: what is in view, what holds a mask.

Plain arithmetic on shapes and axes; this module knows neither napari nor Qt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 512
"""Largest side of a preview in pixels: a second or two on two busy cores."""

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
    """Return the part of the current plane that is in view.

    Parameters
    ----------
    shape : sequence of int
        Of the data.
    axes : str
        One letter per dimension of the data.
    step : sequence of int
        Index of the current plane along each dimension; those of Y and X are used where
        nothing is known of the view.
    corners : sequence of (float, float), optional
        First and last visible pixel along each dimension. An interval without extent says
        nothing, as in a view that was not drawn yet.
    joint_channels : bool
        Whether all channels (C) are needed at once.
    limit : int
        Largest height and width in pixels; the middle is kept.

    Returns
    -------
    tuple of slice
        A window along Y and X, everything along S, and one plane along all other axes.

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


def central_region(shape: Sequence[int], axes: str, step: Sequence[int], side: int) -> Region:
    """Return the middle of the current plane, at most `side` pixels high and wide.

    Parameters
    ----------
    shape : sequence of int
        Of the data.
    axes : str
        One letter per dimension.
    step : sequence of int
        Index of the current plane along each dimension.
    side : int
        In pixels.

    Returns
    -------
    tuple of slice
        As :func:`visible_region`.
    """
    return visible_region(shape, axes, step=step, limit=side)


def bounding_region(mask: NDArray[np.bool_], axes: str, *, margin: int | None) -> Region:
    """Return the smallest box around a mask.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        In the image's full shape, not empty.
    axes : str
        One letter per dimension.
    margin : int or None
        Pixels around it along Y and X; None for whole planes.

    Returns
    -------
    tuple of slice
        All of the channels, and along the other axes the planes that hold some of it.
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
