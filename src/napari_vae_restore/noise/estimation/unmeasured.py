"""Pixels that nothing measured: regions of one exactly repeated value in noisy data.

A rotated, deskewed, registered or stitched image has a margin of zeros, an annotation a box
of one colour, a saturated detector its greatest number, a lost frame nothing. None of them is
a draw of the noise: if a share p of the pixels holds a value, n of them do so together with a
probability of p^n, and n is chosen, with a margin, such that an image of this size holds none.
Regions are squares of n pixels, or runs of n pixels along a row or a column, and whatever they
make up together. Pixels that are not a number are unmeasured as well. Masks are True where a
pixel is unmeasured.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    binary_opening,
    maximum_filter,
    maximum_filter1d,
    minimum_filter1d,
)

from napari_vae_restore.noise.numbers import Mask

LEAST: Final = 5  # pixels a side of the smallest square that is looked for
_MOST: Final = 64  # the same of the largest: in images of next to no photons zeros are no gap
_EXPECTED: Final = 1e-3  # squares that chance may make in an image
_AROUND: Final = 3  # pixels


def repeat_side(planes: NDArray[Any]) -> int:
    """Side of a square of equal pixels that chance does not make, for planes (N, H, W).

    Beside a region in noise its value is rare; around the gaps that a few photons leave
    between them, it is as common as within. So the side grows until that which surrounds
    the regions explains them no more.
    """
    side = LEAST
    while side < _MOST:
        share = _share_around(planes, side)
        if share <= 0:
            return side
        share = min(share, 1 - 1e-6)
        needed = 2 * math.log(planes.size / _EXPECTED) / -math.log(share)
        if needed <= side**2:
            return side
        side = min(max(math.ceil(math.sqrt(needed)), side + 1), _MOST)
    return side


def unmeasured(plane: NDArray[Any], side: int) -> Mask | None:
    """Where a plane holds one repeated value, or none, (H, W); None if nowhere."""
    nothing: Mask | None = None
    if plane.dtype.kind == "f":
        absent = np.isnan(plane)
        if absent.any():
            nothing, plane = absent, np.where(absent, 0, plane)
    height, width = plane.shape
    shapes = {
        (min(side, height), min(side, width)),
        (1, min(side**2, width)),
        (min(side**2, height), 1),
    }
    found = [
        _covered(plane, *shape)
        for shape in shapes
        if _is_enough(shape, side, plane.shape) and _may_repeat(plane, *shape)
    ]
    masks = [mask for mask in (nothing, *found) if mask is not None and mask.any()]
    return np.asarray(np.logical_or.reduce(masks)) if masks else None


def _is_enough(shape: tuple[int, int], side: int, plane: tuple[int, ...]) -> bool:
    """Whether so many pixels are too many for chance; in a narrow plane a square is a band."""
    if min(shape) == side or shape == plane:
        return True
    return shape[0] * shape[1] >= side**2


def _may_repeat(plane: NDArray[Any], rows: int, columns: int) -> bool:
    """Whether any aligned block of half the sides has equal pixels: each region has one."""
    h, w = (max(n // 2, 1) for n in (rows, columns))
    height, width = (n // side * side for n, side in zip(plane.shape, (h, w), strict=True))
    first = plane[:height:h, :width:w]
    equal = np.ones(first.shape, bool)
    for i in range(h):
        for j in range(w):
            equal &= plane[i:height:h, j:width:w] == first
            if not equal.any():
                return False
    return True


def _covered(plane: NDArray[Any], rows: int, columns: int) -> Mask:
    """Pixels in any rectangle of so many rows and columns whose pixels are all equal."""
    if plane.dtype.kind == "f":
        plane = np.nan_to_num(plane)
    low, high = plane, plane
    for axis, size in enumerate((rows, columns)):
        if size > 1:
            low = minimum_filter1d(low, size, axis, mode="nearest", origin=_centre(size))
            high = maximum_filter1d(high, size, axis, mode="nearest", origin=_centre(size))
    # True at the first pixel of such a rectangle that lies in the plane.
    starts = np.asarray(low == high)
    starts[plane.shape[0] - rows + 1 :] = False
    starts[:, plane.shape[1] - columns + 1 :] = False
    for axis, size in enumerate((rows, columns)):
        if size > 1:
            starts = maximum_filter1d(
                starts, size, axis, mode="constant", origin=-_centre(size) - (size % 2 == 0)
            )
    return np.asarray(starts)


def _centre(size: int) -> int:
    """Origin with which a filter looks from a pixel on, and not around it."""
    return -(size // 2)


def _share_around(planes: NDArray[Any], side: int) -> float:
    """Share of the pixels around repeated regions that hold their value.

    Regions that are perforated by single pixels are their own surroundings.
    """
    n_equal = n_around = 0
    for plane in planes:
        inside = unmeasured(plane, side)
        if inside is None or inside.all():
            continue
        value = np.where(inside, np.nan_to_num(plane.astype(np.float64)), -np.inf)
        around = maximum_filter(value, 2 * _AROUND + 1, mode="constant", cval=-np.inf)
        ring = ~inside & np.isfinite(around)
        thin = ~inside & ~binary_opening(~inside, np.ones((3, 3), bool))
        rim = inside & binary_dilation(thin, np.ones((3, 3), bool))
        n_rim = int(rim.sum())
        n_around += int(ring.sum()) + n_rim
        n_equal += int((plane[ring] == around[ring]).sum()) + n_rim
    return n_equal / n_around if n_around else 0.0
