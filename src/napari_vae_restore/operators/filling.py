"""A smooth guess for missing pixels: what the network starts from inside a hole.

The guess is close to the harmonic function with the hole's border as boundary values, by the
pull-push pyramid of S. Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 4
(doi:10.1145/237170.237200), relaxed at every level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators.protocol import FloatArray

_RELAXATIONS = 6  # Jacobi sweeps at each level; more change the guess by less than a grey level


def smooth_fill(image: FloatArray, observed: NDArray[np.bool_]) -> FloatArray:
    """Fill missing pixels smoothly from the observed ones; those stay as they are.

    Images are (..., H, W), floating; a plane without any observed pixel becomes 0. Every value
    lies between the least and the greatest observed one of its plane; planes do not influence
    each other. Raises InputError for another dtype or shape.
    """
    if image.dtype.kind != "f" or observed.dtype != np.bool_ or image.shape != observed.shape:
        raise InputError(
            "Expected a floating image and a boolean array of its shape, came "
            f"{image.dtype} {image.shape} and {observed.dtype} {observed.shape}; pass "
            "`image.astype(np.float32)` and `~mask`."
        )
    if observed.all():
        return image.copy()
    known = np.where(observed, image, 0).astype(image.dtype)
    filled = _pull_push(known, observed.astype(image.dtype))
    return np.where(observed, image, filled).astype(image.dtype)


def _pull_push(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Fill where the weight is below 1; `values` is 0 where the weight is."""
    height, width = values.shape[-2:]
    if max(height, width) == 1 or bool((weights >= 1).all()):
        return values
    coarse_sum, coarse_weight = _halve(values * weights), _halve(weights)
    coarse = np.divide(
        coarse_sum, coarse_weight, out=np.zeros_like(coarse_sum), where=coarse_weight > 0
    )
    coarse = _pull_push(coarse, np.minimum(coarse_weight, 1))
    guess = _double(coarse)[..., :height, :width]
    filled = weights * values + (1 - weights) * guess
    for _ in range(_RELAXATIONS):
        filled = weights * values + (1 - weights) * _neighbour_mean(filled)
    return filled


def _halve(a: FloatArray) -> FloatArray:
    """Sums over 2 x 2 pixels; odd sides are padded with nothing."""
    pad = [(0, 0)] * (a.ndim - 2) + [(0, a.shape[-2] % 2), (0, a.shape[-1] % 2)]
    a = np.pad(a, pad)
    rows = a[..., ::2, :] + a[..., 1::2, :]
    sums: FloatArray = rows[..., ::2] + rows[..., 1::2]
    return sums


def _double(a: FloatArray) -> FloatArray:
    """Bilinear interpolation to twice the size, cells centred on 2 x 2 pixels."""
    for axis in (-2, -1):
        before, after = _shifted(a, axis)
        sides = list(a.shape)
        sides[axis] *= 2
        fine = np.empty(sides, a.dtype)
        even, odd = [slice(None)] * a.ndim, [slice(None)] * a.ndim
        even[axis], odd[axis] = slice(0, None, 2), slice(1, None, 2)
        fine[tuple(even)] = 0.75 * a + 0.25 * before
        fine[tuple(odd)] = 0.75 * a + 0.25 * after
        a = fine
    return a


def _shifted(a: FloatArray, axis: int) -> tuple[FloatArray, FloatArray]:
    """The values one cell before and after, the border repeated."""
    index = np.arange(a.shape[axis])
    before = np.take(a, np.maximum(index - 1, 0), axis=axis)
    after = np.take(a, np.minimum(index + 1, index[-1]), axis=axis)
    return before, after


def _neighbour_mean(a: FloatArray) -> FloatArray:
    above, below = _shifted(a, -2)
    left, right = _shifted(a, -1)
    mean: FloatArray = (above + below + left + right) / 4
    return mean
