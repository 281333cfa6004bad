"""Windows from which a large image's noise, intensity range and colour mixing are measured.

Images that fit are measured as a whole, larger ones by a fixed draw of windows over all
planes: never by a tile, whose range and noise would differ from its neighbour's.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError, VAERestoreError, shortened

PLANE_PIXELS: Final = 2**22  # planes of at most so many pixels are prepared as a whole

_STACK_PIXELS: Final = 2**22  # pixels of each channel that the noise is measured on
_NOISE_SIDE: Final = 512
_RANGE_SIDE: Final = 176
# A megapixel: percentiles are steady from far fewer pixels, but what is bright may be rare,
# and is found where one looks in many places.
_RANGE_WINDOWS: Final = 36

Part = tuple[int, slice]  # plane and group of channels
Rectangle = tuple[slice, slice]  # rows and columns
# Values (C, h, w), and which of them are missing; None where none are.
Window = tuple[NDArray[Any], NDArray[np.bool_] | None]


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


def read_window(planes: Any, missing: Any, part: Part, place: Rectangle) -> Window:
    """A window of one plane's group of channels."""
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
    n = int(np.sqrt(_RANGE_WINDOWS))

    def stretch(length: int, side: int, index: int) -> slice:
        """So many pixels from one of n equal parts of an axis on."""
        start = int((index + draw.random()) / n * (length - side + 1))
        return slice(start, start + side)

    return [
        (stretch(height, side_y, i), stretch(width, side_x, j))
        for i in range(n)
        for j in range(n)
    ]


def _window(
    draw: np.random.Generator, height: int, width: int, side_y: int, side_x: int
) -> Rectangle:
    top = int(draw.integers(height - side_y + 1))
    left = int(draw.integers(width - side_x + 1))
    return slice(top, top + side_y), slice(left, left + side_x)
