"""The transform layer: a plane as quantised wavelet coefficients, coded with their contexts."""

from __future__ import annotations

from typing import Final

import numpy as np

from napari_vae_restore.generation.compression import wavelet
from napari_vae_restore.generation.compression.coder import Coder, Integers, code_plane

# Added before a coefficient is cut to a multiple of the step: below 1/2, since small values are
# more likely, and cost less.
_ROUNDING: Final = 0.4
# Weights of magnitudes in units of the neighbours' weights.
_PARENT: Final = 4  # the coarser band
_SIBLING: Final = 3  # bands of the same level
_UNIT: Final = 64  # rebuilt values are in 64ths of a step, integers


def code_subbands(
    coder: Coder, plane: Integers | None, shape: tuple[int, int], step: int
) -> Integers:
    """Code (H, W) integers with loss, None for a reader; return the plane as it is read.

    `step` is the step of quantisation in the plane's unit: errors are near step / sqrt(12).
    """
    shapes = wavelet.band_shapes(shape)
    steps = [max(round(step * _UNIT / norm), 1) for norm in wavelet.norms(shape)]
    bands = None if plane is None else wavelet.forward(plane)
    found: list[Integers] = []
    for index, (each, size) in enumerate(zip(shapes, steps, strict=True)):
        quantised = None
        if bands is not None:
            magnitude = np.abs(bands[index]) * _UNIT / size
            quantised = np.sign(bands[index]) * np.floor(magnitude + _ROUNDING).astype(np.int64)
        aside = _aside(found, index, each)
        found.append(code_plane(coder, quantised, each, aside, predicted=index == 0))
    rebuilt = [
        (band * size + _UNIT // 2) // _UNIT for band, size in zip(found, steps, strict=True)
    ]
    return wavelet.inverse(rebuilt, shape)


def _aside(found: list[Integers], index: int, shape: tuple[int, int]) -> Integers | None:
    """Hint from the coarser band of the same direction, and from this level's other bands."""
    if index == 0:
        return None
    total = np.zeros(shape, np.int64)
    if index > 3:
        parent = _smoothed(np.abs(found[index - 3]))
        total += _PARENT * _fitted(parent.repeat(2, axis=0).repeat(2, axis=1), shape) // 4
    for sibling in range(index - (index - 1) % 3, index):
        total += _SIBLING * _fitted(_smoothed(np.abs(found[sibling])), shape) // 4
    return total


def _smoothed(magnitudes: Integers) -> Integers:
    """The sum of a cell twice and of its four neighbours: six times a magnitude."""
    if magnitudes.size == 0:
        return magnitudes
    around = np.pad(magnitudes, 1, mode="edge")
    across = around[1:-1, :-2] + around[1:-1, 2:] + around[:-2, 1:-1] + around[2:, 1:-1]
    return np.asarray(2 * magnitudes + across)


def _fitted(values: Integers, shape: tuple[int, int]) -> Integers:
    """Cut, or repeated at the end, to a shape."""
    if values.size == 0:
        return np.zeros(shape, np.int64)
    rows = np.arange(shape[0]).clip(max=values.shape[0] - 1)
    columns = np.arange(shape[1]).clip(max=values.shape[1] - 1)
    return np.asarray(values[rows[:, None], columns])
