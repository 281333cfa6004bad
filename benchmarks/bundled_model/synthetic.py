"""Synthetic pictures: dead leaves, filaments and blobs, sharp and without noise.

Dead leaves have the edges, occlusions and scale invariance of natural images (Lee,
Mumford & Huang 2001, doi:10.1023/A:1011109015675); filaments and blobs look like
fluorescence. Each is drawn larger and shrunk, which smooths its edges.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.draw import disk, line, polygon

from napari_vae_restore.training.pictures import Picture

Canvas: TypeAlias = NDArray[np.float64]

# Lengths below are in pixels of the canvas.
_OVERSAMPLING: Final = 2
_SMALLEST_LEAF: Final = 3.0
_LARGEST_LEAF: Final = 0.2  # of the canvas's side
_LEAVES_PER_PIXEL: Final = 6  # for each pixel of the picture's side
_LEAF_SHADE: Final = 0.15  # standard deviation of the gradient across a leaf
_FILAMENT_STEP: Final = 4
_FILAMENT_BEND: Final = (0.02, 0.08)  # radians a step: of the whole filament, of each step
_SMALLEST_BLOB: Final = 1.5
_BRIGHTNESS: Final = (0.2, 1.0)
_HAZE_BLUR: Final = (15.0, 40.0)
_WHITE: Final = 99.9  # percentile that becomes 1
_MAX_LIGHT: Final = 1.1


def synthetic_pictures(n: int, side: int, weight: float, seed: int) -> list[Picture]:
    """Draw grey pictures (1, 1, side, side) in [0, 1.1], a third of each kind."""
    rng = np.random.default_rng(seed)
    makers = (_dead_leaves, _filaments, _blobs)
    planes = [makers[i % len(makers)](side, rng) for i in range(n)]
    return [Picture(p[None, None].astype(np.float16), weight / n, False) for p in planes]


def _dead_leaves(side: int, rng: np.random.Generator) -> Canvas:
    """Discs and polygons with a gradient, the large ones below."""
    big = side * _OVERSAMPLING
    canvas = np.full((big, big), 0.5)
    n_leaves = _LEAVES_PER_PIXEL * side
    for radius in np.sort(_power_law(rng, _SMALLEST_LEAF, big * _LARGEST_LEAF, n_leaves))[::-1]:
        centre = rng.uniform(0, big, 2)
        if rng.random() < 0.5:
            place = disk(centre, radius, shape=canvas.shape)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
            corners = centre[:, None] + radius * np.stack([np.sin(angles), np.cos(angles)])
            place = polygon(corners[0], corners[1], shape=canvas.shape)
        slope = rng.normal(0, _LEAF_SHADE, 2) / radius
        shade = slope[0] * (place[0] - centre[0]) + slope[1] * (place[1] - centre[1])
        canvas[place] = rng.uniform(0, 1) + shade
    return _shrink(canvas).clip(0, 1)


def _power_law(rng: np.random.Generator, low: float, high: float, n: int) -> Canvas:
    """Radii whose density falls with the cube: every scale covers the same area."""
    u = rng.random(n)
    return np.asarray((low**-2 + u * (high**-2 - low**-2)) ** -0.5)


def _filaments(side: int, rng: np.random.Generator) -> Canvas:
    """Bent lines that add up where they cross."""
    big = side * _OVERSAMPLING
    canvas = np.zeros((big, big))
    for _ in range(rng.integers(15, 120)):
        place, angle = rng.uniform(0, big, 2), rng.uniform(0, 2 * np.pi)
        bend, brightness = rng.normal(0, _FILAMENT_BEND[0]), rng.uniform(*_BRIGHTNESS)
        for _ in range(rng.integers(20, 160)):
            there = place + _FILAMENT_STEP * np.array([np.sin(angle), np.cos(angle)])
            rows, columns = line(*place.astype(int), *there.astype(int))
            inside = (rows >= 0) & (rows < big) & (columns >= 0) & (columns < big)
            canvas[rows[inside], columns[inside]] += brightness
            place, angle = there, angle + bend + rng.normal(0, _FILAMENT_BEND[1])
    return _lit(canvas, rng.uniform(1.2, 3.0), rng)


def _blobs(side: int, rng: np.random.Generator) -> Canvas:
    """Discs that add up where they overlap."""
    big = side * _OVERSAMPLING
    canvas = np.zeros((big, big))
    largest, n_blobs = rng.uniform(10, 60), int(rng.integers(60, 600))
    for radius in _power_law(rng, _SMALLEST_BLOB, largest, n_blobs):
        rows, columns = disk(rng.uniform(0, big, 2), radius, shape=canvas.shape)
        canvas[rows, columns] += rng.uniform(*_BRIGHTNESS)
    return _lit(canvas, rng.uniform(1.0, 4.0), rng)


def _lit(canvas: Canvas, blur: float, rng: np.random.Generator) -> Canvas:
    """Through a point spread function, with a haze of out-of-focus light."""
    sharp = gaussian_filter(canvas, blur)
    haze = gaussian_filter(canvas, rng.uniform(*_HAZE_BLUR)) * rng.uniform(0, 1)
    light = _shrink(sharp + haze)
    return np.asarray(light / max(np.percentile(light, _WHITE), 1e-6)).clip(0, _MAX_LIGHT)


def _shrink(canvas: Canvas) -> Canvas:
    """The mean over blocks of the pixels that were drawn for each."""
    n = canvas.shape[0] // _OVERSAMPLING
    blocks = canvas.reshape(n, _OVERSAMPLING, n, _OVERSAMPLING)
    return np.asarray(blocks.mean(axis=(1, 3)))
