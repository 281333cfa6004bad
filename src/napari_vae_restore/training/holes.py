"""Random holes for learning to inpaint: scratches, discs, dead pixels, brush strokes."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from skimage.draw import disk, line

Mask: TypeAlias = NDArray[np.bool_]

HOLES: Final = {"lines": 0.27, "discs": 0.25, "dots": 0.35, "strokes": 0.13}
"""Kinds of hole and how often each is drawn."""

# Lengths in pixels.
_LINES: Final = (1, 7)
_THICKNESS: Final = (1, 6)
_P_FROM_BORDER: Final = 0.5
_DISCS: Final = (1, 4)
_DISC_RADIUS: Final = (2.0, 17.0)
_LARGEST_DISC: Final = 0.2  # of the side
_DOTS: Final = (0.1, 0.9)  # share of missing pixels
_STROKES: Final = (1, 3)
_STROKE_STEPS: Final = (4, 16)
_STROKE_RADIUS: Final = (2.0, 7.0)
_STROKE_BEND: Final = 0.5  # radians a step


def draw_hole(side: int, rng: np.random.Generator) -> tuple[Mask, str]:
    """Draw a hole (side, side) bool, True = missing, neither full nor empty, and its kind."""
    kind = str(rng.choice(list(HOLES), p=list(HOLES.values())))
    draw = {"lines": _lines, "discs": _discs, "dots": _dots, "strokes": _strokes}[kind]
    hole = draw(side, rng)
    hole[rng.integers(side), rng.integers(side)] = False
    if not hole.any():
        hole[side // 2, side // 2] = True
    return hole, kind


def _lines(side: int, rng: np.random.Generator) -> Mask:
    hole = np.zeros((side, side), bool)
    for _ in range(rng.integers(*_LINES)):
        ends = rng.integers(0, side, 4)
        if rng.random() < _P_FROM_BORDER:
            ends[rng.integers(0, 4)] = rng.choice([0, side - 1])
        rows, columns = line(*ends)
        thickness = int(rng.integers(*_THICKNESS))
        for i, j in np.ndindex(thickness, thickness):
            y, x = rows + i - thickness // 2, columns + j - thickness // 2
            inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
            hole[y[inside], x[inside]] = True
    return hole


def _discs(side: int, rng: np.random.Generator) -> Mask:
    hole = np.zeros((side, side), bool)
    smallest, largest = _DISC_RADIUS
    largest = max(smallest, min(largest, side * _LARGEST_DISC))
    for _ in range(rng.integers(*_DISCS)):
        radius = rng.uniform(smallest, largest)
        hole[disk(rng.uniform(0, side, 2), radius, shape=hole.shape)] = True
    return hole


def _dots(side: int, rng: np.random.Generator) -> Mask:
    return np.asarray(rng.random((side, side)) < rng.uniform(*_DOTS))


def _strokes(side: int, rng: np.random.Generator) -> Mask:
    """A few thick, bent brush strokes."""
    hole = np.zeros((side, side), bool)
    for _ in range(rng.integers(*_STROKES)):
        place, angle = rng.uniform(0, side, 2), rng.uniform(0, 2 * np.pi)
        radius = rng.uniform(*_STROKE_RADIUS)
        for _ in range(rng.integers(*_STROKE_STEPS)):
            hole[disk(place, radius, shape=hole.shape)] = True
            place = place + radius * np.array([np.sin(angle), np.cos(angle)])
            angle += rng.normal(0, _STROKE_BEND)
    return hole
