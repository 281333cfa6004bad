"""The 9/7 wavelet transform in integers: the same bits on every machine.

Lifting with rounded steps (Calderbank et al. 1998, doi:10.1006/acha.1997.0238) of the filters
that JPEG 2000 uses (Cohen, Daubechies & Feauveau 1992, doi:10.1002/cpa.3160450502). It knows
nothing of images or networks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.int64]

MAX_DEPTH: Final = 5  # halvings of each side
_LEAST: Final = 16  # pixels of the shortest side that is halved again

_BITS: Final = 16
_STEPS: Final = tuple(
    round(step * 2**_BITS) for step in (-1.586134342, -0.052980118, 0.882911076, 0.443506852)
)

# Norms of what a coefficient of 1 draws, finest level first; measured on impulses.
_NORMS: Final = (
    (1.0113, 1.0113, 0.7872),
    (1.3195, 1.3195, 0.9672),
    (1.8268, 1.8268, 1.3740),
    (2.4627, 2.4627, 1.8780),
    (3.2737, 3.2737, 2.5068),
)
_LOW_NORM: Final = 1.337  # of the low-pass band, to the power of the depth


def sides_of(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Shapes of the low-pass band after each halving, the plane first."""
    sides = [shape]
    while len(sides) <= MAX_DEPTH and min(sides[-1]) >= _LEAST:
        height, width = sides[-1]
        sides.append(((height + 1) // 2, (width + 1) // 2))
    return sides


def forward(plane: Plane) -> list[Plane]:
    """Subbands of an (H, W) plane of integers, coarsest first.

    The low-pass band, then three bands for each level: high along X, high along Y, both.
    """
    bands: list[Plane] = []
    low = plane
    for _ in sides_of(plane.shape)[1:]:
        left, right = _split(low.T)
        (low, vertical), (horizontal, diagonal) = _split(left.T), _split(right.T)
        bands[:0] = [horizontal, vertical, diagonal]
    return [low, *bands]


def inverse(bands: list[Plane], shape: tuple[int, int]) -> Plane:
    """The plane of the subbands: exactly the argument of :func:`forward`."""
    low = bands[0]
    for index, (height, width) in enumerate(sides_of(shape)[-2::-1]):
        horizontal, vertical, diagonal = bands[1 + 3 * index : 4 + 3 * index]
        left = _joined(low, vertical, height)
        right = _joined(horizontal, diagonal, height)
        low = _joined(left.T, right.T, width).T
    return low


def band_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Shapes of the bands of :func:`forward`."""
    sides = sides_of(shape)
    shapes: list[tuple[int, int]] = []
    for (height, width), (tall, wide) in pairwise(sides):
        shapes[:0] = [(tall, width // 2), (height // 2, wide), (height // 2, width // 2)]
    return [sides[-1], *shapes]


def norms(shape: tuple[int, int]) -> list[float]:
    """Euclidean norm of what a coefficient of 1 draws, for each subband.

    Equal steps times these are equal squared errors of pixels.
    """
    depth = len(sides_of(shape)) - 1
    return [_LOW_NORM**depth, *(norm for level in reversed(_NORMS[:depth]) for norm in level)]


def _split(x: Plane) -> tuple[Plane, Plane]:
    """Low and high pass along the first axis."""
    even, odd = x[0::2].copy(), x[1::2].copy()
    for step, next_step in zip(_STEPS[::2], _STEPS[1::2], strict=True):
        odd += _lifted(step, even, len(odd), ahead=True)
        even += _lifted(next_step, odd, len(even), ahead=False)
    return even, odd


def _joined(even: Plane, odd: Plane, length: int) -> Plane:
    """The inverse of :func:`_split`: the same steps, backwards."""
    even, odd = even.copy(), odd.copy()
    for next_step, step in zip(_STEPS[::-2], _STEPS[-2::-2], strict=True):
        even -= _lifted(next_step, odd, len(even), ahead=False)
        odd -= _lifted(step, even, len(odd), ahead=True)
    x = np.empty((length, even.shape[1]), np.int64)
    x[0::2], x[1::2] = even, odd
    return x


def _lifted(step: int, others: Plane, n: int, *, ahead: bool) -> Plane:
    """The rounded product of a step and the sum of both neighbours, mirrored at the ends."""
    first = np.arange(n) if ahead else np.arange(n) - 1
    last = len(others) - 1
    total = others[first.clip(0, last)] + others[(first + 1).clip(0, last)]
    return np.asarray((step * total + 2 ** (_BITS - 1)) >> _BITS)
