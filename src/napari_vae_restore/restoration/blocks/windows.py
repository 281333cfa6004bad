"""What of a large image is looked at for what holds for all of it: noise, range, colours.

Images that fit are looked at as a whole. Of others a fixed draw of windows is, spread over
all planes: never a tile, whose range and noise would differ from its neighbour's.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError, VAERestoreError, shortened

PLANE_PIXELS: Final = 2**22
"""Planes of at most so many pixels are prepared as a whole, such as a camera's 2048²."""

_STACK_PIXELS: Final = 2**22
"""Pixels of each channel that the noise is measured on."""
_NOISE_SIDE: Final = 512
_RANGE_SIDE: Final = 176
_RANGE_WINDOWS: Final = 36
"""A megapixel: percentiles are steady from far fewer pixels, but what is bright may be
rare, and is found where one looks in many places."""

Rectangle = tuple[slice, slice]
"""Rows and columns."""

Window = tuple[NDArray[Any], NDArray[np.bool_] | None]
"""Values (C, h, w), and which of them are missing; None where none are."""


def in_memory(array: Any) -> NDArray[Any]:
    """The values of a part of an image, computed in this thread where it is lazy.

    Raises ImageFileError if it cannot be read or computed.
    """
    if not hasattr(array, "compute"):
        return np.asarray(array)
    try:
        return np.asarray(array.compute(scheduler="synchronous"))
    except VAERestoreError:
        raise
    except Exception as error:  # of any type: of storage, of codecs, of the graph's own tasks
        raise ImageFileError(
            f"Cannot read a part of the image, of shape {array.shape}: {shortened(error)}"
        ) from error


def read_window(planes: Any, missing: Any, part: tuple[int, slice], place: Rectangle) -> Window:
    """A window of one plane's group of channels; see `Window`."""
    where = (*part, *place)
    return in_memory(planes[where]), None if missing is None else in_memory(missing[where])


def stack_fits(shape: tuple[int, ...]) -> bool:
    """Whether the noise of (N, C, H, W) planes is measured on all of their pixels."""
    n, _, height, width = shape
    return n * height * width <= _STACK_PIXELS


def stack_windows(shape: tuple[int, ...]) -> list[tuple[int, Rectangle]]:
    """Planes and windows of (N, C, H, W) planes that the noise is measured on."""
    n, _, height, width = shape
    if stack_fits(shape):
        return [(plane, (slice(0, height), slice(0, width))) for plane in range(n)]
    side_y, side_x = min(height, _NOISE_SIDE), min(width, _NOISE_SIDE)
    count = _STACK_PIXELS // (side_y * side_x)
    draw = np.random.default_rng(0)
    # One from each of as many equal parts of the stack: no region is left out by chance.
    planes = np.sort((np.arange(count) + draw.random(count)) / count * n).astype(int)
    return [(int(p), _window(draw, height, width, side_y, side_x)) for p in planes]


def range_windows(height: int, width: int) -> list[Rectangle]:
    """Windows of one plane that its range and colours are measured on, as many each time."""
    side_y, side_x = min(height, _RANGE_SIDE), min(width, _RANGE_SIDE)
    draw = np.random.default_rng(0)
    cells = int(np.sqrt(_RANGE_WINDOWS))
    places = []
    for i in range(cells):
        for j in range(cells):
            rows = _stretch(draw, height, side_y, i, cells)
            columns = _stretch(draw, width, side_x, j, cells)
            places.append((rows, columns))
    return places


def side_by_side(windows: list[NDArray[Any]]) -> NDArray[Any]:
    """Windows (C, h, w) as one image (C, k h, w), whose few inner borders do not count."""
    return np.concatenate(windows, axis=1)


def _window(
    draw: np.random.Generator, height: int, width: int, side_y: int, side_x: int
) -> Rectangle:
    top = int(draw.integers(height - side_y + 1))
    left = int(draw.integers(width - side_x + 1))
    return slice(top, top + side_y), slice(left, left + side_x)


def _stretch(
    draw: np.random.Generator, length: int, side: int, index: int, count: int
) -> slice:
    """A stretch of `side` pixels that starts in one of `count` equal parts of an axis."""
    start = int((index + draw.random()) / count * (length - side + 1))
    return slice(start, start + side)
